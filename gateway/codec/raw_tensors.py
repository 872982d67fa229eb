"""Tensors as raw bytes: little-endian, row-major, unpadded, as binary protocols have them.

1. A boolean is one byte, 0 or 1. A text is the length of its UTF-8 in four bytes, then that.
2. A type of less than a byte has a byte for each element, its bits at the lower end, sign-extended where it has one, as
   ``ml_dtypes`` keeps it: no protocol here says otherwise.
3. Bits are carried as they are: NaN keeps its payload.
4. Tensors begin where numpy's own do, at a multiple of 16 bytes, or are copied there: the runtime adds numbers up in
   another order where memory begins elsewhere, and the last bit of a sum differs.
"""

import struct
from math import prod

import numpy as np

from gateway.codec.body import Array
from registry.names import quoted
from registry.tensor import DTYPES, DType

_LENGTH = struct.Struct("<I")
_ALIGNMENT = 16


class BytesDoNotFit(ValueError):  # noqa: N818 - the caller's mistake, not ours
    """Bytes that are no tensor of this type and shape.

    Args:
        expected: what they should be.
        received: what they are.
        code: of the violation: ``invalid_shape`` or ``invalid_dtype``.
    """

    def __init__(self, expected: str, received: str, code: str = "invalid_shape") -> None:
        super().__init__(f"expected {expected}, received {received}")
        self.expected = expected
        self.received = received
        self.code = code


def read_raw(dtype: DType, octets: bytes | memoryview, shape: tuple[int, ...]) -> Array:
    """Return the tensor that these bytes are; it may be a read-only view of them.

    Raises:
        BytesDoNotFit: there are more or fewer than the shape has elements for, or they are none of this type.
    """
    if dtype.kind == "O":
        return _read_texts(octets, shape)
    count = prod(shape)
    wanted = count * dtype.numpy.itemsize
    if wanted != len(octets):
        raise BytesDoNotFit(f"{wanted} bytes for {dtype.name}{list(shape)}", f"{len(octets)} bytes")
    if not count:
        return _empty(dtype, shape)
    whole = np.frombuffer(octets, np.uint8)
    _check_bits(dtype, whole)
    array = whole.view(dtype.numpy if dtype.is_foreign else dtype.numpy.newbyteorder("<"))
    if array.__array_interface__["data"][0] % _ALIGNMENT:
        array = array.copy()
    return array.reshape(shape)


def write_raw(array: Array) -> bytes:
    """Return the bytes of a tensor; texts as ``str`` or the UTF-8 of them.

    Raises:
        UnicodeEncodeError: a text holds what UTF-8 has no bytes for.
    """
    if array.dtype.kind not in "OSU":
        return array.tobytes()
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        octets = text if isinstance(text, bytes) else text.encode("utf-8")
        parts += (_LENGTH.pack(len(octets)), octets)
    return b"".join(parts)


def _empty(dtype: DType, shape: tuple[int, ...]) -> Array:
    try:
        return np.empty(shape, dtype.numpy)
    except ValueError as error:  # numpy has no array of [0, 2**62]
        raise BytesDoNotFit("a shape of sane size", str(list(shape))) from error


def _check_bits(dtype: DType, octets: Array) -> None:
    """Refuse bytes that are no value of the type: what the runtime makes of them is anybody's guess."""
    most = 1 if dtype.kind == "b" else 2**dtype.bits - 1
    if dtype.kind != "b" and dtype.bits >= 8:  # noqa: PLR2004 - a byte
        return
    if dtype.kind == "i":
        half = 2 ** (dtype.bits - 1)
        wrong = (octets >= half) & (octets < 256 - half)
    else:
        wrong = octets > most
    if wrong.any():
        place = int(wrong.argmax())
        raise BytesDoNotFit(f"an element of {dtype.name}", f"the byte {octets[place]} at {place}", "invalid_dtype")


def _read_texts(octets: bytes | memoryview, shape: tuple[int, ...]) -> Array:
    texts: list[str] = []
    whole, place = bytes(octets), 0
    count = prod(shape)
    while place < len(whole) and len(texts) <= count:
        begin = place + _LENGTH.size
        place = begin + (_LENGTH.unpack_from(whole, place)[0] if begin <= len(whole) else len(whole))
        if place > len(whole):
            raise BytesDoNotFit(
                "texts, each with its length in four bytes before it", f"{len(whole)} bytes that end within one"
            )
        try:
            texts.append(whole[begin:place].decode("utf-8"))
        except UnicodeDecodeError as error:
            received = quoted(whole[begin : begin + 64].decode("utf-8", "replace"))
            raise BytesDoNotFit("text in UTF-8", received, "invalid_dtype") from error
    if len(texts) != count:
        received = f"more than {count}" if len(texts) > count else str(len(texts))
        raise BytesDoNotFit(f"{count} texts for {list(shape)}", received)
    if not count:
        return _empty(DTYPES["string"], shape)
    array = np.empty(count, object)
    array[:] = texts
    return array.reshape(shape)
