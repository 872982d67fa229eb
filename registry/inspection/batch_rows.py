"""Rows to try batches with: many different ones, made up from a signature.

1. Every input that has no default must have a free first dimension, the same for all: that is the axis of the rows. The
   inner dimensions are those of a probe that the model has accepted.
2. Rows differ in kind and size, so that what one row does to another can be seen: noise of several magnitudes, and, of
   floats, one row of zeros, one of large numbers, one that is infinite.
3. What integers a model takes is not known: an index has a range. Ranges are tried from the widest to the narrowest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from registry.batching import Shapes
from registry.inspection.probes import Feed, Probe
from registry.signature import Signature
from registry.tensor import TensorSpec

RANGES: Final = (30_000, 1_000, 256, 100, 16, 2)
"""Of integers: from 0 up to each of these, tried in this order."""

_MAGNITUDES = (1.0, 0.01, 10.0, 100.0)
_WORDS = ("a", "the quick brown fox", "0", "1", "", "Zürich")
_SEED = 20_240_229
_MANY_ELEMENTS: Final = 400_000
"""Of all rows together."""


def row_axis_fault(signature: Signature) -> str:
    """Return why requests for this signature have no rows to put together; empty if they have."""
    firsts: set[object] = set()
    for spec in _required(signature):
        if not spec.shape:
            return f"the input {spec.name} has no first dimension"
        if isinstance(spec.shape[0], int):
            return f"the first dimension of the input {spec.name} is fixed"
        firsts.add(spec.shape[0])
    if not firsts:
        return "it has no inputs"
    if len(firsts) > 1:
        return "the first dimensions of its inputs have different names"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Made-up rows, all of one inner shape; ``take`` gives a feed of some of them."""

    tensors: Mapping[str, NDArray[Any]]
    count: int

    def take(self, places: Sequence[int]) -> Feed:
        """Return the rows at these places, in this order."""
        return {name: np.ascontiguousarray(tensor[list(places)]) for name, tensor in self.tensors.items()}

    @property
    def shapes(self) -> Shapes:
        """The inner shape of each input."""
        return tuple(tuple(map(int, tensor.shape[1:])) for tensor in self.tensors.values())


def make_rows(signature: Signature, accepted: Probe, count: int, integers_below: int) -> Rows | None:
    """Return different rows like a probe's, or None if they would be too large.

    Args:
        signature: one without ``row_axis_fault``.
        accepted: what the free inner dimensions are.
        count: how many, at least 4.
        integers_below: what integers are drawn from.
    """
    single = replace(accepted, first=1).feed(signature)
    if single is None or count * sum(tensor.size for tensor in single.values()) > _MANY_ELEMENTS:
        return None
    if any(len(tensor) != 1 for tensor in single.values()):
        return None  # the name of the first dimension stands for another one, too
    random = np.random.default_rng(_SEED)
    specs = {spec.name: spec for spec in _required(signature)}
    tensors = {
        name: _tensor(specs[name], (count, *tensor.shape[1:]), random, integers_below)
        for name, tensor in single.items()
    }
    return Rows(tensors=tensors, count=count)


def inner_probes(signature: Signature, accepted: Probe) -> Iterator[Probe]:
    """Yield the probe, and others of longer rows where a signature leaves their length open."""
    yield accepted
    if any(not isinstance(dim, int) for spec in _required(signature) for dim in (spec.shape or ())[1:]):
        for rest in (16, 64):
            if rest > accepted.rest:
                yield replace(accepted, rest=rest)


def _required(signature: Signature) -> list[TensorSpec]:
    return [spec for spec in signature.inputs if not spec.optional]


def _tensor(spec: TensorSpec, shape: tuple[int, ...], random: Any, integers_below: int) -> NDArray[Any]:
    dtype = spec.dtype.numpy
    match spec.dtype.kind:
        case "f":
            return _floats(shape, random).astype(dtype)
        case "b":
            return np.asarray(random.integers(0, 2, shape), bool)
        case "O":
            return np.asarray(random.choice(np.array(_WORDS, object), shape), object)
        case _:
            largest = min(integers_below - 1, int(np.iinfo(dtype).max))
            return np.asarray(random.integers(0, largest + 1, shape)).astype(dtype)


def _floats(shape: tuple[int, ...], random: Any) -> NDArray[Any]:
    rows = random.standard_normal(shape)
    for place in range(shape[0]):
        rows[place] *= _MAGNITUDES[place % len(_MAGNITUDES)]
    rows[-1] = 0.0
    rows[-2] = 1e4
    rows[-3] = np.inf
    return np.asarray(rows)
