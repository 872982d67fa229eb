"""Tensors as a signature describes them: dtypes, dimensions, specs."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

Dim: TypeAlias = int | str | None
"""One dimension: fixed (int), symbolic (a name that must agree within one request) or unknown (None)."""

Shape: TypeAlias = tuple[Dim, ...]
"""The dimensions of a spec; ``None`` in its place means that not even the rank is known."""

MAX_RANK = 32


@dataclass(frozen=True, slots=True)
class DType:
    """One element type, in each of the three vocabularies that meet here."""

    name: str
    """numpy's name, which is also the wire's: ``float32``."""
    onnx_code: int
    """``TensorProto.DataType``, from onnx.proto3."""
    runtime_name: str
    """ONNX Runtime's spelling: ``tensor(float)``."""
    numpy: np.dtype[Any]
    """What arrays of it have; strings travel as ``object``."""

    @property
    def kind(self) -> str:
        """Numpy's kind: ``f`` floating, ``i`` signed, ``u`` unsigned, ``b`` boolean, ``O`` string."""
        return self.numpy.kind


DTYPES: Mapping[str, DType] = MappingProxyType(
    {
        dtype.name: dtype
        for dtype in (
            DType("float32", 1, "tensor(float)", np.dtype(np.float32)),
            DType("uint8", 2, "tensor(uint8)", np.dtype(np.uint8)),
            DType("int8", 3, "tensor(int8)", np.dtype(np.int8)),
            DType("uint16", 4, "tensor(uint16)", np.dtype(np.uint16)),
            DType("int16", 5, "tensor(int16)", np.dtype(np.int16)),
            DType("int32", 6, "tensor(int32)", np.dtype(np.int32)),
            DType("int64", 7, "tensor(int64)", np.dtype(np.int64)),
            DType("string", 8, "tensor(string)", np.dtype(object)),
            DType("bool", 9, "tensor(bool)", np.dtype(np.bool_)),
            DType("float16", 10, "tensor(float16)", np.dtype(np.float16)),
            DType("float64", 11, "tensor(double)", np.dtype(np.float64)),
            DType("uint32", 12, "tensor(uint32)", np.dtype(np.uint32)),
            DType("uint64", 13, "tensor(uint64)", np.dtype(np.uint64)),
        )
    }
)
"""Every element type that a signature can have, by name."""

DTYPE_OF_ONNX_CODE: Mapping[int, DType] = MappingProxyType({dtype.onnx_code: dtype for dtype in DTYPES.values()})


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    dtype: DType
    shape: Shape | None
    """None where the graph does not even state the rank."""
    optional: bool = False
    """True for an input that the graph itself has a default for."""

    def __str__(self) -> str:
        """``float32[batch, 4]``; unknown dimensions are ``?``, an unknown rank is ``[...]``."""
        return f"{self.dtype.name}{format_shape(self.shape)}"

    def as_json(self) -> dict[str, Any]:
        """Return the spec as the wire has it, without ``optional``, which outputs lack."""
        return {"name": self.name, "dtype": self.dtype.name, "shape": None if self.shape is None else list(self.shape)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TensorSpec":
        """Return the spec that ``as_json`` (and an ``optional`` beside it) describes."""
        shape = value["shape"]
        return cls(
            name=value["name"],
            dtype=DTYPES[value["dtype"]],
            shape=None if shape is None else tuple(shape),
            optional=bool(value.get("optional", False)),
        )


def format_shape(shape: Shape | None) -> str:
    """Spell a shape for people: ``[batch, 3, ?]``."""
    if shape is None:
        return "[...]"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
