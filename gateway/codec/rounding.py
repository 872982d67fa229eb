"""From float64 to a narrower float as if the decimal text had been rounded once.

1. Decimal text is first rounded to float64, which is right for float64 and only half of the way for the others:
   rounding a second time goes wrong where the first one landed exactly halfway between two narrow floats.
2. Rounding is monotone. Where the float64's neighbours on both sides become the same narrow float, the text does too:
   that is certain, and cheap to find out for a whole array.
3. Where they differ, the text decides: the float64 is replaced by the text rounded *to odd*, and then rounding twice is
   exact, because 53 bits are at least two more than any narrower format has.

Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd",
IEEE Transactions on Computers 57(4), 2008.
"""

import math
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from gateway.codec.body import Array

# Factors, not bit patterns: zeros, infinities and NaN stay what they are.
BELOW = np.array(1 - 2**-52)
ABOVE = np.array(1 + 2**-52)


def narrow_if_certain(doubles: Array, dtype: np.dtype[Any]) -> Array | None:
    """Narrow rounded decimals where the text cannot matter.

    Args:
        doubles: float64 of rank 1 or more, none of which overflows ``dtype``.
        dtype: float16 or float32.

    Returns:
        The array in ``dtype``, or None if the text of at least one element has to be looked at.
    """
    low = (doubles * BELOW).astype(dtype)
    high = (doubles * ABOVE).astype(dtype)
    return low if low.tobytes() == high.tobytes() else None


def row_narrowing(width: int) -> Callable[[Sequence[float]], Array | None]:
    """Return what does the same for one row of ``width`` Python floats, as float32 [1, width].

    For a few elements Python's own arithmetic takes less time than a handful of calls of numpy. The function raises
    OverflowError for what overflows, and TypeError for the words of NaN and infinity.
    """
    pack = struct.Struct(f"={width}f").pack
    below, above, dtype, shape = float(BELOW), float(ABOVE), np.dtype(np.float32), (1, width)

    def narrow(row: Sequence[float]) -> Array | None:
        low = pack(*[value * below for value in row])
        if low != pack(*[value * above for value in row]):
            return None
        return np.ndarray(shape, dtype, bytearray(low))

    return narrow


def narrow_exactly(doubles: Array, dtype: np.dtype[Any], literals: Sequence[object]) -> Array:
    """Narrow rounded decimals, looking at the text where it matters.

    Args:
        doubles: float64 [n], each the nearest one to its literal; what overflows ``dtype`` becomes infinite.
        dtype: float16, float32 or float64.
        literals: n ``int`` or ``bytes`` that ``doubles`` were read from; ``str`` for the words of infinity.
    """
    if dtype == np.float64:
        return doubles
    with np.errstate(over="ignore"):
        low, high = (doubles * BELOW).astype(dtype), (doubles * ABOVE).astype(dtype)
        doubtful = np.flatnonzero((low != high) & ~np.isnan(doubles))
        sticky = doubles.copy()
        for index in doubtful.tolist():
            sticky[index] = round_to_odd(literals[index], nearest=float(doubles[index]))
        return sticky.astype(dtype)


def round_to_odd(literal: object, *, nearest: float) -> float:
    """Return the neighbour of a literal's exact value whose last bit is set, or the value itself if it is a float64."""
    exact = Decimal(literal) if isinstance(literal, int) else Decimal(str(literal, "ascii"))  # type: ignore[call-overload]
    rounded = Decimal(nearest)
    if exact == rounded or _is_odd(nearest):
        return nearest
    return math.nextafter(nearest, math.inf if exact > rounded else -math.inf)


def _is_odd(value: float) -> bool:
    return bool(struct.pack("<d", value)[0] & 1)
