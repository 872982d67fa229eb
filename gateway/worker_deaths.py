"""How workers have ended that nobody had told to, as the supervisor counts it and every worker shows it.

1. The supervisor writes to a board of its own (``gateway.shared_counts``), which outlives all workers.
2. Every cause has its number from the beginning, a zero: Prometheus sees a counter grow only if it has seen it before.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.exposition import heading, label_text, sample
from gateway.shared_counts import Board, Counts, Key
from registry.standing import HANG

_KIND: Final = "worker_deaths"
_NAME: Final = "sardonyx_worker_deaths_total"
_EXIT: Final = "exit"
"""It has ended by itself, with whatever code."""
_OTHER: Final = "other"
_SIGNALS: Final = (
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGKILL,
    signal.SIGSEGV,
    signal.SIGTERM,
)
CAUSES: Final = (*(each.name for each in _SIGNALS), _EXIT, HANG, _OTHER)
"""All values of the label ``cause``."""


def cause_of(exit_code: int, *, is_hang: bool) -> str:
    """Return which of the causes a worker has died of.

    Args:
        exit_code: as ``subprocess`` has it: negative for a signal.
        is_hang: True if its own watchdog has ended it.
    """
    if is_hang:
        return HANG
    if exit_code >= 0:
        return _EXIT
    return next((each.name for each in _SIGNALS if each == -exit_code), _OTHER)


class WorkerDeaths:
    """The supervisor's counts."""

    def __init__(self) -> None:
        self.board = Board.create()
        """For the workers, beside those of their own."""
        self._counts = Counts(self.board)
        self._slots = {cause: self._counts.slot(_KIND, cause) for cause in CAUSES}

    def add(self, cause: str) -> None:
        """Count a death of one of ``CAUSES``."""
        self._counts.numbers[self._slots[cause]] += 1


def lines_of_deaths(found: Mapping[Key, Sequence[Sequence[float]]]) -> Iterator[str]:
    """Yield the lines of all causes; without a supervisor there are none.

    Args:
        found: what all boards have of each key.
    """
    yield heading(_NAME, "counter", "Workers that have died and were replaced, by what ended them")
    for key in sorted(key for key in found if key[0] == _KIND):
        yield sample(_NAME, label_text({"cause": key[1]}), sum(row[0] for row in found[key]))
