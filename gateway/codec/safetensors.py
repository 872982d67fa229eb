"""Tensors by name as ``safetensors`` saves them: the length of a header, the header in JSON, then the bytes.

1. The format is small, and its own library is not used for it: of two tensors of one name it silently takes the last
   one, headers of 100 MB with any number of tensors are read, each tensor is copied, and it is given what to write as
   addresses. The tests hold this module against it: what it refuses is refused here.
2. As the format demands, the tensors fill what follows the header, without holes and without overlapping.
3. Types of less than a byte and text have no spelling that readers agree about.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any

import orjson

from gateway.codec.body import Array
from gateway.codec.raw_tensors import BytesDoNotFit, read_raw
from gateway.codec.strict_json import parse_strictly
from gateway.codec.tensor_files import UNSUPPORTED, TypedReader, check_count, wrong_dtype
from registry.errors import MalformedTensors, NotAcceptable, UndecodableBody
from registry.names import quoted
from registry.signature import shortened
from registry.tensor import MAX_RANK, TensorSpec

SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "bool": "BOOL",
        "uint8": "U8",
        "int8": "I8",
        "uint16": "U16",
        "int16": "I16",
        "uint32": "U32",
        "int32": "I32",
        "uint64": "U64",
        "int64": "I64",
        "float16": "F16",
        "bfloat16": "BF16",
        "float32": "F32",
        "float64": "F64",
        "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2",
        "float8_e8m0fnu": "F8_E8M0",
        "float8_e4m3fnuz": "F8_E4M3FNUZ",
        "float8_e5m2fnuz": "F8_E5M2FNUZ",
    }
)
"""The format's name of each dtype that it has."""

_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 16
_METADATA = "__metadata__"
_ENTRIES = {"dtype", "shape", "data_offsets"}
_MAX_HEADER_BYTES = 256 * 1024
"""Room for a thousand tensors with long names."""

_QUICK_HEADER_BYTES = 4 * 1024
"""So long a header is read in the time that a little JSON takes."""

_Offsets = tuple[int, int]


def is_spelled(spec: TensorSpec) -> bool:
    """Return whether the form has a word for the type."""
    return spec.is_tensor and spec.dtype.name in SPELLINGS and spec.name != _METADATA


def is_quick(body: bytes) -> bool:
    """Return whether reading a file takes no longer than looking at its tensors does."""
    return len(body) < _LENGTH.size or _LENGTH.unpack_from(body)[0] <= _QUICK_HEADER_BYTES


def read_safetensors(body: bytes) -> dict[str, TypedReader]:
    """Return what reads each tensor of a file, by its name.

    Raises:
        MalformedTensors: it is no such file.
    """
    header, begin = _read_header(body)
    data = memoryview(body)[begin:]
    tensors = {name: _understand(name, entry) for name, entry in header.items() if name != _METADATA}
    _check_offsets([offsets for _, _, offsets in tensors.values()], len(data))
    return {
        name: partial(_read_tensor, dtype, shape, data[first:last])
        for name, (dtype, shape, (first, last)) in tensors.items()
    }


def write_safetensors(outputs: Iterable[tuple[TensorSpec, Array]]) -> bytes:
    """Return a file of these outputs, each of a dtype of ``SPELLINGS`` and in any memory layout.

    Raises:
        NotAcceptable: the format has no word for one of them.
    """
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    end = 0
    # The wider ones first: so every tensor stands where its elements may be read in place.
    for spec, array in sorted(outputs, key=lambda output: -output[1].dtype.itemsize):
        if not is_spelled(spec):
            raise NotAcceptable(f"safetensors has no word for the output {quoted(spec.name)}, {spec}")
        octets = array.tobytes()
        begin, end = end, end + len(octets)
        header[spec.name] = {
            "dtype": SPELLINGS[spec.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        parts.append(octets)
    text = orjson.dumps(header)
    text += b" " * (-(_LENGTH.size + len(text)) % _ALIGNMENT)
    return b"".join((_LENGTH.pack(len(text)), text, *parts))


def _read_header(body: bytes) -> tuple[dict[str, Any], int]:
    if len(body) < _LENGTH.size:
        raise MalformedTensors("this is no safetensors file: it ends before its header")
    (size,) = _LENGTH.unpack_from(body)
    if size > min(len(body) - _LENGTH.size, _MAX_HEADER_BYTES):
        most = f"the file, and at most {_MAX_HEADER_BYTES} bytes"
        raise MalformedTensors(f"the safetensors file's header must be within {most}, but has {size}")
    begin = _LENGTH.size + size
    try:
        header = parse_strictly(body[_LENGTH.size : begin])
    except UndecodableBody as error:
        raise MalformedTensors(f"the safetensors file's header cannot be read: {error.detail}") from error
    if not isinstance(header, dict):
        raise MalformedTensors("the safetensors file's header must be an object")
    metadata = header.get(_METADATA, {})
    if not isinstance(metadata, dict) or any(not isinstance(text, str) for text in metadata.values()):
        raise MalformedTensors("the safetensors file's __metadata__ must be an object of texts")
    return header, begin


def _understand(name: str, entry: object) -> tuple[str, tuple[int, ...], _Offsets]:
    here = f"the safetensors file's {quoted(name)}"
    if not isinstance(entry, dict) or set(entry) != _ENTRIES or not isinstance(entry["dtype"], str):
        raise MalformedTensors(f"{here} must have dtype, shape and data_offsets, and nothing else")
    shape, offsets = _sizes(entry["shape"]), _sizes(entry["data_offsets"])
    if shape is None or len(shape) > MAX_RANK:
        raise MalformedTensors(f"{here} must have a shape of at most {MAX_RANK} sizes")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:  # noqa: PLR2004 - begin and end
        raise MalformedTensors(f"{here} must have data_offsets that are where it begins and ends")
    return entry["dtype"], shape, (offsets[0], offsets[1])


def _sizes(value: object) -> tuple[int, ...] | None:
    if isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value):
        return tuple(value)
    return None


def _check_offsets(offsets: list[_Offsets], size: int) -> None:
    end = 0
    for first, last in sorted(offsets):
        if first != end:
            raise MalformedTensors("the safetensors file's tensors overlap, or leave a hole")
        end = last
    if end != size:
        raise MalformedTensors(f"the safetensors file's tensors end at {end} of {size} bytes")


def _read_tensor(dtype: str, shape: tuple[int, ...], data: memoryview, spec: TensorSpec) -> Array:
    if not is_spelled(spec):
        raise BytesDoNotFit(f"another form, safetensors has no {spec}", quoted(shortened(dtype)), UNSUPPORTED)
    if dtype != SPELLINGS[spec.dtype.name]:
        named = next((name for name, spelling in SPELLINGS.items() if spelling == dtype), quoted(dtype))
        raise wrong_dtype(spec.dtype, named)
    check_count(prod(shape))
    return read_raw(spec.dtype, data, shape)
