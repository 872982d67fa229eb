"""What goes into a model and comes out of it: arrays, and what ONNX wraps them in.

A tensor is an array, a sequence a list, a map a dict, and an optional that is absent is None. Arrays of a type that
numpy lacks have a dtype of ``ml_dtypes``, an element a byte or two; ONNX packs those of less than a byte (``pack``).
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from registry.tensor import DType

Value: TypeAlias = NDArray[Any] | list[Any] | dict[Any, Any] | None
"""Lists and dicts hold values in their turn."""

_BYTE = 8

_MANY = 1_000


def leaves(value: Value) -> Iterator[NDArray[Any]]:
    """Yield the arrays of a value, in their order; of a map, in that of its entries."""
    if isinstance(value, np.ndarray):
        yield value
    elif value is not None:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)


def layout(value: Value) -> Hashable:
    """Return what a value is but for its arrays: two of the same layout have as many, in the same places."""
    if isinstance(value, dict):
        return "map", tuple((key, layout(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return "sequence", tuple(map(layout, value))
    return "absent" if value is None else "tensor"


def size_of(value: Value) -> int:
    """Return how many elements a value has, texts counted by their characters; what holds them counts as one each."""
    if isinstance(value, np.ndarray):
        return value.size + (sum(map(len, value.flat)) if value.dtype.kind == "O" else 0)
    if value is None:
        return 0
    return sum(1 + size_of(inner) for inner in (value.values() if isinstance(value, dict) else value))


def bytes_of(value: Value) -> int:
    """Return how much memory the arrays of a value take; of texts, what refers to them."""
    return value.nbytes if isinstance(value, np.ndarray) else sum(array.nbytes for array in leaves(value))


def hold_many(values: Iterable[Value]) -> bool:
    """Return whether there are so many sequences, maps and arrays inside that a look at each takes milliseconds."""
    level = [value for value in values if isinstance(value, list | dict)]
    count = 0
    while level and count <= _MANY:
        count += sum(map(len, level))
        within = (inner for value in level for inner in (value.values() if isinstance(value, dict) else value))
        level = [inner for inner in within if isinstance(inner, list | dict)] if count <= _MANY else []
    return count > _MANY


def copy_of(value: Value) -> Any:
    """Return a value that shares no array with this one."""
    if isinstance(value, dict):
        return {key: copy_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(copy_of, value))
    return None if value is None else value.copy()


def pack(dtype: DType, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the elements as ONNX packs them: of less than a byte, the first one at the lower end (onnx.proto)."""
    octets: NDArray[np.uint8] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    if dtype.bits >= _BYTE:
        return octets
    each = _BYTE // dtype.bits
    padded = np.zeros(-(-octets.size // each) * each, np.uint8)
    padded[: octets.size] = octets & (2**dtype.bits - 1)
    shifts = np.arange(each, dtype=np.uint8) * dtype.bits
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(padded.reshape(-1, each) << shifts, axis=1)
    return packed


def unpack(dtype: DType, octets: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array that ``pack`` was given."""
    whole = np.frombuffer(octets, np.uint8)
    if dtype.bits >= _BYTE:
        return whole.copy().view(dtype.numpy).reshape(shape)
    each, count = _BYTE // dtype.bits, int(np.prod(shape, dtype=np.int64))
    shifts = np.arange(each, dtype=np.uint8) * dtype.bits
    parts: NDArray[Any] = ((whole[:, None] >> shifts) & (2**dtype.bits - 1)).reshape(-1)[:count]
    if dtype.kind == "i":  # the sign is the highest bit of the element, and of the byte that it becomes
        parts = parts | np.where(parts >> (dtype.bits - 1), 256 - 2**dtype.bits, 0).astype(np.uint8)
    return parts.view(dtype.numpy).reshape(shape)
