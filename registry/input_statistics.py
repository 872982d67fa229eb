"""What a version's inputs are like, in sums: those of live requests, and those of its golden examples.

1. Every number is a count, a mean or a sum of squared distances from it: what several workers have seen, or one has
   seen at different times, is put together by ``plus``, in any order. There is no least and no greatest value: each of
   those is one that somebody has sent.
2. Means are merged by their difference (Chan, Golub and LeVeque), so that values far from zero keep their digits.
3. An input whose last dimension is fixed by the signature, up to ``MOST_COLUMNS``, with a dimension before it, is
   looked at by columns; every other one as a whole. Bools and integers are numbers.
4. NaN and infinities are counted, and are in no mean.
5. Of text only the count, and how much of it is in none of the examples. A column with more than ``MOST_TEXTS``
   different texts in its examples is no set of categories: nothing is called unseen there.
6. What is no tensor is left out, and so is what comes behind the first ``MOST_INPUTS``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from registry.examples import Examples
from registry.signature import Signature
from registry.tensor import TensorSpec

MOST_INPUTS: Final = 16
MOST_COLUMNS: Final = 64
MOST_TEXTS: Final = 4096

_RANK_OF_COLUMNS: Final = 2
"""The least rank of an input that has columns."""

_FEWEST_TO_COMPARE: Final = 2
"""A single value has no deviation."""

_ROUNDING: Final = 1e-12
"""A deviation that is so small a part of the mean is none."""

_LARGEST: Final = float(np.finfo(np.float64).max)
"""Squares of numbers that a float can say may be more than one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """One column of an input, over all values that were looked at."""

    requests: int = 0
    """Requests, or examples, that have brought any."""
    count: int = 0
    """Values."""
    finite: int = 0
    """Of them, those that are numbers and finite."""
    mean: float = 0.0
    """Of these."""
    squares: float = 0.0
    """The sum of the squares of their distances from the mean; at most the largest float."""
    nan: int = 0
    infinite: int = 0

    @property
    def std(self) -> float | None:
        """The standard deviation of the finite values, as numpy's ``std``; None without any, or past telling."""
        return sqrt(self.squares / self.finite) if self.finite and self.squares < _LARGEST else None

    @property
    def nan_share(self) -> float | None:
        """The part of the values that is NaN; None where there are none."""
        return self.nan / self.count if self.count else None

    @property
    def infinite_share(self) -> float | None:
        """The part of the values that is infinite; None where there are none."""
        return self.infinite / self.count if self.count else None

    def plus(self, other: "Moments") -> "Moments":
        """Return both together."""
        finite = self.finite + other.finite
        share = other.finite / finite if finite else 0.0
        apart = other.mean - self.mean
        mean = self.mean + apart * share
        if not isfinite(mean):  # further apart than a float can say
            mean = self.mean * (1.0 - share) + other.mean * share
        between = apart * apart * share * self.finite if share and self.finite else 0.0
        return Moments(
            requests=self.requests + other.requests,
            count=self.count + other.count,
            finite=finite,
            mean=mean,
            squares=min(self.squares + other.squares + between, _LARGEST),
            nan=self.nan + other.nan,
            infinite=self.infinite + other.infinite,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """An input that is looked at."""

    name: str
    dtype: str
    columns: int | None
    """How many; None if it is looked at as a whole."""

    @property
    def width(self) -> int:
        """How many moments it has."""
        return self.columns or 1

    @property
    def is_text(self) -> bool:
        """True if its values are no numbers."""
        return self.dtype == "string"

    def table(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of this input with a row for each time that every column has a value."""
        return array.reshape(-1, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """What of a signature is looked at (rules 3 and 6)."""

    inputs: tuple[LookedAt, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, signature: Signature) -> "InputPlan":
        """Return the plan of a signature."""
        tensors = [spec for spec in signature.inputs if spec.is_tensor][:MOST_INPUTS]
        looked_at = {spec.name for spec in tensors}
        return cls(
            inputs=tuple(
                LookedAt(name=spec.name, dtype=spec.dtype.name, columns=_columns_of(spec)) for spec in tensors
            ),
            left_out=tuple(spec.name for spec in signature.inputs if spec.name not in looked_at),
        )

    @property
    def width(self) -> int:
        """How many moments all inputs have together."""
        return sum(looked.width for looked in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a version's golden examples are like, by input, a column at a time."""

    digest: str
    """Of the examples."""
    moments: Mapping[str, tuple[Moments, ...]]
    texts: Mapping[str, tuple[frozenset[str] | None, ...]]
    """Of inputs of text: what each column has; None where that is too much (rule 5)."""

    @classmethod
    def of(cls, examples: Examples, plan: InputPlan) -> "Reference | None":
        """Return what the examples of a version are like; None if there are none."""
        facts = examples.facts
        if facts is None:
            return None
        moments: dict[str, tuple[Moments, ...]] = {}
        texts: dict[str, tuple[frozenset[str] | None, ...]] = {}
        for looked in plan.inputs:
            values = (example.inputs.get(looked.name) for example in examples.items)
            tables = [looked.table(value) for value in values if isinstance(value, np.ndarray)]
            if not tables:
                continue
            table = np.concatenate(tables)
            moments[looked.name] = moments_of(table, requests=len(tables))
            if looked.is_text:
                texts[looked.name] = tuple(_texts_of(column) for column in table.T)
        return cls(digest=facts.digest, moments=moments, texts=texts)


def moments_of(table: NDArray[Any], *, requests: int) -> tuple[Moments, ...]:
    """Return the moments of each column.

    Args:
        table: any dtype [rows, columns]; of text only the count is taken.
        requests: how many requests have brought it.
    """
    rows, columns = len(table), int(table.shape[1])
    if table.dtype.kind == "O":
        return (Moments(requests=requests, count=rows),) * columns
    with np.errstate(all="ignore"):  # some NaN signal, and what is past all bounds is told by the result
        values = table.astype(np.float64)
        finite = np.isfinite(values)
        counts = finite.sum(axis=0)
        shares = 1.0 / np.maximum(counts, 1)
        means = (np.where(finite, values, 0.0) * shares).sum(axis=0)  # the sum itself might be too large
        rest = (np.where(finite, values - means, 0.0) * shares).sum(axis=0)
        means = np.where(np.isfinite(means + rest), means + rest, means)
        squares = np.minimum((np.where(finite, values - means, 0.0) ** 2).sum(axis=0), _LARGEST)
    found = zip(counts.tolist(), means.tolist(), squares.tolist(), np.isnan(values).sum(axis=0).tolist(), strict=True)
    return tuple(
        Moments(
            requests=requests,
            count=rows,
            finite=count,
            mean=mean,
            squares=square,
            nan=nan,
            infinite=rows - count - nan,
        )
        for count, mean, square, nan in found
    )


def unseen_in(column: NDArray[Any], texts: frozenset[str]) -> int:
    """Return how many values of a column of text are none of these."""
    return len(column) - sum(map(texts.__contains__, column.tolist()))


def shift_of(live: Moments, reference: Moments) -> float | None:
    """Return by how many of the reference's standard deviations the live mean lies beside the reference's.

    None where that means nothing: nothing is live, or the reference has fewer than two values, or they are all the
    same, but for what rounding makes of it.
    """
    std = reference.std or 0.0
    if not live.finite or reference.finite < _FEWEST_TO_COMPARE or std <= _ROUNDING * abs(reference.mean):
        return None
    shift = abs(live.mean - reference.mean) / std
    return shift if isfinite(shift) else None


def greatest_shift(shifts: Sequence[float | None]) -> float | None:
    """Return the greatest of those that are known; None if none is."""
    return max((shift for shift in shifts if shift is not None), default=None)


def _columns_of(spec: TensorSpec) -> int | None:
    if spec.shape is None or len(spec.shape) < _RANK_OF_COLUMNS:
        return None
    last = spec.shape[-1]
    return last if isinstance(last, int) and 1 <= last <= MOST_COLUMNS else None


def _texts_of(column: NDArray[Any]) -> frozenset[str] | None:
    texts = frozenset(column.tolist())
    return texts if len(texts) <= MOST_TEXTS else None
