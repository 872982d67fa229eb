"""Whether two answers of a model to the same row are the same, or close.

1. The same is: of the same dtype and shape, and of the same bits; one NaN stands for all, as on the wire.
2. Close is: floats within ``|a - b| <= absolute + relative * |a|`` of their dtype's tolerance, infinities and NaN in
   the same places, and everything that is no float the same. A label that flips is not close.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from registry.tensor import kind_of
from registry.values import Value, layout, leaves


class Tolerance(NamedTuple):
    """How far two floats may lie apart: ``absolute + relative * |expected|``."""

    absolute: float
    relative: float


TOLERANCES: Final[Mapping[str, Tolerance]] = {
    "float16": Tolerance(1e-2, 1e-2),
    "float32": Tolerance(1e-5, 1e-4),
    "float64": Tolerance(1e-10, 1e-9),
    "bfloat16": Tolerance(2e-2, 2e-2),
    "float8_e4m3fn": Tolerance(0.15, 0.15),
    "float8_e4m3fnuz": Tolerance(0.15, 0.15),
    "float8_e5m2": Tolerance(0.3, 0.3),
    "float8_e5m2fnuz": Tolerance(0.3, 0.3),
    "float8_e8m0fnu": Tolerance(0.0, 0.0),
    "float4_e2m1fn": Tolerance(0.0, 0.0),
}
"""Where nothing else is said, by dtype."""


@dataclass(frozen=True, slots=True)
class Match:
    """How far two answers agree."""

    is_same: bool
    is_close: bool
    difference: float
    """The largest absolute difference of two finite floats; infinite where the answers cannot be compared."""


SAME: Final = Match(is_same=True, is_close=True, difference=0.0)
_INCOMPARABLE: Final = Match(is_same=False, is_close=False, difference=float("inf"))


def compare(one: Sequence[Value], other: Sequence[Value]) -> Match:
    """Compare the outputs of two runs, output by output."""
    if len(one) != len(other):
        return _INCOMPARABLE
    return _together(map(compare_values, one, other))


def compare_values(left: Value, right: Value, tolerance: Tolerance | None = None) -> Match:
    """Compare one output of two runs, array by array; as ``compare_arrays``."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return compare_arrays(left, right, tolerance)
    if layout(left) != layout(right):
        return _INCOMPARABLE
    return _together(compare_arrays(*pair, tolerance) for pair in zip(leaves(left), leaves(right), strict=True))


def _together(matches: Iterable[Match]) -> Match:
    found = SAME
    for match in matches:
        if match is not SAME:
            found = Match(
                is_same=False,
                is_close=found.is_close and match.is_close,
                difference=max(found.difference, match.difference),
            )
    return found


def compare_arrays(left: NDArray[Any], right: NDArray[Any], tolerance: Tolerance | None = None) -> Match:
    """Compare one output of two runs; floats are close within ``tolerance``, or that of their dtype."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return _INCOMPARABLE
    if left.dtype.kind == "O":
        return SAME if left.tolist() == right.tolist() else _INCOMPARABLE
    if left.tobytes() == right.tobytes():
        return SAME
    if kind_of(left.dtype) != "f":
        return _INCOMPARABLE
    return _compare_floats(left, right, tolerance or TOLERANCES[left.dtype.name])


def _compare_floats(left: NDArray[Any], right: NDArray[Any], tolerance: Tolerance) -> Match:
    if _with_one_nan(left).tobytes() == _with_one_nan(right).tobytes():
        return SAME
    with np.errstate(invalid="ignore"):
        one, other = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True) or not np.isfinite(other[finite]).all():
        return _INCOMPARABLE
    with np.errstate(over="ignore"):  # two finite numbers may lie further apart than a float can say
        differences = np.abs(one[finite] - other[finite])
    is_close = bool((differences <= tolerance.absolute + tolerance.relative * np.abs(one[finite])).all())
    return Match(is_same=False, is_close=is_close, difference=float(differences.max(initial=0.0)))


def _with_one_nan(array: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):  # some NaN of types that numpy lacks signal
        return np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
