"""How often each version is asked, how often that fails, and how long it takes: now, and over the last minutes.

1. What is counted is counted already: cumulative numbers in the boards of all workers of this host
   (``gateway.metrics``). Nothing is added to a request. Other hosts are not seen.
2. Every ``INTERVAL_SECONDS`` a thread takes the difference to the time before and keeps it as a point, for versions
   that had traffic; there are ``POINTS`` of each, the newest.
3. Looking costs little, however many versions there are: numbers are gathered and compared in numpy, and only those
   that have grown are looked at one by one. 10,000 versions on two workers take 9 ms of a processor each time, 11 ms if
   1,000 of them are busy; the first look, which reads all their keys, 0.7 s.
4. ``MOST_VERSIONS`` have points; for one more, the one whose traffic is longest ago loses its own. Before that, who has
   none left gives up its room, so that points of versions that come and go take no more memory than those in use.
5. What came before the first look is no traffic: the first look finds a base and makes no point.
6. A latency is known as well as the histogram's buckets are: a percentile is read within its bucket, evenly.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.metrics import BUCKETS_SECONDS, Counted
from gateway.shared_counts import Board, map_numbers

INTERVAL_SECONDS: Final = 5.0
POINTS: Final = 60
MOST_VERSIONS: Final = 1024

_BUCKETS: Final = len(BUCKETS_SECONDS) + 1
_FAILED: Final = _BUCKETS
_WIDTH: Final = _BUCKETS + 1
_NEWEST: Final = 6
"""The points that "now" is: half a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What has become of some version's requests, or of several versions' together."""

    per_second: tuple[float, ...]
    """Answers a second in each interval, oldest first."""
    rate: float
    """The same of the last half minute."""
    answers: int
    """In all intervals."""
    failed: int
    """Those of them that were refusals."""
    p99_seconds: float | None
    """None where there were no answers; infinite beyond the last bucket."""

    @property
    def failed_share(self) -> float | None:
        """The part of the answers that were refusals; None where there were none."""
        return self.failed / self.answers if self.answers else None


class _Places:
    """Where numbers begin in a board, and whose each is."""

    def __init__(self) -> None:
        self._new: list[tuple[int, int]] = []
        self._known: NDArray[np.int64] = np.zeros((2, 0), dtype=np.int64)

    def add(self, start: int, whose: int) -> None:
        """Take note of one more."""
        self._new.append((start, whose))

    def both(self) -> NDArray[np.int64]:
        """Return the beginnings and the owners."""
        if self._new:
            self._known = np.concatenate((self._known, np.array(self._new, dtype=np.int64).T), axis=1)
            self._new = []
        return self._known


class _Source:
    """One board, and where its numbers go."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.numbers: NDArray[np.float64] = np.frombuffer(map_numbers(board).cast("B"), dtype=np.float64)
        self.read_bytes = 0
        self.times = _Places()
        """Histograms of seconds."""
        self.refusals = _Places()


class Rates:
    """The newest points of every version that had traffic; ``look`` and ``of`` are safe for threads.

    Args:
        boards: of all workers of the host.
        clock: monotonic seconds.
    """

    def __init__(self, boards: Sequence[Board], clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = [_Source(board) for board in boards]
        self._clock = clock
        self._lock = Lock()
        self._numbers: dict[tuple[str, str], int] = {}
        """Every version that has been counted, by model and number: its row in ``_before``."""
        self._names: list[tuple[str, str]] = []
        self._before: NDArray[np.float64] = np.zeros((0, _WIDTH))
        self._rows: dict[tuple[str, str], int] = {}
        self._names_of_rows: list[tuple[str, str]] = []
        self._rows_of_model: dict[str, set[int]] = {}
        self._points: NDArray[np.uint32] = np.zeros((MOST_VERSIONS, POINTS, _WIDTH), dtype=np.uint32)
        self._last: NDArray[np.int64] = np.full(MOST_VERSIONS, -1, dtype=np.int64)
        self._looks = 0
        self._seconds: NDArray[np.float64] = np.zeros(POINTS)
        """How long each interval was; 0 where there was none yet."""
        self._looked_at: float | None = None

    # --- looking ------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take the numbers as they are now, and keep what has come since the time before as a point."""
        with self._lock:
            for source in self._sources:
                self._learn(source)
            after = self._gather()
            now = self._clock()
            before = np.zeros_like(after)
            before[: len(self._before)] = self._before
            if self._looked_at is not None:
                self._keep(np.maximum(after - before, 0.0), now - self._looked_at)
            self._before, self._looked_at = after, now

    def _learn(self, source: _Source) -> None:
        """Take note of what a board has counted for the first time."""
        found, source.read_bytes = source.board.read_keys(source.read_bytes)
        for start, _, key in found:
            counted = Counted.of(key)
            if counted is None:
                continue
            whose = self._number_of((counted.model, counted.version))
            if counted.code is None:
                source.times.add(start, whose)
            elif counted.is_refusal:
                source.refusals.add(start, whose)

    def _number_of(self, name: tuple[str, str]) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return number

    def _gather(self) -> NDArray[np.float64]:
        """Return what all boards have counted of each version: its buckets, and its refusals."""
        total = np.zeros((len(self._names), _WIDTH))
        for source in self._sources:
            starts, whose = source.times.both()
            total[whose, :_BUCKETS] += source.numbers[starts[:, None] + np.arange(_BUCKETS)]
            starts, whose = source.refusals.both()
            np.add.at(total, (whose, _FAILED), source.numbers[starts])
        return total

    def _keep(self, difference: NDArray[np.float64], seconds: float) -> None:
        at = self._looks % POINTS
        self._points[: len(self._names_of_rows), at] = 0
        self._seconds[at] = seconds
        busy = np.flatnonzero(difference.any(axis=1))
        for number in busy[-MOST_VERSIONS:]:
            row = self._row_of(self._names[number])
            self._points[row, at] = difference[number]
            self._last[row] = self._looks
        self._looks += 1

    def _row_of(self, name: tuple[str, str]) -> int:
        row = self._rows.get(name)
        if row is not None:
            return row
        row = self._row_given_up()
        if row is None:
            row = len(self._names_of_rows)
            self._names_of_rows.append(name)
        else:
            self._names_of_rows[row] = name
        self._rows[name] = row
        self._rows_of_model.setdefault(name[0], set()).add(row)
        self._points[row] = 0
        return row

    def _row_given_up(self) -> int | None:
        """Take the row of who was idle longest, if nothing is left in it or there is no other room."""
        used = len(self._names_of_rows)
        if not used:
            return None
        row = int(self._last[:used].argmin())
        if used < MOST_VERSIONS and self._looks - self._last[row] < POINTS:
            return None
        name = self._names_of_rows[row]
        del self._rows[name]
        of_model = self._rows_of_model[name[0]]
        of_model.discard(row)
        if not of_model:
            del self._rows_of_model[name[0]]
        return row

    # --- asking -------------------------------------------------------------------------------------------------------

    def of_model(self, model: str) -> Traffic:
        """Return the traffic of all versions of a model together."""
        with self._lock:
            return self._traffic(self._rows_of_model.get(model, ()))

    def of_version(self, model: str, number: int) -> Traffic:
        """Return the traffic of one version."""
        with self._lock:
            row = self._rows.get((model, str(number)))
            return self._traffic(() if row is None else (row,))

    def _traffic(self, rows: Iterable[int]) -> Traffic:
        order = (np.arange(POINTS) + self._looks) % POINTS
        points: NDArray[Any] = self._points[list(rows)].sum(axis=0, dtype=np.int64)[order]
        seconds = self._seconds[order]
        answers = points[:, :_BUCKETS].sum(axis=1)
        per_second = np.divide(answers, seconds, out=np.zeros(POINTS), where=seconds > 0)
        newest = float(seconds[-_NEWEST:].sum())
        return Traffic(
            per_second=tuple(per_second.tolist()),
            rate=float(answers[-_NEWEST:].sum()) / newest if newest else 0.0,
            answers=int(answers.sum()),
            failed=int(points[:, _FAILED].sum()),
            p99_seconds=percentile(points[:, :_BUCKETS].sum(axis=0).tolist(), 0.99),
        )


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the seconds within which this share of the answers came.

    Args:
        counts: answers in each bucket, and last those beyond.
        share: of the answers, more than 0, at most 1.
    """
    wanted = share * sum(counts)
    if wanted <= 0:
        return None
    least, below = 0.0, 0
    for most, count in zip(BUCKETS_SECONDS, counts, strict=False):
        if below + count >= wanted:
            return least + (most - least) * (wanted - below) / count
        least, below = most, below + count
    return float("inf")
