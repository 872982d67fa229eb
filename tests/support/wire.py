"""What a caller does to bodies: arrays into JSON, and answers back into arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

Array = np.ndarray[Any, np.dtype[Any]]

_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def body_of(feed: Mapping[str, Array]) -> bytes:
    """Return the predict body that carries these arrays, each number in its shortest form."""
    inputs = {name: _tensor(array) for name, array in feed.items()}
    return orjson.dumps({"inputs": inputs}, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _tensor(array: Array) -> Any:
    if 0 in array.shape[:-1]:
        return {"shape": list(array.shape), "data": []}
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _spelled(array.tolist())
    return array


def _plain(array: Array) -> Any:
    return array.tolist()


def _spelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def array_of(value: Any, dtype: "np.dtype[Any]") -> Array:
    """Return the array that an answer's tensor spells."""
    if isinstance(value, dict):
        return array_of(value["data"], dtype).reshape(value["shape"])
    if dtype.kind == "f":
        return np.array(_read(value), dtype=np.float64).astype(dtype)
    return np.array(value, dtype=dtype)


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def same_bits(left: Sequence[Array], right: Sequence[Array]) -> bool:
    """Whether arrays are equal in dtype, shape and every bit (of NaN: that it is one)."""
    return len(left) == len(right) and all(_same(one, other) for one, other in zip(left, right, strict=True))


def _same(one: Array, other: Array) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        nan = np.isnan(one)
        if not np.array_equal(nan, np.isnan(other)):
            return False
        return np.where(nan, 0, one).astype(one.dtype).tobytes() == np.where(nan, 0, other).astype(one.dtype).tobytes()
    if one.dtype == object:
        return bool(np.array_equal(one, other))
    return one.tobytes() == other.tobytes()
