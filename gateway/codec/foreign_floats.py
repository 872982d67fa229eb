"""Decimals to the float types that numpy lacks, rounded once.

1. A type of eight bits or less is a table of its values: the nearest one is looked up, ties to the even code.
2. bfloat16 is the upper half of a float32. A float64 is rounded to odd to a float32 first, and then to nearest: that
   is exact, since 24 bits are more than two above its eight.
3. What rounds past the largest value overflows, as it would if the exponent had no end. A type without negative
   numbers takes none, and no zero.
4. As in ``rounding``, only those literals are looked at that lie close to where two values meet.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gateway.codec.body import INFINITE_WORDS, Array
from gateway.codec.rounding import ABOVE, BELOW, round_to_odd
from registry.tensor import DType

_BYTE = 8


def words_of(dtype: DType) -> tuple[str, ...]:
    """Return the words for floats that JSON has no number for, as far as the type has such floats."""
    every = _every_value(dtype)
    has_nan, has_infinity = bool(np.isnan(every).any()), bool(np.isinf(every).any())
    nan, *infinite = INFINITE_WORDS
    return (nan,) * has_nan + tuple(infinite) * has_infinity


def read_foreign_floats(dtype: DType, doubles: Array, literals: Sequence[Any]) -> tuple[Array, list[int]]:
    """Return an array [n] of the type, and which elements are none of its numbers.

    Args:
        dtype: a foreign floating one.
        doubles: float64 [n], each the nearest one to its literal.
        literals: n ``int`` or ``bytes`` that they were read from; ``str`` for a word of the type.
    """
    exact = doubles.copy()
    with np.errstate(over="ignore"):  # the neighbour of the largest float64 is infinite
        low, high = _round(dtype, doubles * BELOW), _round(dtype, doubles * ABOVE)
    doubtful = (low.view(_unsigned(dtype)) != high.view(_unsigned(dtype))) & np.isfinite(doubles)
    for index in np.flatnonzero(doubtful).tolist():
        exact[index] = round_to_odd(literals[index], nearest=float(doubles[index]))
    words = np.array([isinstance(literal, str) for literal in literals], bool)
    outside = _is_outside(dtype, exact) & ~words
    return _round(dtype, exact), np.flatnonzero(outside).tolist()


def _is_outside(dtype: DType, values: Array) -> Array:
    bound, is_included = _bound(dtype)
    size = np.abs(values)
    outside: Array = (size > bound) | ((size == bound) & (not is_included))
    if dtype.least > 0:
        outside |= values <= 0
    return outside


@cache
def _bound(dtype: DType) -> tuple[float, bool]:
    """Return the number halfway past the largest one, and whether it rounds down to that, whose code is even then."""
    finite = _codes(dtype)
    last = float(finite.values[-1])
    step = last if dtype.least > 0 else last - float(finite.values[-2])  # powers of two only: the next one is twice it
    return last + step / 2, not finite.codes[-1] % 2


class _Codes(NamedTuple):
    """The finite numbers of a type that are not negative, in their order."""

    values: Array
    """float64."""
    codes: Array
    """Their bits."""
    middles: Array
    """float64: halfway to the next one."""


@cache
def _codes(dtype: DType) -> _Codes:
    every = _every_value(dtype)
    kept = np.flatnonzero(np.isfinite(every) & ~np.signbit(every))
    values = every[kept]
    return _Codes(values, kept.astype(_unsigned(dtype)), (values[:-1] + values[1:]) / 2)


def _every_value(dtype: DType) -> Array:
    bits = np.arange(2**dtype.bits, dtype=np.uint32).astype(_unsigned(dtype))
    with np.errstate(invalid="ignore"):  # NaN
        every: Array = bits.view(dtype.numpy).astype(np.float64)
    return every


def _unsigned(dtype: DType) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.numpy.itemsize}")


def _round(dtype: DType, values: Array) -> Array:
    if dtype.bits > _BYTE:
        return _as_float32(values).astype(dtype.numpy)
    codes = _codes(dtype)
    size = np.abs(values)
    places = np.searchsorted(codes.middles, size)  # a number in the middle belongs to the lower one...
    is_tie = (places < codes.middles.size) & (size == codes.middles[np.minimum(places, codes.middles.size - 1)])
    places += is_tie & (codes.codes[places] % 2 == 1)  # ...unless the upper one is even
    rounded = codes.codes[places].view(dtype.numpy).astype(np.float64)
    with np.errstate(invalid="ignore"):  # as above
        return np.where(np.isfinite(values), np.copysign(rounded, values), values).astype(dtype.numpy)


def _as_float32(values: Array) -> Array:
    """Round to odd: to one of the two neighbours, that whose last bit is set, unless the number is a float32 itself."""
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
        toward = np.where(values > nearest, np.float32(np.inf), np.float32(-np.inf))
        other = np.nextafter(nearest, toward)
    is_even = nearest.view(np.uint32) % 2 == 0
    return np.where((values != nearest) & is_even & np.isfinite(values), other, nearest)
