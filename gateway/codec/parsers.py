"""simdjson's parsers, used again: making one for each body takes as long as the parse.

The kernel has to find, and clear, some ten bytes for each byte of the body.

1. A parser serves one body at a time, and may be used again when nothing of what it has parsed is left.
2. Where a parse fails, some of it may be left in the error's frames: that parser is dropped.
3. What is kept grows with the largest body so far. So only a few are kept, and all are dropped now and then
   (``drop_parsers``).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from simdjson import Parser

R = TypeVar("R")

_MOST_KEPT = 2

_kept: list[Parser] = []


def parse_with(read: Callable[[Any], R], octets: bytes) -> R:
    """Return what ``read`` makes of the parsed JSON; nothing of that itself may be in it. Any thread may call this.

    Raises:
        ValueError: this is no JSON.
        Whatever ``read`` raises.
    """
    try:
        parser = _kept.pop()
    except IndexError:
        parser = Parser()
    result = read(parser.parse(octets))
    if len(_kept) < _MOST_KEPT:
        _kept.append(parser)
    return result


def drop_parsers() -> None:
    """Let go of the memory of those that are not in use."""
    _kept.clear()
