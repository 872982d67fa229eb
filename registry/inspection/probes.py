"""Inputs made up from a signature, to try a model on.

A free dimension has no right size: some models want a multiple of 32, some an even number, some anything. So a few are
tried, small ones first, with the first dimension (the batch, as a rule) left at one and with all of them alike.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from registry.signature import Signature
from registry.tensor import OPTIONAL, SEQUENCE, Shape, TensorSpec, map_key
from registry.values import Value, size_of

Feed: TypeAlias = Mapping[str, Any]
"""Values by the inputs' names: arrays, of plain tensors."""

MAX_ELEMENTS: Final = 4_000_000
"""In all inputs together; what needs more is not tried."""

_SIZES = (1, 2, 4, 8, 16, 32, 48, 64, 224, 3)
_RANKS = (2, 1, 3, 4)
_FLOATS = (0.5, -0.25, 1.0, 0.125, -0.75)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How to choose what the signature leaves open."""

    first: int
    """The size of a free dimension that stands first in its tensor."""
    rest: int
    """The size of the other free dimensions."""
    value: int
    """Of integers, booleans and texts."""
    rank: int = _RANKS[0]
    """Of tensors whose rank is unknown."""

    def feed(self, signature: Signature) -> Feed | None:
        """Return the inputs that have no default, or None if they would be too large."""
        specs = [spec for spec in signature.inputs if not spec.optional]
        shapes = self.shapes(specs)
        if sum(math.prod(shape) for shape in shapes.values()) > MAX_ELEMENTS:
            return None
        return {spec.name: self._value(spec, shapes[spec.name]) for spec in specs}

    def shapes(self, specs: Sequence[TensorSpec]) -> dict[str, tuple[int, ...]]:
        """Return what shapes these have together, by name."""
        sizes = self._symbols(specs)
        return {spec.name: self._shape(spec.shape, sizes) for spec in specs}

    def elements(self, signature: Signature) -> int:
        """Return how many elements the inputs have."""
        feed = self.feed(signature)
        return 0 if feed is None else sum(map(size_of, feed.values()))

    def _symbols(self, specs: Sequence[TensorSpec]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for spec in specs:
            for place, dim in enumerate(spec.shape or ()):
                if isinstance(dim, str):
                    sizes.setdefault(dim, self.rest if place else self.first)
        return sizes

    def _shape(self, shape: Shape | None, sizes: Mapping[str, int]) -> tuple[int, ...]:
        wanted = (None,) * self.rank if shape is None else shape
        found = []
        for place, dim in enumerate(wanted):
            free = self.rest if place else self.first
            found.append(dim if isinstance(dim, int) else free if dim is None else sizes[dim])
        return tuple(found)

    def _value(self, spec: TensorSpec, shape: tuple[int, ...]) -> Value:
        value: Value = self._tensor(spec, shape)
        for container in reversed(spec.containers):
            key = map_key(container)
            if key is not None:
                value = {(str(self.value) if key.kind == "O" else self.value): value}
            elif container == SEQUENCE:
                value = [value]
            elif container == OPTIONAL and not self.value:
                value = None
        return value

    def _tensor(self, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray[Any]:
        if spec.dtype.kind == "f":
            return np.resize(np.array(_FLOATS, spec.dtype.numpy), shape)
        return np.full(shape, str(self.value) if spec.dtype.kind == "O" else self.value, spec.dtype.numpy)


def small_probes(signature: Signature) -> Iterator[Probe]:
    """Yield probes to try until one is accepted, the likeliest and smallest first."""
    is_free = any(not isinstance(dim, int) for spec in signature.inputs for dim in spec.shape or (None,))
    has_unknown_rank = any(spec.shape is None for spec in signature.inputs)
    pairs = [pair for size in _SIZES for pair in dict.fromkeys(((1, size), (size, size)))] if is_free else [(1, 1)]
    for first, rest in pairs:
        for rank in _RANKS if has_unknown_rank else _RANKS[:1]:
            for value in (1, 0):
                yield Probe(first=first, rest=rest, value=value, rank=rank)


def larger_probes(accepted: Probe) -> Iterator[Probe]:
    """Yield probes like the accepted one, but of more rows and longer ones, in growing order."""
    for first, rest in ((8, accepted.rest), (8, max(32, accepted.rest)), (32, max(32, accepted.rest))):
        yield Probe(first=first, rest=rest, value=accepted.value, rank=accepted.rank)
