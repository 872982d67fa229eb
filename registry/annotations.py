"""What people write about models, versions and moves: descriptions, tags, reasons, and what such text may be."""

import unicodedata
from collections.abc import Mapping

from registry.errors import InvalidRequest, Violation
from registry.names import quoted
from registry.signature import pointer_token

MAX_TEXT = 4096
"""Characters of a description or a reason."""

MAX_TAGS = 64
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 1024

_NOT_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, half characters that UTF-8 lacks, line ends in disguise


def check_annotations(
    *, description: str | None = None, tags: Mapping[str, str] | None = None, reason: str | None = None
) -> None:
    """Make sure that these can be kept and shown on one line; None stands for what was not given.

    Raises:
        InvalidRequest: with one violation for each fault.
    """
    found = [
        *_check_text("/description", description or "", limit=MAX_TEXT),
        *_check_text("/reason", reason or "", limit=MAX_TEXT),
        *_check_tags(tags or {}),
    ]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        first = found[0]
        raise InvalidRequest(
            f"{first.path}: expected {first.expected}, received {first.received}{more}", violations=found
        )


def _check_tags(tags: Mapping[str, str]) -> list[Violation]:
    if len(tags) > MAX_TAGS:
        expected, received = f"at most {MAX_TAGS} tags", f"{len(tags)} tags"
        return [Violation(path="/tags", expected=expected, received=received, code="too_many")]
    found = []
    for key, value in tags.items():
        here = f"/tags/{pointer_token(quoted(key)[1:-1])}"  # a path is shown, so it holds no raw control characters
        if not key:
            found.append(Violation(path=here, expected="a key", received="nothing", code="too_short"))
        found.extend(_check_text(here, key, limit=MAX_TAG_KEY, what="a key of "))
        found.extend(_check_text(here, value, limit=MAX_TAG_VALUE))
    return found


def _check_text(path: str, text: str, *, limit: int, what: str = "") -> list[Violation]:
    if len(text) > limit:
        expected, received = f"{what}at most {limit} characters", f"{len(text)} characters"
        return [Violation(path=path, expected=expected, received=received, code="too_long")]
    odd = next((character for character in text if unicodedata.category(character) in _NOT_TEXT), None)
    if odd is None:
        return []
    expected, received = f"{what}text without control characters", f"U+{ord(odd):04X}"
    return [Violation(path=path, expected=expected, received=received, code="control_character")]
