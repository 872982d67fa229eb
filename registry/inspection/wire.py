"""Protocol Buffers on the wire, read in place.

1. Nothing is copied and nothing is kept: a field is four numbers that point into the file.
2. A run of one numeric field (a list that its writer did not pack) is one field here, skipped by one regular expression
   in C: 45 million integers take a second.
3. What no writer produces is refused: groups, overlong tags and numbers, a length beyond its message.

Source: protobuf.dev, "Encoding".
"""

import mmap
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, TypeAlias

from registry.errors import InvalidArtifact

Bytes: TypeAlias = bytes | mmap.mmap

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_VALUE_PATTERNS = {VARINT: rb"[\x80-\xff]{0,9}+[\x00-\x7f]", FIXED64: rb".{8}", FIXED32: rb".{4}"}

_MORE = 0x80
_MAX_VARINT_BYTES = 10
_MAX_FIELD_NUMBER = (1 << 29) - 1

Field: TypeAlias = tuple[int, int, int, int]
"""Field number, wire type, begin, end: of the payload if the wire type is LENGTH, else of the run with its tags."""


class Tally:
    """Counts the fields of a whole file, so that no nesting hides how many there are."""

    __slots__ = ("left",)

    def __init__(self, limit: int) -> None:
        self.left = limit


def fields(data: Bytes, begin: int, end: int, tally: Tally) -> Iterator[Field]:
    """Yield the fields of the message that lies between ``begin`` and ``end``.

    Raises:
        InvalidArtifact: ``invalid_model`` where the bytes are not a message; ``too_complex`` where the tally runs out.
    """
    position = begin
    while position < end:
        tally.left -= 1
        if tally.left < 0:
            raise InvalidArtifact("too_complex", "the model has too many fields")
        start = position
        tag, position = read_varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= _MAX_FIELD_NUMBER:
            raise malformed(start)
        if wire == LENGTH:
            size, position = read_varint(data, position, end)
            stop = position + size
            if stop > end:
                raise malformed(start)
        else:
            stop = _end_of_run(data, start, position, end)
            position = start
        yield number, wire, position, stop
        position = stop


def read_varint(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """Return the unsigned number at ``position`` and where it ends.

    Raises:
        InvalidArtifact: ``invalid_model``: it does not end before ``end``, or is too long.
    """
    if position >= end:
        raise malformed(position)
    byte = data[position]
    if byte < _MORE:
        return byte, position + 1
    value = shift = 0
    for here in range(position, min(end, position + _MAX_VARINT_BYTES)):
        byte = data[here]
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value & 0xFFFF_FFFF_FFFF_FFFF, here + 1
        shift += 7
    raise malformed(position)


def varints(data: Bytes, field: Field) -> Iterator[int]:
    """Yield the signed 64-bit numbers of a numeric field, packed or not.

    Raises:
        InvalidArtifact: ``invalid_model``, as ``read_varint``.
    """
    _, wire, position, end = field
    while position < end:
        if wire == VARINT:
            _, position = read_varint(data, position, end)
        value, position = read_varint(data, position, end)
        yield value - (1 << 64) if value >> 63 else value


def malformed(position: int) -> InvalidArtifact:
    """Return the refusal of bytes that no ONNX writer has produced."""
    return InvalidArtifact(
        "invalid_model",
        f"the file is not a whole ONNX model: it stops making sense at byte {position}. Was it cut off on its way?",
    )


def _end_of_run(data: Bytes, start: int, value: int, end: int) -> int:
    tag = data[start:value]
    if tag[0] & 7 not in _VALUE_PATTERNS:
        raise malformed(start)
    found = _run_pattern(tag).match(data, start, end)
    if found is None:
        raise malformed(start)
    return found.end()


@lru_cache(maxsize=256)
def _run_pattern(tag: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:" + re.escape(tag) + _VALUE_PATTERNS[tag[0] & 7] + rb")++", re.DOTALL)
