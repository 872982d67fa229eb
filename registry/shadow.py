"""What comparing a shadow's answers with the live ones has shown, in a form that adds up.

1. Every number is a sum, a count or a largest value: what several workers have seen, or one has seen at different
   times, is put together by ``plus``, in any order.
2. Of floats, the difference of each pair of finite values counts. Of other outputs, a value that differs has changed.
3. Where an output has scores in its last dimension (two or more, and a dimension before it), the place of the largest
   is what many callers look at: a row where that is another one has changed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from registry.same_answers import compare_values
from registry.tensor import kind_of
from registry.values import Value

_LARGEST: Final = float(np.finfo(np.float64).max)
"""Two finite numbers may lie further apart than a float can say, and JSON has no infinity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDifference:
    """One output, over all answers that were compared."""

    compared: int = 0
    """Answers."""
    same: int = 0
    """Of them, those that are the same to the last bit."""
    incomparable: int = 0
    """Of them, those of another shape, or with infinities or NaN in other places."""
    largest: float = 0.0
    """The largest absolute difference of two finite floats."""
    total: float = 0.0
    """Of all such differences."""
    pairs: int = 0
    """How many there are."""
    rows: int = 0
    """Rows of scores, or values of an output that is not of floats."""
    changed: int = 0
    """Of them, those whose largest score lies elsewhere, or that are other values."""

    @property
    def mean(self) -> float:
        """The mean absolute difference."""
        return self.total / self.pairs if self.pairs else 0.0

    def plus(self, other: "OutputDifference") -> "OutputDifference":
        """Return both together."""
        return OutputDifference(
            compared=self.compared + other.compared,
            same=self.same + other.same,
            incomparable=self.incomparable + other.incomparable,
            largest=max(self.largest, other.largest),
            total=min(self.total + other.total, _LARGEST),
            pairs=self.pairs + other.pairs,
            rows=self.rows + other.rows,
            changed=self.changed + other.changed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """What one trial has shown."""

    compared: int = 0
    """Requests whose answers were compared."""
    skipped: int = 0
    """Requests that were chosen, and for which no time or no room was left."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Requests that the shadow could not answer, by the error's code."""
    outputs: Mapping[str, OutputDifference] = field(default_factory=dict)

    def plus(self, other: "ShadowReport") -> "ShadowReport":
        """Return both together."""
        failures, outputs = dict(self.failures), dict(self.outputs)
        for code, count in other.failures.items():
            failures[code] = failures.get(code, 0) + count
        for name, difference in other.outputs.items():
            outputs[name] = outputs[name].plus(difference) if name in outputs else difference
        return ShadowReport(
            compared=self.compared + other.compared,
            skipped=self.skipped + other.skipped,
            failures=failures,
            outputs=outputs,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the form that is stored; ``from_json(as_json(r)) == r``."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ShadowReport":
        """Return the report that ``as_json`` describes."""
        outputs = {name: OutputDifference(**difference) for name, difference in value["outputs"].items()}
        return cls(**{**value, "outputs": outputs})


def compare_output(live: Value, shadow: Value) -> OutputDifference:
    """Compare one output of one answer with the live one; what is no tensor is the same, or it is not."""
    match = compare_values(live, shadow)
    if not (isinstance(live, np.ndarray) and isinstance(shadow, np.ndarray)):
        is_same, is_other = int(match.is_same), int(not match.is_same)
        return OutputDifference(compared=1, same=is_same, rows=1, changed=is_other)
    is_alike = live.dtype == shadow.dtype and live.shape == shadow.shape
    if not is_alike:
        return OutputDifference(compared=1, incomparable=1)
    if kind_of(live.dtype) != "f":
        changed = 0 if match.is_same else int((live != shadow).sum())
        return OutputDifference(compared=1, same=int(match.is_same), rows=live.size, changed=changed)
    with np.errstate(invalid="ignore"):  # some NaN signal
        one, other = live.astype(np.float64), shadow.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    with np.errstate(over="ignore"):
        differences = np.minimum(np.abs(one[finite] - other[finite]), _LARGEST)
        total = min(float(differences.sum()), _LARGEST)
    rows, changed = _rows(one, other)
    return OutputDifference(
        compared=1,
        same=int(match.is_same),
        incomparable=int(not match.is_same and not np.isfinite(match.difference)),
        largest=float(differences.max(initial=0.0)),
        total=total,
        pairs=int(differences.size),
        rows=rows,
        changed=changed,
    )


def _rows(one: NDArray[Any], other: NDArray[Any]) -> tuple[int, int]:
    if one.ndim < 2 or one.shape[-1] < 2 or not one.size:  # noqa: PLR2004 - rule 3
        return 0, 0
    changed = one.argmax(axis=-1) != other.argmax(axis=-1)
    return int(changed.size), int(changed.sum())
