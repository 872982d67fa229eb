"""One tensor as numpy saves it: ``.npy``, versions 1 to 3, and never an object of Python's.

1. numpy's own reader is not used: it makes whatever dtype a header names, objects and records among them, warns about
   old headers, and takes its bytes from a file. This one takes a header of at most 4 KiB that is a plain dict of three
   entries, and only the dtypes that tensors have.
2. Little- and big-endian numbers are read, in C's order of the elements or Fortran's; the bits are kept.
3. Text is ``<U``; ``|S`` is taken as UTF-8. numpy drops the NULs at the end of a text, so a text that ends in one
   cannot be written.
"""

import re
import struct
from dataclasses import dataclass
from math import prod

import numpy as np

from gateway.codec.body import Array
from gateway.codec.raw_tensors import BytesDoNotFit, read_raw
from gateway.codec.tensor_files import MAX_TENSOR_BYTES, UNSUPPORTED, check_count, wrong_dtype
from registry.errors import MalformedTensors, NotAcceptable, OutputNotText
from registry.names import quoted
from registry.tensor import MAX_RANK, DType, TensorSpec

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
_MAX_HEADER_BYTES = 4096
_ALIGNMENT = 64

_ENTRY = (
    rb"\s*+(?P<quote{0}>['\"])(?P<key{0}>descr|fortran_order|shape)(?P=quote{0})\s*+:\s*+"
    rb"(?P<value{0}>'[^'\\]*+'|\"[^\"\\]*+\"|True|False|\([\d\s,]*+\))\s*+"
)
_HEADER = re.compile(
    rb"\s*+\{" + b",".join(_ENTRY.replace(b"{0}", b"%d" % place) for place in range(3)) + rb"(?:,\s*+)?\}\s*+"
)
"""A dict of three entries in any order; Python's own reading of it would take longer than all the rest."""

_RECORDS = re.compile(rb"descr['\"]\s*+:\s*+\[")
_SIZE = re.compile(rb"\d{1,19}")

_NUMBERS = re.compile(r"([<>|=])([biuf][1248])")
_TEXT = re.compile(r"([<>|=])([US])(\d{1,9})")

_NAMES = {np.dtype(code).str[1:]: np.dtype(code).name for code in ("b1", *(f"{k}{n}" for k in "iu" for n in "1248"))}
_NAMES |= {code: np.dtype(code).name for code in ("f2", "f4", "f8")}


@dataclass(frozen=True, slots=True)
class _Header:
    descr: str
    is_fortran: bool
    shape: tuple[int, ...]


def is_spelled(spec: TensorSpec) -> bool:
    """Return whether the form has a word for the type: numpy's own tensors."""
    return spec.is_tensor and (spec.dtype.kind == "O" or spec.dtype.name in _NAMES.values())


def read_npy(octets: bytes, spec: TensorSpec) -> Array:
    """Return the tensor that a file holds; it may be a read-only view of the file.

    Raises:
        MalformedTensors: it is no such file.
        BytesDoNotFit: it holds something else than the input's dtype, or more or fewer bytes than its shape has.
        TooManyElements: the shape has more elements than a request may bring.
    """
    header, begin = _read_header(octets)
    if not is_spelled(spec):
        raise BytesDoNotFit(f"another form, npy has no {spec}", f"npy of {quoted(header.descr)}", UNSUPPORTED)
    check_count(prod(header.shape))
    shape = header.shape[::-1] if header.is_fortran else header.shape
    data = memoryview(octets)[begin:]
    array = _read_data(spec.dtype, header, data, shape)
    return np.ascontiguousarray(array.T).reshape(header.shape) if header.is_fortran else array


def write_npy(name: str, array: Array) -> tuple[bytes, memoryview]:
    """Return a file as its header and its data.

    Args:
        name: of the output, for the refusal.
        array: of a dtype of numpy's own, texts as ``str`` or the UTF-8 of them, in any memory layout.

    Raises:
        NotAcceptable: it holds text that numpy cannot hold.
        OutputNotText: it holds text that is not UTF-8.
    """
    if array.dtype.kind in "OSU":
        array = _as_numpy_text(name, array)
    elif array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    descr = array.dtype.str
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {array.shape}, }}"
    before = len(_MAGIC) + 2 + _LENGTHS[1].size
    padded = header + " " * (-(before + len(header) + 1) % _ALIGNMENT) + "\n"
    head = _MAGIC + b"\x01\x00" + _LENGTHS[1].pack(len(padded)) + padded.encode("ascii")
    flat = np.ascontiguousarray(array).reshape(-1)
    return head, flat.view(np.uint8).data if flat.size else memoryview(b"")


def _read_header(octets: bytes) -> tuple[_Header, int]:
    version = octets[len(_MAGIC)] if len(octets) > len(_MAGIC) + 1 else 0
    if not octets.startswith(_MAGIC) or version not in _LENGTHS or octets[len(_MAGIC) + 1] != 0:
        raise MalformedTensors("this is no npy file of version 1, 2 or 3: numpy.save writes them")
    length = _LENGTHS[version]
    begin = len(_MAGIC) + 2 + length.size
    if len(octets) < begin:
        raise MalformedTensors("the npy file ends within its header")
    (size,) = length.unpack_from(octets, begin - length.size)
    if size > _MAX_HEADER_BYTES:
        raise MalformedTensors(f"the npy file's header may have at most {_MAX_HEADER_BYTES} bytes, not {size}")
    if len(octets) < begin + size:
        raise MalformedTensors("the npy file ends within its header")
    return _understand(octets[begin : begin + size]), begin + size


def _understand(octets: bytes) -> _Header:
    header = _HEADER.fullmatch(octets)
    if header is None:
        if _RECORDS.search(octets):
            raise MalformedTensors("the npy file holds records: a tensor's elements have one dtype")
        raise MalformedTensors("the npy file's header is no dict of descr, fortran_order and shape, as numpy writes it")
    entries = {header[f"key{place}"]: header[f"value{place}"] for place in range(3)}
    descr, is_fortran, shape = (entries.get(name, b"") for name in (b"descr", b"fortran_order", b"shape"))
    if descr[:1] not in (b"'", b'"') or is_fortran not in (b"True", b"False"):
        raise MalformedTensors("the npy file's descr must be text, and its fortran_order True or False")
    return _Header(descr[1:-1].decode("latin-1"), is_fortran == b"True", _sizes(shape))


def _sizes(shape: bytes) -> tuple[int, ...]:
    parts = [part.strip() for part in shape[1:-1].split(b",")]
    if not parts[-1]:  # after the last comma, or in ()
        parts.pop()
    elif len(parts) == 1:  # (3) is no tuple
        parts = [b""]
    if shape[:1] != b"(" or len(parts) > MAX_RANK or not all(map(_SIZE.fullmatch, parts)):
        raise MalformedTensors(f"the npy file's shape must be a tuple of at most {MAX_RANK} sizes")
    return tuple(map(int, parts))


def _read_data(dtype: DType, header: _Header, data: memoryview, shape: tuple[int, ...]) -> Array:
    if text := _TEXT.fullmatch(header.descr):
        if dtype.kind != "O":
            raise wrong_dtype(dtype, "string")
        return _read_text(text[1], text[2], int(text[3]), data, shape)
    number = _NUMBERS.fullmatch(header.descr)
    name = _NAMES.get(number[2]) if number else None
    if name is None or number is None:
        received = "Python's objects" if header.descr.endswith("O") else f"the dtype {quoted(header.descr)}"
        raise BytesDoNotFit(f"a tensor of {dtype.name}", received, "invalid_dtype")
    if name != dtype.name:
        raise wrong_dtype(dtype, name)
    if number[1] == ">" and dtype.numpy.itemsize > 1 and len(data) % dtype.numpy.itemsize == 0:
        words = np.frombuffer(data, f"u{dtype.numpy.itemsize}")
        data = words.byteswap().view(np.uint8).data if words.size else data
    return read_raw(dtype, data, shape)


def _read_text(order: str, kind: str, length: int, data: memoryview, shape: tuple[int, ...]) -> Array:
    size = length * (4 if kind == "U" else 1)
    wanted = prod(shape) * size
    if wanted != len(data):
        raise BytesDoNotFit(f"{wanted} bytes for texts of {length} in the shape {list(shape)}", f"{len(data)} bytes")
    if 0 in shape:
        return _no_texts(shape)
    if not wanted:  # numpy has room for one character at least, and each text costs us more
        raise BytesDoNotFit("texts with room for a character", f"{order}{kind}{length}", "invalid_dtype")
    try:
        texts = np.frombuffer(data, f"{order}{kind}{length}").tolist()
        if kind == "S":
            texts = [text.decode("utf-8") for text in texts]
        else:
            "".join(texts).encode("utf-8")
    except (ValueError, SystemError) as error:  # the latter is what numpy makes of code points that there are none of
        raise BytesDoNotFit("text that UTF-8 can carry", f"other bytes in {kind}{length}", "invalid_dtype") from error
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape)


def _no_texts(shape: tuple[int, ...]) -> Array:
    try:
        return np.empty(shape, object)
    except ValueError as error:  # numpy has no array of [0, 2**62]
        raise BytesDoNotFit("a shape of sane size", str(list(shape))) from error


def _as_numpy_text(name: str, array: Array) -> Array:
    try:
        texts = [text.decode("utf-8") if isinstance(text, bytes) else text for text in array.ravel().tolist()]
        "".join(texts).encode("utf-8")
    except UnicodeError as error:
        raise OutputNotText("an output of the model holds text that is not UTF-8") from error
    if any(text.endswith("\0") for text in texts):
        raise NotAcceptable(f"the output {quoted(name)} holds a text that ends in NUL, which numpy drops: ask for JSON")
    longest = max(map(len, texts), default=0) or 1
    if longest * 4 * len(texts) > MAX_TENSOR_BYTES:
        raise NotAcceptable(
            f"the output {quoted(name)} holds a text of {longest} characters, and numpy has as much room for each:"
            " ask for JSON"
        )
    return np.array(texts, f"<U{longest}").reshape(array.shape)
