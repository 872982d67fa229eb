"""Few cases that show everything: types and containers on both sides, and what of shapes and numbers is easily lost."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tests.conformance.run import Expected
from tests.conformance.values import Value, arrays_in, is_floating, types_in


def sample(expected: Sequence[Expected], size: int) -> list[Expected]:
    """Return as many cases, the same each time: first those that together have every trait, then some of each kind."""
    left = sorted(expected, key=lambda item: item.case.name)
    traits = {item.case.name: set(traits_of(item)) for item in left}
    missing = set().union(*traits.values())
    chosen: list[Expected] = []
    while missing and left:
        best = max(left, key=lambda item: len(traits[item.case.name] & missing))
        missing -= traits[best.case.name]
        left.remove(best)
        chosen.append(best)
    rest = max(0, size - len(chosen))
    return chosen + left[:: max(1, len(left) // max(1, rest))][:rest]


def traits_of(item: Expected) -> Iterator[str]:
    """Yield what a case shows that others may not."""
    if item.is_random:
        yield "random"
    if not item.case.inputs:
        yield "no inputs"
    if len(item.outputs) > 1:
        yield "several outputs"
    for side, values in (("in", item.case.inputs.values()), ("out", item.outputs.values())):
        yield from (f"{trait} {side}" for trait in _traits(values))


def _traits(values: Iterable[Value]) -> Iterator[str]:
    for value in values:
        yield from types_in(value)
        for array in arrays_in(value):
            if array.ndim == 0 or array.ndim > 4:
                yield f"rank {array.ndim}"
            if 0 in array.shape:
                yield "no elements"
            if is_floating(array):
                yield from _numbers(array.astype(np.float64))


def _numbers(numbers: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Iterator[str]:
    if np.isnan(numbers).any():
        yield "not a number"
    if np.isinf(numbers).any():
        yield "infinite"
    if (np.signbit(numbers) & (numbers == 0)).any():
        yield "negative zero"
