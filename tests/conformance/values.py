"""What goes into models and comes out: arrays, lists of values (sequences), dicts (maps), None (absent optionals).

Numbers that numpy lacks are arrays of the dtypes of ml_dtypes; text is an object array of str.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Value: TypeAlias = "Array | list[Value] | dict[Any, Any] | None"

SEQUENCE = "sequence"
MAP = "map"
OPTIONAL = "absent optional"


def name_of(array: Array) -> str:
    """Return the name of an array's element type: ``float32``, ``string``, ``float8_e4m3fn``."""
    return "string" if array.dtype.kind in "OSU" else array.dtype.name


def dtype_named(name: str) -> np.dtype[Any]:
    """Return the dtype that ``name_of`` names."""
    if name == "string":
        return np.dtype(object)
    return np.dtype(getattr(ml_dtypes, name, name))


def arrays_in(value: Value) -> Iterator[Array]:
    """Yield every array of a value, from the outside in, in order."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from arrays_in(item)
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))


def types_in(value: Value) -> set[str]:
    """Return the names of all element types and containers of a value."""
    found = {name_of(array) for array in arrays_in(value)}
    if isinstance(value, list):
        return found | {SEQUENCE}
    if isinstance(value, dict):
        return found | {MAP}
    return found | {OPTIONAL} if value is None else found


def difference(expected: Value, received: Value, *, one_nan: bool = False, where: str = "") -> str | None:
    """Say what the first difference between two values is, bit for bit; None if there is none.

    Args:
        expected: what it should be.
        received: what came.
        one_nan: True where no NaN differs from another.
        where: the name of what is compared.
    """
    if isinstance(expected, np.ndarray) and isinstance(received, np.ndarray):
        found = _array_difference(expected, received, one_nan=one_nan)
        return found and f"{where}: {found}"
    if isinstance(expected, list | dict) and type(expected) is type(received):
        return _members_difference(expected, received, one_nan, where)
    if expected is None and received is None:
        return None
    return f"{where}: {_shown(expected)} came as {_shown(received)}"


def _members_difference(expected: Any, received: Any, one_nan: bool, where: str) -> str | None:  # noqa: FBT001
    keys = (range(len(expected)), range(len(received))) if isinstance(expected, list) else (expected, received)
    if list(keys[0]) != list(keys[1]):
        return f"{where}: members {list(keys[0])} came as {list(keys[1])}"
    differences = (
        difference(expected[key], received[key], one_nan=one_nan, where=f"{where}[{key!r}]") for key in keys[0]
    )
    return next((found for found in differences if found), None)


def _array_difference(expected: Array, received: Array, *, one_nan: bool) -> str | None:
    if (name_of(expected), expected.shape) != (name_of(received), received.shape):
        return f"{_shown(expected)} came as {_shown(received)}"
    same = _bits(expected) == _bits(received)
    if one_nan and is_floating(expected):
        same |= np.isnan(expected) & np.isnan(received)
    if same.all():
        return None
    at = tuple(int(index) for index in np.argwhere(~same)[0])
    pair = f"{expected[at]!r} came as {received[at]!r}"
    return f"{int((~same).sum())} of {same.size} elements differ, first at {list(at)}: {pair}"


def is_floating(array: Array) -> bool:
    """True if it has floating numbers, be they numpy's own or foreign."""
    return "float" in array.dtype.name


def _bits(array: Array) -> Array:
    if array.dtype.kind == "O":
        return array
    whole = np.ascontiguousarray(array).view(f"u{array.itemsize}").reshape(array.shape)
    return whole & (2 ** bits_of(array.dtype) - 1) if array.itemsize == 1 and is_foreign(array.dtype) else whole


def is_foreign(dtype: np.dtype[Any]) -> bool:
    """True if numpy itself has no such type. (The kind does not tell: float8_e5m2 calls itself floating.)"""
    return dtype.isbuiltin != 1 and dtype.kind not in "OSU"


def bits_of(dtype: np.dtype[Any]) -> int:
    """Return how many bits of its bytes an element of a foreign type has; what the others hold means nothing."""
    return int(ml_dtypes.finfo(dtype).bits if "float" in dtype.name else ml_dtypes.iinfo(dtype).bits)


def _shown(value: Value) -> str:
    if isinstance(value, np.ndarray):
        return f"{name_of(value)}{list(value.shape)}"
    return "nothing" if value is None else type(value).__name__
