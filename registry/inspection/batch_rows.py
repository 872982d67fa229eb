"""Rows to try batches with: many different ones, made up from a signature.

1. Every input that has no default must have a free first dimension, the same for all: that is the axis of the rows. The
   inner dimensions are those of a probe that the model has accepted.
2. Rows differ in kind and size, so that what one row does to another can be seen: noise of several magnitudes, and rows
   that models treat in a way of their own: zeros, ones, large numbers, the marks of what is missing (no number, the
   infinities, -1, -999, the ends of an integer's range), as whole rows and as single elements.
3. What integers a model takes is not known: an index has a range. Ranges are tried from the widest to the narrowest,
   those with negative numbers first. A row that is refused alone is left out.
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

RANGES: Final = (
    *((-high, high) for high in (30_000, 1_000, 100, 16, 2)),
    *((0, high) for high in (30_000, 1_000, 256, 100, 16, 2)),
)
"""Of integers: from the first up to the second of each, tried in this order."""

_MAGNITUDES = (1.0, 0.01, 10.0, 100.0)
_WORDS = ("a", "the quick brown fox", "0", "1", "", "Zürich")
_SPECIAL_FLOATS = (0.0, np.nan, np.inf, -np.inf, -1.0, -999.0, 1e4, 1.0)
_SPECIAL_ROWS: Final = 16
_MOST_EXAMPLE_ROWS: Final = 64
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
    special: range
    """The places of the rows that models treat in a way of their own."""

    def take(self, places: Sequence[int]) -> Feed:
        """Return the rows at these places, in this order."""
        return {name: np.ascontiguousarray(tensor[list(places)]) for name, tensor in self.tensors.items()}

    @property
    def shapes(self) -> Shapes:
        """The inner shape of each input."""
        return tuple(tuple(map(int, tensor.shape[1:])) for tensor in self.tensors.values())


def make_rows(signature: Signature, accepted: Probe, count: int, integers: tuple[int, int]) -> Rows | None:
    """Return different rows like a probe's, or None if they would be too large.

    Args:
        signature: one without ``row_axis_fault``.
        accepted: what the free inner dimensions are.
        count: how many, more than there are special ones.
        integers: the first number that they are drawn from, and the one after the last.
    """
    single = replace(accepted, first=1).feed(signature)
    if single is None or count * sum(tensor.size for tensor in single.values()) > _MANY_ELEMENTS:
        return None
    if any(len(tensor) != 1 for tensor in single.values()):
        return None  # the name of the first dimension stands for another one, too
    random = np.random.default_rng(_SEED)
    specs = {spec.name: spec for spec in _required(signature)}
    tensors = {
        name: _tensor(specs[name], (count, *tensor.shape[1:]), random, integers) for name, tensor in single.items()
    }
    return Rows(tensors=tensors, count=count, special=range(count - _SPECIAL_ROWS, count))


def rows_of_examples(feeds: Sequence[Feed], names: Sequence[str]) -> list[Rows]:
    """Return the rows of feeds that have just these inputs, those of one inner shape together, two at least."""
    alike: dict[tuple[object, ...], list[Feed]] = {}
    for feed in feeds:
        lengths = {len(array) if array.ndim else -1 for array in feed.values()}
        if set(feed) == set(names) and len(lengths) == 1 and lengths.isdisjoint({0, -1}):
            alike.setdefault(tuple(feed[name].shape[1:] for name in names), []).append(feed)
    found = []
    for several in alike.values():
        tensors = {name: np.concatenate([feed[name] for feed in several])[:_MOST_EXAMPLE_ROWS] for name in names}
        count = len(tensors[names[0]])
        if count > 1:
            found.append(Rows(tensors=tensors, count=count, special=range(count, count)))
    return found


def inner_probes(signature: Signature, accepted: Probe) -> Iterator[Probe]:
    """Yield the probe, and others of longer rows where a signature leaves their length open."""
    yield accepted
    if any(not isinstance(dim, int) for spec in _required(signature) for dim in (spec.shape or ())[1:]):
        for rest in (16, 64):
            if rest > accepted.rest:
                yield replace(accepted, rest=rest)


def _required(signature: Signature) -> list[TensorSpec]:
    return [spec for spec in signature.inputs if not spec.optional]


def _tensor(spec: TensorSpec, shape: tuple[int, ...], random: Any, integers: tuple[int, int]) -> NDArray[Any]:
    dtype = spec.dtype.numpy
    match spec.dtype.kind:
        case "f":
            rows = random.standard_normal(shape)
            for place in range(shape[0]):
                rows[place] *= _MAGNITUDES[place % len(_MAGNITUDES)]
            return _with_special(rows, _SPECIAL_FLOATS).astype(dtype)
        case "b":
            return _with_special(np.asarray(random.integers(0, 2, shape), bool), (False, True))
        case "O":
            return _with_special(np.asarray(random.choice(np.array(_WORDS, object), shape), object), ("", "nan", "-1"))
        case _:
            range_ = np.iinfo(dtype)
            low, high = max(integers[0], int(range_.min)), min(integers[1] - 1, int(range_.max))
            rows = np.asarray(random.integers(low, high + 1, shape)).astype(dtype)
            return _with_special(rows, (low, high, min(max(-1, low), high), int(range_.min), int(range_.max), 0, 1))


def _with_special(rows: NDArray[Any], values: Sequence[Any]) -> NDArray[Any]:
    """Let the last rows be of one special value each, or have it as their first element, in turns."""
    count = len(rows)
    for place in range(_SPECIAL_ROWS):
        value = values[place // 2 % len(values)]
        row = count - _SPECIAL_ROWS + place
        if place % 2 and rows.ndim > 1 and rows[row].size > 1:
            rows[row].flat[0] = value
        else:
            rows[row] = value
    return rows
