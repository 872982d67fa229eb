"""What is known of running one version with several threads inside a run, and what may follow from it.

1. ONNX Runtime divides its work by the number of threads, and some of its sums with it: a matrix product of two inputs,
   a reduction or an odd convolution has other bits with two threads than with one, in some shapes and not in others.
   So a number of threads is tried shape by shape, and what was not tried runs with one thread.
2. A number is usable if every answer of the trial had the bits that one thread gives, in each of ``shapes``.
3. It must pay: the largest usable number within the CPUs at hand whose runs are at least ``EFFICIENCY`` times so many
   times shorter. Fewer would leave CPUs idle, more would take them from other requests for little.
4. A report holds for the kind of processor that it was made on (``host``); elsewhere one thread is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

WholeShapes: TypeAlias = tuple[tuple[int, ...], ...]
"""The whole shape of each input that has no default, in the signature's order."""

EFFICIENCY: Final = 0.7
"""What each thread must bring of what it would bring at best."""

MOST_THREADS: Final = 16
"""The largest number that is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadReport:
    """What trying to run with several threads has shown."""

    host: str
    """The runtime and kind of processor that it holds for (``registry.inspection.host``)."""
    reason: str
    """Why no larger number of threads is usable; empty if all that were to be tried are."""
    shapes: tuple[WholeShapes, ...]
    """Those in which every usable number was tried, in growing order."""
    run_seconds: Mapping[int, float]
    """How long a run took with 1, 2, 4 ... threads in the last of ``shapes``: the numbers that are usable."""

    def gain(self, threads: int) -> float | None:
        """Return how many times shorter runs are with so many threads than with one; None if not usable."""
        seconds, alone = self.run_seconds.get(threads), self.run_seconds.get(1)
        return None if not seconds or alone is None else alone / seconds

    def worthwhile_threads(self, cpus: int) -> int:
        """Return the largest usable number within so many CPUs that pays; 1 if none does."""
        return max(
            (count for count in self.run_seconds if count <= cpus and (self.gain(count) or 0.0) >= EFFICIENCY * count),
            default=1,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the form that is stored; ``from_json(as_json(r)) == r``."""
        return {
            "host": self.host,
            "reason": self.reason,
            "shapes": [[list(shape) for shape in shapes] for shapes in self.shapes],
            "run_seconds": {str(threads): seconds for threads, seconds in self.run_seconds.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ThreadReport":
        """Return the report that ``as_json`` describes."""
        return cls(
            host=str(value["host"]),
            reason=str(value["reason"]),
            shapes=tuple(tuple(tuple(map(int, shape)) for shape in shapes) for shapes in value["shapes"]),
            run_seconds={int(threads): float(seconds) for threads, seconds in value["run_seconds"].items()},
        )


def one_thread(host: str, reason: str) -> ThreadReport:
    """Return the report of a model that was not tried with more than one thread, or not to any purpose."""
    return ThreadReport(host=host, reason=reason, shapes=(), run_seconds={})


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRule:
    """How many threads a run may have."""

    threads: int
    """In each of ``shapes``; in all others one."""
    shapes: frozenset[WholeShapes] = frozenset()


ALONE: Final = ThreadRule(threads=1)
"""The rule of a version whose runs have one thread."""


def thread_rule_of(report: ThreadReport | None, host: str, cpus: int) -> ThreadRule:
    """Return what a report comes to on a host, for a process that may use so many CPUs."""
    if report is None or report.host != host:
        return ALONE
    threads = report.worthwhile_threads(cpus)
    return ThreadRule(threads=threads, shapes=frozenset(report.shapes)) if threads > 1 else ALONE
