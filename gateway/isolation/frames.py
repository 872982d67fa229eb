"""What a worker and a child of its say to each other: a few words, and the values of a run.

1. A frame is two lengths, a JSON document and the values' bytes, in the order in which the document describes them.
2. Numbers go as they lie in memory: both ends are one machine, and one release. Texts go as JSON.
3. Whoever reads believes nothing: lengths have limits, and a tensor has the bytes that its type and shape ask for.
"""

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final

import numpy as np
import orjson

from registry.tensor import DTYPES
from registry.values import Value, leaves

READY: Final = b"ready"
"""What an origin says when the model is loaded, or else ``REFUSED``."""
REFUSED: Final = b"refused"
FORK: Final = b"fork"
"""What an origin is told, with two descriptors."""
NUMBER_BYTES: Final = 8
"""Of a process id, and of a request's number."""

_LENGTHS: Final = struct.Struct("<QQ")
_MOST_WORDS_BYTES: Final = 512 * 1024 * 1024
_DTYPES: Final = {dtype.numpy.name: dtype.numpy for dtype in DTYPES.values() if dtype.kind != "O"}
_PIECES: Final = 64
"""How many pieces go to the kernel at once; it takes 1,024."""


class BrokenFrameError(Exception):
    """The other end has gone, or says what cannot be."""


def send(to: socket.socket, words: Mapping[str, Any], values: Sequence[Value]) -> None:
    """Send a frame.

    Raises:
        OSError: the other end has gone, or does not read.
        UnicodeEncodeError: a text is none.
    """
    arrays = [_as_bytes(array) for value in values for array in leaves(value)]
    sizes = iter([len(array) for array in arrays])
    document = orjson.dumps({**words, "values": [_described(value, sizes) for value in values]})
    pieces = [_LENGTHS.pack(len(document), sum(map(len, arrays))), document, *arrays]
    for begin in range(0, len(pieces), _PIECES):
        _send_all(to, pieces[begin : begin + _PIECES])


def receive(source: socket.socket, *, most_bytes: int) -> tuple[dict[str, Any], list[Value]]:
    """Return the words and the values of the next frame.

    Args:
        source: blocks for as long as its own timeout says.
        most_bytes: of the values.

    Raises:
        BrokenFrameError: there is none, or it is none.
        OSError: it does not come in time.
    """
    words_bytes, values_bytes = _LENGTHS.unpack(_receive_bytes(source, _LENGTHS.size))
    if words_bytes > _MOST_WORDS_BYTES or values_bytes > most_bytes:
        raise BrokenFrameError("too long")
    try:
        words = orjson.loads(_receive_bytes(source, words_bytes))
        reading = _Reading(source, values_bytes)
        values = [reading.value(described) for described in words["values"]]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BrokenFrameError("not a frame") from error
    if reading.left_bytes:
        raise BrokenFrameError("more bytes than values")
    return words, values


class _Reading:
    """Values on their way in."""

    def __init__(self, source: socket.socket, size_bytes: int) -> None:
        self._source = source
        self.left_bytes = size_bytes

    def value(self, described: Any) -> Value:
        match described:
            case ["tensor", str(name), list(shape), int(size_bytes)]:
                return self._tensor(_DTYPES[name], tuple(shape), size_bytes)
            case ["texts", list(shape), int(size_bytes)]:
                return self._texts(tuple(shape), size_bytes)
            case ["list", list(inner)]:
                return [self.value(one) for one in inner]
            case ["map", list(entries)]:
                return {key: self.value(inner) for key, inner in entries}
            case ["none"]:
                return None
        raise BrokenFrameError("not a value")

    def _tensor(self, dtype: np.dtype[Any], shape: tuple[int, ...], size_bytes: int) -> Value:
        if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != size_bytes:
            raise BrokenFrameError("not the bytes of its shape")
        self._take(size_bytes)
        array = np.empty(shape, dtype)
        if size_bytes:
            _receive_into(self._source, _octets(array))
        return array

    def _texts(self, shape: tuple[int, ...], size_bytes: int) -> Value:
        self._take(size_bytes)
        texts = orjson.loads(_receive_bytes(self._source, size_bytes))
        if min(shape, default=0) < 0 or len(texts) != prod(shape) or not all(isinstance(text, str) for text in texts):
            raise BrokenFrameError("not the texts of its shape")
        array = np.empty(len(texts), object)
        array[:] = texts
        return array.reshape(shape)

    def _take(self, size_bytes: int) -> None:
        self.left_bytes -= size_bytes
        if self.left_bytes < 0 or size_bytes < 0:
            raise BrokenFrameError("more values than bytes")


def _described(value: Value, sizes: Iterator[int]) -> list[Any]:
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OSU":
            return ["texts", value.shape, next(sizes)]
        return ["tensor", value.dtype.name, value.shape, next(sizes)]
    if isinstance(value, dict):
        return ["map", [[key, _described(inner, sizes)] for key, inner in value.items()]]
    if isinstance(value, list):
        return ["list", [_described(inner, sizes) for inner in value]]
    return ["none"]


def _as_bytes(array: np.ndarray[Any, Any]) -> bytes | memoryview:
    if array.dtype.kind in "OSU":
        return orjson.dumps([str(text) for text in array.flat])
    if not array.size:
        return b""
    return _octets(np.ascontiguousarray(array))


def _octets(array: np.ndarray[Any, Any]) -> memoryview:
    return memoryview(array.reshape(-1).view(np.uint8).data)


def _send_all(to: socket.socket, pieces: Sequence[bytes | memoryview]) -> None:
    sent = to.sendmsg(pieces)
    for piece in pieces:
        if sent < len(piece):
            to.sendall(memoryview(piece)[sent:])
        sent = max(0, sent - len(piece))


def _receive_bytes(source: socket.socket, size_bytes: int) -> bytes:
    octets = bytearray(size_bytes)
    _receive_into(source, memoryview(octets))
    return bytes(octets)


def _receive_into(source: socket.socket, room: memoryview) -> None:
    while room:
        count = source.recv_into(room)
        if not count:
            raise BrokenFrameError("the other end has gone")
        room = room[count:]
