"""What is known of running several requests of a version together, and what may follow from it.

1. A proof is a trial: rows run alone and among others, in every number up to ``rows``. What it found is its level:
   ``exact`` if each row had the bits that it has alone; ``stable`` if it had the same bits in every batch of two rows
   or more; ``close`` if the difference stayed within ``is_close``; ``none`` if rows influence each other, or nothing
   could be found out.
2. It holds for the kind of processor that it was made on (``host``), for the inner shapes that were tried, and for the
   numbers of rows that were tried. What was not tried is not batched.
3. The owner says which level will do (``Batching``); a batch is formed only where the proof is at least as strong.
4. It must pay, too, by the times that were measured and what each run costs a worker besides. A model whose rows take
   as long together as one by one is not batched: waiting for the others would only cost. A batch is as large as it
   still brings something noticeable; or anything at all, while its run is so short that nobody notices the wait.

Source of why a row's bits may depend on its company: "Defeating Nondeterminism in LLM Inference" (Thinking Machines,
2025).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any, Final, TypeAlias

Shapes: TypeAlias = tuple[tuple[int, ...], ...]
"""The inner shape, without the rows, of each input that has no default, in the signature's order."""

MAX_ROWS: Final = 64
"""The largest batch that is tried, and formed."""

_WORTH: Final = 1.25
"""How many times the rows a second of a smaller batch a batch must bring, to be that large."""

_PAIR: Final = 2
_WORTH_OF_TWO: Final = 1.1
"""The same for two rows: only requests that wait share runs, and one waits for one other run at most; where many wait,
it brings all of them forward. Not where a row that is alone would be run as two, to have the bits of a pair."""

_RUN_SECONDS: Final = 50e-6
"""What a run costs a worker, whatever it runs (``python -m bench --suite batching``)."""

_SHORT_SECONDS: Final = 0.001
"""Nobody notices such a wait."""


class Batching(StrEnum):
    """What a version's owner accepts when requests share a run (design section 7)."""

    EXACT = "exact"
    STABLE = "stable"
    CLOSE = "close"
    OFF = "off"


class Level(StrEnum):
    """What a proof found, from the strongest to the weakest."""

    EXACT = "exact"
    STABLE = "stable"
    CLOSE = "close"
    NONE = "none"


def is_weaker(shown: Level, promised: Level) -> bool:
    """Return whether something has been shown that a proof of this level rules out."""
    order = list(Level)
    return order.index(shown) > order.index(promised)


_ACCEPTED: Final[Mapping[Batching, tuple[Level, ...]]] = {
    Batching.EXACT: (Level.EXACT,),
    Batching.STABLE: (Level.EXACT, Level.STABLE),
    Batching.CLOSE: (Level.EXACT, Level.STABLE, Level.CLOSE),
    Batching.OFF: (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """What trying to run rows together has shown."""

    level: Level
    reason: str
    """Why it is no stronger; empty for ``exact``."""
    host: str
    """The runtime and kind of processor that it holds for (``registry.inspection.host``)."""
    rows: int
    """Every number of rows up to this one was tried, in each of ``shapes``."""
    shapes: tuple[Shapes, ...]
    """The inner shapes that were tried."""
    largest_difference: float
    """The largest absolute difference between a row's floats alone and among others."""
    run_seconds: Mapping[int, float]
    """How long a run of 1, 2, 4 ... rows took, in the first of ``shapes``."""

    def gain(self, rows: int) -> float | None:
        """Return how many times more rows a second come out of runs of so many rows than of one; None if not timed."""
        seconds, alone = self.run_seconds.get(rows), self.run_seconds.get(1)
        return None if not seconds or alone is None else rows * alone / seconds

    @property
    def worthwhile_rows(self) -> int:
        """The largest number of rows that still brings something; 1 if none does."""
        best, best_rate = 1, self._rate(1)
        for rows, seconds in sorted(self.run_seconds.items()):
            is_noticed = best == 1 or seconds > _SHORT_SECONDS
            if rows > 1 and self._rate(rows) >= best_rate * (_WORTH if is_noticed else 1):
                best, best_rate = rows, self._rate(rows)
        if best == 1 and self.level is not Level.STABLE and _PAIR in self.run_seconds:
            best = _PAIR if self._rate(_PAIR) >= best_rate * _WORTH_OF_TWO else 1
        return min(best, self.rows)

    def _rate(self, rows: int) -> float:
        """Return how many rows a second a worker gets out of runs of so many; infinite where that was not timed."""
        seconds = self.run_seconds.get(rows)
        return inf if seconds is None else rows / (seconds + _RUN_SECONDS)

    def as_json(self) -> dict[str, Any]:
        """Return the form that is stored; ``from_json(as_json(r)) == r``."""
        return {
            "level": self.level.value,
            "reason": self.reason,
            "host": self.host,
            "rows": self.rows,
            "shapes": [[list(shape) for shape in shapes] for shapes in self.shapes],
            "largest_difference": self.largest_difference,
            "run_seconds": {str(rows): seconds for rows, seconds in self.run_seconds.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "BatchReport":
        """Return the report that ``as_json`` describes."""
        return cls(
            level=Level(value["level"]),
            reason=str(value["reason"]),
            host=str(value["host"]),
            rows=int(value["rows"]),
            shapes=tuple(tuple(tuple(map(int, shape)) for shape in shapes) for shapes in value["shapes"]),
            largest_difference=float(value["largest_difference"]),
            run_seconds={int(rows): float(seconds) for rows, seconds in value["run_seconds"].items()},
        )


def unproven(host: str, reason: str) -> BatchReport:
    """Return the report of a model whose rows were not tried, or not to any purpose."""
    return BatchReport(
        level=Level.NONE,
        reason=reason,
        host=host,
        rows=1,
        shapes=(),
        largest_difference=0.0,
        run_seconds={},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRule:
    """How a version's requests may share runs."""

    max_rows: int
    """1: not at all."""
    level: Level = Level.NONE
    """What a shared run must keep to."""
    shapes: frozenset[Shapes] = frozenset()

    @property
    def is_padded(self) -> bool:
        """True if a single row is run as two, so that it has the bits that it has among others."""
        return self.level is Level.STABLE

    @property
    def is_off(self) -> bool:
        """True if no two requests ever share a run."""
        return self.max_rows < _PAIR


NEVER: Final = BatchRule(max_rows=1)
"""The rule of a version whose requests run one by one."""


def rule_of(batching: Batching, report: BatchReport | None, host: str) -> BatchRule:
    """Return what an owner's word and a proof make of each other, on a host."""
    if report is None or report.host != host or report.level not in _ACCEPTED[batching]:
        return NEVER
    if report.worthwhile_rows < _PAIR:
        return NEVER
    return BatchRule(max_rows=report.worthwhile_rows, level=report.level, shapes=frozenset(report.shapes))
