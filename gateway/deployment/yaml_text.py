"""Plain values as YAML that people read: in block style, with comments.

1. A mapping or a list stands on one line where it holds no other one with something in it and fits there; else each of
   its entries has a line of its own.
2. A key that begins with ``# `` is a comment on what follows; its value says nothing.
3. Text is written as it is where no reader could take it for something else; several lines as a literal block; all
   other text in double quotes.

Source: YAML 1.2.2; text that YAML 1.1 takes for a bool or a number is quoted, since most readers still are of 1.1.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

Value: TypeAlias = "str | int | bool | Mapping[str, Value] | Sequence[Value] | None"

_WIDTH: Final = 120
_COMMENT: Final = "# "
_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9._/@%+=-]*(?::[A-Za-z0-9._/@%+=-]+)*|[0-9]+(?:[KMGT]iB?|[ms%])")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_LITERAL: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?\n(?:(?:[ -~]*[!-~])?\n)*(?<=[^\n]\n)")
"""Lines that a literal block keeps: the first is not indented, none ends with a space, the last is not empty."""


def yaml_of(*documents: Mapping[str, Value]) -> str:
    """Return documents one after the other; ``safe_load_all`` of it gives them back, but for the comments."""
    return "---\n".join("".join(f"{line}\n" for line in _mapping(document)) for document in documents)


def without_comments(value: Value) -> Value:
    """Return what a reader of the YAML gets."""
    if isinstance(value, Mapping):
        return {key: without_comments(each) for key, each in value.items() if not key.startswith(_COMMENT)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_comments(each) for each in value]
    return value


def _mapping(value: Mapping[str, Value]) -> Iterator[str]:
    for key, each in value.items():
        if key.startswith(_COMMENT):
            yield key
            continue
        name, line = _text(key), _in_line(each, _WIDTH - len(key))
        if line is not None:
            yield f"{name}: {line}"
        elif isinstance(each, str):
            yield f"{name}: |"
            yield from _indented(each.splitlines())
        else:
            yield f"{name}:"
            yield from _indented(_parts(each))


def _list(value: Sequence[Value]) -> Iterator[str]:
    for each in value:
        line = _text(each) if isinstance(each, str) else _in_line(each, _WIDTH)
        if line is not None:
            yield f"- {line}"
        else:
            first, *others = _indented(_parts(each))
            yield f"- {first[2:]}"
            yield from others


def _parts(value: Value) -> Iterator[str]:
    return _mapping(value) if isinstance(value, Mapping) else _list(value) if isinstance(value, Sequence) else iter(())


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else "" for line in lines)


def _in_line(value: Value, width: int) -> str | None:
    """Return a value on one line; None where it is several lines, or would be hard to read on one."""
    if isinstance(value, str):
        return None if _LITERAL.fullmatch(value) else _text(value)
    if not isinstance(value, Mapping | Sequence):
        return json.dumps(value)
    line = _flow(value)
    return line if line is not None and (len(line) < width or not value) else None


def _flow(value: Mapping[str, Value] | Sequence[Value]) -> str | None:
    keys = list(value) if isinstance(value, Mapping) else []
    parts = list(value.values()) if isinstance(value, Mapping) else list(value)
    if any(key.startswith(_COMMENT) for key in keys) or any(_is_nested(part) for part in parts):
        return None
    lines = [_text(part) if isinstance(part, str) else _in_line(part, _WIDTH) for part in parts]
    shown = [line for line in lines if line is not None]
    if len(shown) < len(lines):
        return None
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {line}" for key, line in zip(keys, shown, strict=True)) + "}"
    return "[" + ", ".join(shown) + "]"


def _is_nested(value: Value) -> bool:
    """Whether a value has something in it that has parts itself, which one line inside another one would hide."""
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and len(value) > 1


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else _quoted(text)


def _quoted(text: str) -> str:
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", json.dumps(text, ensure_ascii=False))
