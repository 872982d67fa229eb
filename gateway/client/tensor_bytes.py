"""Tensors as bytes, by name: what requests and answers are where every tensor of theirs has a spelling.

The form is safetensors: the length of a header, the header in JSON (name, type, shape, where the bytes lie), then the
bytes, little-endian and row-major. It has words for every type of numpy's own but text, and for bfloat16, which is
float32 on this side; tensors without elements and scalars are no exceptions. Text, types of less than a byte, sequences
and maps go as JSON.
"""

import struct
from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gateway.client.tensors import Spec
from gateway.client.wire import not_a_gateway

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CONTENT_TYPE = "application/vnd.safetensors"

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
    }
)
"""The form's name of each dtype that is sent and read here."""

_DTYPES = {spelling: dtype for dtype, spelling in SPELLINGS.items()}
_METADATA = "__metadata__"
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 16


def has_spelling(spec: Spec) -> bool:
    """Return whether the form has a word for an input or output."""
    return not spec.get("containers") and spec["dtype"] in SPELLINGS and spec["name"] != _METADATA


def is_cast(array: Any, spec: Spec) -> bool:
    """Return whether a value is an array of just the dtype that its input has (for bfloat16: of float32)."""
    wanted = "float32" if spec["dtype"] == "bfloat16" else spec["dtype"]
    return hasattr(array, "dtype") and array.dtype.name == wanted


def write_tensors(feed: Mapping[str, "Array"], specs: Sequence[Spec]) -> bytes:
    """Return a file of these arrays, which are cast already; ``read_tensors(write_tensors(f)) == f``."""
    import orjson

    dtypes = {spec["name"]: spec["dtype"] for spec in specs}
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    end = 0
    # The wider ones first: so every tensor stands where its elements can be read in place.
    for name, array in sorted(feed.items(), key=lambda item: -item[1].dtype.itemsize):
        octets = _octets(array, dtypes[name])
        begin, end = end, end + len(octets)
        header[name] = {"dtype": SPELLINGS[dtypes[name]], "shape": array.shape, "data_offsets": [begin, end]}
        parts.append(octets)
    text = orjson.dumps(header)
    text += b" " * (-(_LENGTH.size + len(text)) % _ALIGNMENT)
    return b"".join((_LENGTH.pack(len(text)), text, *parts))


def read_tensors(body: bytes) -> dict[str, "Array"]:
    """Return the arrays of a file by name, in the order of their names in the header; each is the reader's own.

    Raises:
        Fault: ``not_a_gateway``: it is no such file, or has a type that was not asked for.
    """
    import orjson

    try:
        (size,) = _LENGTH.unpack_from(body)
        begin = _LENGTH.size + size
        header = orjson.loads(body[_LENGTH.size : begin])
        data = memoryview(body)[begin:]
        return {name: _read(entry, data) for name, entry in header.items() if name != _METADATA}
    except (struct.error, ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise not_a_gateway(f"it is no safetensors file: {error}") from None


def _octets(array: "Array", dtype: str) -> bytes:
    import numpy as np

    if dtype == "bfloat16":
        return (array.astype("<f4", copy=False).view("<u4") >> 16).astype("<u2").tobytes()
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _read(entry: Mapping[str, Any], data: memoryview) -> "Array":
    import numpy as np

    dtype, shape, (first, last) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    is_brain = dtype == "bfloat16"
    kind = np.dtype("<u2") if is_brain else np.dtype(dtype).newbyteorder("<")
    if last - first != prod(shape) * kind.itemsize or not 0 <= first <= last <= len(data):
        raise ValueError(f"{last - first} bytes for {dtype}{shape}")
    array = np.frombuffer(data[first:last], kind).reshape(shape)
    if is_brain:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.dtype(dtype), copy=True)
