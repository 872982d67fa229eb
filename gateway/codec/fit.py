"""What both quick parses check once they have arrays; neither says what is wrong, only that it may be wrong."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.codec.body import Array
from gateway.codec.limits import MAX_ELEMENTS
from gateway.codec.long_numbers import may_hold_long_number
from registry.signature import Signature
from registry.tensor import TensorSpec


class Doubt(Exception):  # noqa: N818 - no error: a slower parse will know
    """A quick parse cannot tell what the body says, or whether it is right."""


DOUBTS: Final = (Doubt, ValueError, OverflowError, RecursionError, msgspec.DecodeError)
"""What a quick parse by msgspec's types raises where the second one must decide; what it skips may nest too deep."""


class ShapeFit:
    """Whether an array has the rank and the fixed sizes of its input."""

    __slots__ = ("_fixed", "rank")

    def __init__(self, spec: TensorSpec) -> None:
        shape = spec.shape or ()
        self.rank = len(shape)
        self._fixed = tuple((axis, size) for axis, size in enumerate(shape) if isinstance(size, int))

    def check(self, array: Array) -> Array:
        """Return the array.

        Raises:
            Doubt: it has another rank or size.
        """
        shape = array.shape
        if len(shape) != self.rank:
            raise Doubt
        for axis, size in self._fixed:
            if shape[axis] != size:
                raise Doubt
        return array


class FeedFit:
    """Whether the arrays of a body fit the signature together, and the body's numbers are of sane length."""

    def __init__(self, signature: Signature) -> None:
        self._has_floats = any(spec.dtype.kind == "f" for spec in signature.inputs)
        self._shared_sizes = _shared_sizes(signature)

    def check(self, body: bytes, feed: Mapping[str, Array]) -> None:
        """Look at everything that concerns more than one array.

        Raises:
            Doubt: a size that inputs share differs, there are too many elements, or a number may be too long.
        """
        for places in self._shared_sizes:
            if len({feed[name].shape[axis] for name, axis in places if name in feed}) > 1:
                raise Doubt
        if self._has_floats and may_hold_long_number(body):
            raise Doubt
        # An element takes two bytes at least, itself and what parts it from the next one.
        if len(body) > 2 * MAX_ELEMENTS and sum(array.size for array in feed.values()) > MAX_ELEMENTS:
            raise Doubt


def _shared_sizes(signature: Signature) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Return, for each symbol that stands in more than one place, those places: input and axis."""
    places: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for spec in signature.inputs:
        for axis, dim in enumerate(spec.shape or ()):
            if isinstance(dim, str):
                places[dim].append((spec.name, axis))
    return tuple(tuple(found) for found in places.values() if len(found) > 1)
