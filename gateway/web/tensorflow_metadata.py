"""A version's signature in TensorFlow's words.

Names of members are written in both cases that are about: TensorFlow Serving has ``tensor_shape``, OpenVINO's server
``tensorShape``, and each has clients that know only the one.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gateway.codec.tensorflow_bodies import SIGNATURE_NAME
from registry.records import Version
from registry.tensor import DType, TensorSpec

_ENUM_NAMES: Mapping[int, str] = MappingProxyType(
    {
        1: "DT_FLOAT",
        2: "DT_UINT8",
        3: "DT_INT8",
        4: "DT_UINT16",
        5: "DT_INT16",
        6: "DT_INT32",
        7: "DT_INT64",
        8: "DT_STRING",
        9: "DT_BOOL",
        10: "DT_HALF",
        11: "DT_DOUBLE",
        12: "DT_UINT32",
        13: "DT_UINT64",
        16: "DT_BFLOAT16",
        17: "DT_FLOAT8_E4M3FN",
        18: "DT_FLOAT8_E4M3FNUZ",
        19: "DT_FLOAT8_E5M2",
        20: "DT_FLOAT8_E5M2FNUZ",
        21: "DT_UINT4",
        22: "DT_INT4",
        23: "DT_FLOAT4_E2M1FN",
        25: "DT_UINT2",
        26: "DT_INT2",
    }
)
"""TensorFlow's names of element types, by ONNX's numbers."""

_UNNAMED = "DT_INVALID"
"""What TensorFlow says of what it has no name for: sequences, maps, and scales of eight bits."""

_METHOD = "tensorflow/serving/predict"


def metadata_json(version: Version) -> dict[str, Any]:
    """Return the answer to a request for a version's metadata."""
    spec = {"name": version.model, "signature_name": "", "version": str(version.number)}
    signature = {
        "inputs": _tensors(version.signature.inputs),
        "outputs": _tensors(version.signature.outputs),
        "method_name": _METHOD,
        "methodName": _METHOD,
    }
    signatures = {SIGNATURE_NAME: signature}
    return {
        "model_spec": spec,
        "modelSpec": spec,
        "metadata": {"signature_def": {"signature_def": signatures, "signatureDef": signatures}},
    }


def enum_name(dtype: DType) -> str:
    """Return TensorFlow's name of an element type."""
    return _ENUM_NAMES.get(dtype.onnx_code, _UNNAMED)


def _tensors(specs: Iterable[TensorSpec]) -> dict[str, Any]:
    return {spec.name: _tensor(spec) for spec in specs}


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    sizes = [dim if isinstance(dim, int) else -1 for dim in spec.shape or ()]
    names = [dim if isinstance(dim, str) else "" for dim in spec.shape or ()]
    shape = {
        "dim": [{"size": str(size), "name": name} for size, name in zip(sizes, names, strict=True)],
        "unknown_rank": spec.shape is None or not spec.is_tensor,
    }
    dtype = enum_name(spec.dtype) if spec.is_tensor else _UNNAMED
    return {"dtype": dtype, "tensor_shape": shape, "tensorShape": shape, "name": spec.name}
