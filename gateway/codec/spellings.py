"""How every element type is spelled on every wire: the one table of it, which the documentation is made from too.

A wire that has no word for a type has None: a tensor of that type cannot travel on it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from registry.tensor import DTYPES, DType


class Spelling(NamedTuple):
    """One element type on every wire."""

    native: str
    """In Sardonyx's own JSON, and in signatures."""
    open_inference: str | None
    """``datatype`` of the Open Inference Protocol, over REST and gRPC."""
    has_open_inference_json: bool
    """True if its elements may be written as JSON there; all that have a ``datatype`` may travel as bytes."""
    grpc_contents: str | None
    """The field of ``InferTensorContents`` that holds its elements; None where only raw contents can."""
    tensorflow: str | None
    """The name in TensorFlow's ``DataType``."""
    npy: str | None
    """The descriptor in the head of an ``.npy`` file."""
    safetensors: str | None
    """``dtype`` in the head of a safetensors file."""


_ROWS: tuple[tuple[str, str | None, str | None, str | None, str | None, str | None], ...] = (
    # native          OIP       gRPC contents      TensorFlow             npy    safetensors
    ("bool",           "BOOL",   "bool_contents",   "DT_BOOL",             "|b1", "BOOL"),
    ("int8",           "INT8",   "int_contents",    "DT_INT8",             "|i1", "I8"),
    ("int16",          "INT16",  "int_contents",    "DT_INT16",            "<i2", "I16"),
    ("int32",          "INT32",  "int_contents",    "DT_INT32",            "<i4", "I32"),
    ("int64",          "INT64",  "int64_contents",  "DT_INT64",            "<i8", "I64"),
    ("uint8",          "UINT8",  "uint_contents",   "DT_UINT8",            "|u1", "U8"),
    ("uint16",         "UINT16", "uint_contents",   "DT_UINT16",           "<u2", "U16"),
    ("uint32",         "UINT32", "uint_contents",   "DT_UINT32",           "<u4", "U32"),
    ("uint64",         "UINT64", "uint64_contents", "DT_UINT64",           "<u8", "U64"),
    ("float16",        "FP16",   None,              "DT_HALF",             "<f2", "F16"),
    ("float32",        "FP32",   "fp32_contents",   "DT_FLOAT",            "<f4", "F32"),
    ("float64",        "FP64",   "fp64_contents",   "DT_DOUBLE",           "<f8", "F64"),
    ("bfloat16",       "BF16",   None,              "DT_BFLOAT16",         None,  "BF16"),
    ("string",         "BYTES",  "bytes_contents",  "DT_STRING",           None,  None),
    ("float8_e4m3fn",  None,     None,              "DT_FLOAT8_E4M3FN",    None,  "F8_E4M3"),
    ("float8_e4m3fnuz", None,    None,              "DT_FLOAT8_E4M3FNUZ",  None,  None),
    ("float8_e5m2",    None,     None,              "DT_FLOAT8_E5M2",      None,  "F8_E5M2"),
    ("float8_e5m2fnuz", None,    None,              "DT_FLOAT8_E5M2FNUZ",  None,  None),
    ("float8_e8m0fnu", None,     None,              None,                  None,  "F8_E8M0"),
    ("float4_e2m1fn",  None,     None,              None,                  None,  None),
    ("int4",           None,     None,              "DT_INT4",             None,  None),
    ("uint4",          None,     None,              "DT_UINT4",            None,  None),
    ("int2",           None,     None,              "DT_INT2",             None,  None),
    ("uint2",          None,     None,              "DT_UINT2",            None,  None),
)  # fmt: skip


def _spelling(row: tuple[str, str | None, str | None, str | None, str | None, str | None]) -> Spelling:
    native, open_inference, grpc_contents, tensorflow, npy, safetensors = row
    return Spelling(native, open_inference, open_inference is not None, grpc_contents, tensorflow, npy, safetensors)


SPELLINGS: Mapping[str, Spelling] = MappingProxyType({row[0]: _spelling(row) for row in _ROWS})
"""Every element type that a signature can have, by its own name."""


def _by(words: Iterable[tuple[str | None, str]]) -> Mapping[str, DType]:
    return MappingProxyType({word: DTYPES[name] for word, name in words if word is not None})


DTYPE_OF_OPEN_INFERENCE = _by((spelling.open_inference, name) for name, spelling in SPELLINGS.items())
"""The element types that the Open Inference Protocol has, by ``datatype``."""
DTYPE_OF_TENSORFLOW = _by((spelling.tensorflow, name) for name, spelling in SPELLINGS.items())
"""The element types that TensorFlow has, by their names there."""
DTYPE_OF_SAFETENSORS = _by((spelling.safetensors, name) for name, spelling in SPELLINGS.items())
"""The element types that safetensors files have, by ``dtype``."""
