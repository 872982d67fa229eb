"""Values as programs write them: a literal of each language, from which no text can break out.

Where a list is long and its items are alike, it is written as a product: ``[[0.5] * 224] * 224``.
"""

import json
from collections.abc import Callable
from typing import Any

_MOST_WRITTEN = 16
"""Elements that are written one by one."""


def json_literal(value: Any) -> str:
    """Return JSON, which is JavaScript as well, on one line."""
    return json.dumps(value, ensure_ascii=False)


def python_literal(value: Any) -> str:
    """Return a Python expression."""
    if isinstance(value, dict):
        return _members(value, python_literal, python_literal)
    if isinstance(value, list):
        if _is_long(value):
            return f"[{python_literal(value[0])}] * {len(value)}"
        return f"[{', '.join(map(python_literal, value))}]"
    return json_literal(value) if isinstance(value, str) and value.isascii() else repr(value)


def javascript_literal(value: Any) -> str:
    """Return a JavaScript expression."""
    if isinstance(value, dict):
        return _members(value, _javascript_key, javascript_literal)
    if isinstance(value, list):
        if _is_long(value):
            return f"Array({len(value)}).fill({javascript_literal(value[0])})"
        return f"[{', '.join(map(javascript_literal, value))}]"
    return json_literal(value)


def is_short(value: Any) -> bool:
    """True if a value is written element by element."""
    return _count(value) <= _MOST_WRITTEN


def _members(value: dict[str, Any], write_key: Callable[[Any], str], write: Callable[[Any], str]) -> str:
    members = [f"{write_key(key)}: {write(part)}" for key, part in value.items()]
    return f"{{{', '.join(members)}}}"


def _javascript_key(key: str) -> str:
    """Return a key that is one: ``__proto__`` would be something else."""
    return f"[{json_literal(key)}]" if key == "__proto__" else json_literal(key)


def _is_long(value: list[Any]) -> bool:
    return len(value) > 1 and not is_short(value) and all(part is value[0] or part == value[0] for part in value)


def _count(value: Any) -> int:
    """Return how many elements a value has if its lists are regular."""
    size = 1
    while isinstance(value, list) and value:
        size *= len(value)
        value = value[0]
    return size
