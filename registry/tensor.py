"""Tensors as a signature describes them: dtypes, dimensions, specs."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

Dim: TypeAlias = int | str | None
"""One dimension: fixed (int), symbolic (a name that must agree within one request) or unknown (None)."""

Shape: TypeAlias = tuple[Dim, ...]
"""The dimensions of a spec; ``None`` in its place means that not even the rank is known."""

MAX_RANK = 32

SEQUENCE = "sequence"
OPTIONAL = "optional"
_MAP = "map"

_FROM_ELSEWHERE = 2
"""``numpy.dtype.isbuiltin`` of types that a library has registered."""


@dataclass(frozen=True, slots=True)
class DType:
    """One element type, in each of the vocabularies that meet here."""

    name: str
    """numpy's name, which is also the wire's: ``float32``."""
    onnx_code: int
    """``TensorProto.DataType``, from onnx.proto3."""
    runtime_name: str
    """ONNX Runtime's spelling: ``tensor(float)``."""
    numpy: np.dtype[Any]
    """What arrays of it have; strings travel as ``object``."""
    kind: str
    """As numpy's kinds: ``f`` floating, ``i`` signed, ``u`` unsigned, ``b`` boolean, ``O`` string."""
    bits: int
    """Of one element as ONNX packs it; 0 for strings."""

    @property
    def is_foreign(self) -> bool:
        """True if numpy itself has no such type: its arrays have a dtype of ``ml_dtypes``, a byte or two an element."""
        return is_foreign(self.numpy)

    @property
    def least(self) -> float | int:
        """The smallest finite number of the type."""
        return self._bounds()[0]

    @property
    def most(self) -> float | int:
        """The largest finite number of the type."""
        return self._bounds()[1]

    def _bounds(self) -> tuple[float, float] | tuple[int, int]:
        if self.kind == "f":
            floats = ml_dtypes.finfo(self.numpy)  # type: ignore[no-untyped-call]  # it ships half its types
            return float(floats.min), float(floats.max)
        integers = ml_dtypes.iinfo(self.numpy)  # type: ignore[no-untyped-call]  # as above
        return int(integers.min), int(integers.max)


def is_foreign(dtype: np.dtype[Any]) -> bool:
    """Return whether numpy has a type from somebody else; some of those say that they are of its own kind ``f``."""
    return dtype.isbuiltin == _FROM_ELSEWHERE


def _known(code: int, runtime_name: str, numpy: Any, kind: str | None = None, bits: int | None = None) -> DType:
    dtype = np.dtype(numpy)
    name = "string" if dtype.kind == "O" else dtype.name
    size = 0 if dtype.kind == "O" else 8 * dtype.itemsize
    return DType(name, code, f"tensor({runtime_name})", dtype, kind or dtype.kind, size if bits is None else bits)


DTYPES: Mapping[str, DType] = MappingProxyType(
    {
        dtype.name: dtype
        for dtype in (
            _known(1, "float", np.float32),
            _known(2, "uint8", np.uint8),
            _known(3, "int8", np.int8),
            _known(4, "uint16", np.uint16),
            _known(5, "int16", np.int16),
            _known(6, "int32", np.int32),
            _known(7, "int64", np.int64),
            _known(8, "string", np.object_),
            _known(9, "bool", np.bool_),
            _known(10, "float16", np.float16),
            _known(11, "double", np.float64),
            _known(12, "uint32", np.uint32),
            _known(13, "uint64", np.uint64),
            _known(16, "bfloat16", ml_dtypes.bfloat16, "f"),
            _known(17, "float8e4m3fn", ml_dtypes.float8_e4m3fn, "f"),
            _known(18, "float8e4m3fnuz", ml_dtypes.float8_e4m3fnuz, "f"),
            _known(19, "float8e5m2", ml_dtypes.float8_e5m2, "f"),
            _known(20, "float8e5m2fnuz", ml_dtypes.float8_e5m2fnuz, "f"),
            _known(21, "uint4", ml_dtypes.uint4, "u", 4),
            _known(22, "int4", ml_dtypes.int4, "i", 4),
            _known(23, "float4e2m1", ml_dtypes.float4_e2m1fn, "f", 4),
            _known(24, "float8e8m0", ml_dtypes.float8_e8m0fnu, "f"),
            _known(25, "uint2", ml_dtypes.uint2, "u", 2),
            _known(26, "int2", ml_dtypes.int2, "i", 2),
        )
    }
)
"""Every element type that a signature can have, by name."""

DTYPE_OF_NUMPY: Mapping[np.dtype[Any], DType] = MappingProxyType({dtype.numpy: dtype for dtype in DTYPES.values()})

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
    containers: tuple[str, ...] = ()
    """What the tensor is wrapped in, from outside in: SEQUENCE, OPTIONAL, or a map's name (``map_of``).

    ``dtype`` and ``shape`` are then those of the tensors inside. A tensor is wrapped in nothing."""

    @property
    def is_tensor(self) -> bool:
        """False for a sequence, a map or an optional."""
        return not self.containers

    @property
    def may_be_absent(self) -> bool:
        """True for an input that need not be given."""
        return self.optional or self.containers[:1] == (OPTIONAL,)

    @property
    def runtime_type(self) -> str:
        """The type as ONNX Runtime spells it: ``seq(map(int64,tensor(float)))``."""
        spelled = self.dtype.runtime_name
        for container in reversed(self.containers):
            key = map_key(container)
            if key is not None:
                spelled = f"map({key.name},{spelled})"
            else:
                spelled = f"seq({spelled})" if container == SEQUENCE else f"optional({spelled})"
        return spelled

    def __str__(self) -> str:
        """``float32[batch, 4]``; unknown dimensions are ``?``, an unknown rank is ``[...]``: ``sequence(int64[?])``."""
        tensor = f"{self.dtype.name}{format_shape(self.shape)}"
        return "".join(f"{container}(" for container in self.containers) + tensor + ")" * len(self.containers)

    def as_json(self) -> dict[str, Any]:
        """Return the spec as the wire has it, without ``optional``, which outputs lack."""
        shape = None if self.shape is None else list(self.shape)
        tensor = {"name": self.name, "dtype": self.dtype.name, "shape": shape}
        return tensor | ({"containers": list(self.containers)} if self.containers else {})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TensorSpec":
        """Return the spec that ``as_json`` (and an ``optional`` beside it) describes."""
        shape = value["shape"]
        return cls(
            name=value["name"],
            dtype=DTYPES[value["dtype"]],
            shape=None if shape is None else tuple(shape),
            optional=bool(value.get("optional", False)),
            containers=tuple(value.get("containers", ())),
        )


def map_of(key: DType) -> str:
    """Return the container's name of maps with such keys: ``map[int64]``."""
    return f"{_MAP}[{key.name}]"


def map_key(container: str) -> DType | None:
    """Return what keys a map has; None if the container is no map."""
    name = container.removeprefix(f"{_MAP}[").removesuffix("]")
    return DTYPES[name] if name != container else None


def kind_of(dtype: np.dtype[Any]) -> str:
    """Return the kind of an array's elements, as ``DType.kind`` has it, also where numpy does not know their type."""
    known = DTYPE_OF_NUMPY.get(dtype) if is_foreign(dtype) else None
    return dtype.kind if known is None else known.kind


def format_shape(shape: Shape | None) -> str:
    """Spell a shape for people: ``[batch, 3, ?]``."""
    if shape is None:
        return "[...]"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
