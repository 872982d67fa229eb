"""Which files does an ONNX graph keep its weights in?

Exporters write ``model.onnx`` beside ``model.onnx.data``; whoever registers the one must send the other. The answer
lies in a few short strings of a protobuf file that may be gigabytes long, so it is read off the wire:

1. Only the fields in ``_CHILDREN`` are entered; everything else is skipped by its length, without a copy.
2. A file that is not protobuf names nothing: the gateway says what is wrong with it, and says it better.
3. Only names that are one path component are returned; the gateway refuses the others and says what to do.

Field numbers: onnx.proto3 of ONNX 1.23.
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 64

_CHILDREN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
"""Message -> field number -> the kind of message that it holds."""


class NotProtobuf(Exception):  # noqa: N818 - the name says what happened
    """The bytes do not parse; it never leaves the readers of graphs."""


def external_file_names(path: Path) -> list[str]:
    """Return the names of the files that the graph's tensors lie in, sorted; empty for a graph that holds its own.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                names = set(_locations(data, 0, len(data), "model", 0))
            except NotProtobuf:
                return []
    return sorted(name for name in names if name == Path(name).name and name not in ("", ".", ".."))


def _locations(data: mmap.mmap, start: int, end: int, kind: str, depth: int) -> Iterator[str]:
    """Yield every ``location`` entry below the message in ``data[start:end]``."""
    if depth > _MAX_DEPTH:
        return
    children = _CHILDREN[kind]
    for number, begin, stop in fields(data, start, end):
        child = children.get(number)
        if child == "entry":
            yield from _location(data, begin, stop)
        elif child is not None:
            yield from _locations(data, begin, stop, child, depth + 1)


def _location(data: mmap.mmap, start: int, end: int) -> Iterator[str]:
    """Yield the value of a key-value entry whose key is ``location``."""
    entry = {number: data[begin:stop] for number, begin, stop in fields(data, start, end)}
    if entry.get(1) == b"location":
        yield entry.get(2, b"").decode("utf-8", "replace")


def fields(data: mmap.mmap | bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number and the extent of every length-delimited field of one message.

    Raises:
        NotProtobuf: the bytes between do not parse.
    """
    at = start
    while at < end:
        key, at = _varint(data, at, end)
        number, wire_type = key >> 3, key & 7
        if wire_type == _BYTES:
            size, at = _varint(data, at, end)
            if at + size > end:
                raise NotProtobuf
            yield number, at, at + size
            at += size
        else:
            at = _skip(data, at, end, wire_type)


def _skip(data: mmap.mmap | bytes, at: int, end: int, wire_type: int) -> int:
    if wire_type == _VARINT:
        return _varint(data, at, end)[1]
    width = {_FIXED64: 8, _FIXED32: 4}.get(wire_type)
    if width is None or at + width > end:
        raise NotProtobuf
    return at + width


def _varint(data: mmap.mmap | bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:  # noqa: PLR2004 - ten groups of seven bits
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follows
            return value, at
        shift += 7
    raise NotProtobuf
