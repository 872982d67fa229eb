"""What all workers of a host have counted, in Prometheus's form.

1. Counting is adding to numbers in memory (``gateway.shared_counts``): some tenths of a microsecond a request.
2. A scrape reaches any one worker, and gets the sum over all of them. What is a state and no count (a gauge) is written
   to the board a few times a second and added up too, or the least or the greatest of it is shown.
3. How long something is ago is written as the moment when it was: a worker whose event loop stands still writes nothing
   any more, and what it has written goes on growing old.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isnan
from threading import Lock
from typing import Final, TypeAlias

from gateway.exposition import HistogramLines, heading, label_text, sample
from gateway.phases import HEADING, PHASES, PhaseCounts, PhaseSlots, lines_of_version
from gateway.shared_counts import STATE, Board, BoardReader, Counts, Key, StateReader

BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_TIMES = len(BUCKETS_SECONDS) + 1
"""The slot of the seconds' sum, behind those of the buckets and of what is beyond them."""

_PREDICT, _CANARY, _CONTROL = "predict", "canary", "control"
_ANSWERS, _SECONDS, _FAILED_SECONDS, _TOTAL = "answers", "seconds", "failed_seconds", "total"
_GOOD = "ok"
CONNECTIONS: Final = "sardonyx_connections"
"""How many of them a worker has in use: the one reading that siblings act upon."""


@dataclass(frozen=True, slots=True)
class _RouteLines:
    """How the requests of one kind are shown."""

    answered: str
    took: str
    times: HistogramLines


_ROUTES = {
    _PREDICT: _RouteLines(
        "Predict requests by outcome",
        "Time from a request's arrival to its answer",
        HistogramLines("sardonyx_predict_seconds", BUCKETS_SECONDS),
    ),
    _CANARY: _RouteLines(
        "Predict requests that an alias has sent to its canary, by outcome",
        "Time from the arrival of such a request to its answer",
        HistogramLines("sardonyx_canary_seconds", BUCKETS_SECONDS),
    ),
    _CONTROL: _RouteLines(
        "Control-plane requests by outcome",
        "Time of control-plane requests",
        HistogramLines("sardonyx_control_seconds", BUCKETS_SECONDS),
    ),
}


Found: TypeAlias = dict[Key, list[Sequence[float]]]
"""What every board has of each key."""

Family: TypeAlias = Callable[[Found], Iterable[str]]
"""Makes lines of what the boards have, with their headings."""

_LABELS: Final = {_PREDICT: ("model", "version"), _CANARY: ("model", "alias", "version"), _CONTROL: ()}


class Merge(StrEnum):
    """What becomes of one number of several workers."""

    COUNT = "count"
    """Only ever grows, and is added up."""
    SUM = "sum"
    LEAST = "least"
    GREATEST = "greatest"
    OLDEST = "oldest"
    """Is a moment of the machine's monotonic clock; how many seconds ago the first of them was is shown."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of this worker, as it is now."""

    name: str
    words: str
    value: float
    merge: Merge = Merge.SUM


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the predict requests of one version have come to, on all workers."""

    model: str
    version: str
    good: int
    failed: int
    good_seconds: float
    failed_seconds: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Which version's predict requests a key of a board is about."""

    model: str
    version: str
    code: str | None
    """Of the answers that are counted there; None for the histogram of all answers' seconds, which begins there."""

    @property
    def is_refusal(self) -> bool:
        """True if the answers are no predictions."""
        return self.code not in (None, _GOOD)

    @classmethod
    def of(cls, key: Key) -> "Counted | None":
        """Return what a key is about; None if it is something else."""
        if key[1:2] != (_PREDICT,) or not key[2]:
            return None
        if key[0] == _SECONDS:
            return cls(key[2], key[3], None)
        return cls(key[2], key[3], key[4]) if key[0] == _ANSWERS else None


class RequestCounts:
    """What the requests of one route have come to."""

    __slots__ = ("_counts", "_failed_times", "_key", "_numbers", "_slot_of_code", "_times")

    def __init__(self, counts: Counts, *key: str) -> None:
        self._counts = counts
        self._key = key
        self._numbers = counts.numbers
        self._times = counts.slot(_SECONDS, *key, width=_TIMES + 1)
        self._slot_of_code: dict[str, int] = {}
        self._failed_times: int | None = None

    def add(self, code: str, seconds: float, count: int = 1) -> None:
        """Count answers that took so long; ``code`` is their problem's, or ``ok``."""
        slot = self._slot_of_code.get(code)
        if slot is None:
            slot = self._slot_of_code[code] = self._counts.slot(_ANSWERS, *self._key, code)
        numbers, times = self._numbers, self._times
        numbers[slot] += count
        numbers[times + bisect_left(BUCKETS_SECONDS, seconds)] += count
        numbers[times + _TIMES] += seconds * count
        if code != _GOOD:
            if self._failed_times is None:
                self._failed_times = self._counts.slot(_FAILED_SECONDS, *self._key)
            numbers[self._failed_times] += seconds * count


class Metrics:
    """Everything that ``/metrics`` shows.

    Args:
        boards: of all workers of the host; None for a process without siblings.
        own: which of them is this worker's.
        clock: the machine's monotonic seconds.
    """

    def __init__(
        self, boards: Sequence[Board] | None = None, own: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.boards = boards or [Board.create()]
        """Of all workers of the host."""
        self._counts = Counts(self.boards[own])
        self._clock = clock
        self._readers = [BoardReader(board) for board in self.boards]
        self._rendering = Lock()
        self._labels = _Labels()
        self._connections = StateReader(self.boards, CONNECTIONS)
        self._readings: list[Reading] = []
        self._predicts: dict[tuple[str, str], RequestCounts] = {}
        self._phases: dict[tuple[str, str], PhaseCounts] = {}
        self._phase_slots = PhaseSlots(self._counts)
        self.unrouted = RequestCounts(self._counts, _PREDICT, "", "")
        """Predict requests that never found a version."""
        self.control = RequestCounts(self._counts, _CONTROL)
        """Requests of the control plane."""
        self._sources: list[Callable[[], Iterable[Reading]]] = []
        self._before: dict[str, float] = {}
        self._families: list[Family] = []

    def of_version(self, model: str, number: int) -> RequestCounts:
        """Return the counts of a version's predict routes."""
        found = self._predicts.get((model, str(number)))
        if found is None:
            found = self._predicts[model, str(number)] = RequestCounts(self._counts, _PREDICT, model, str(number))
        return found

    def phases_of(self, model: str, number: int) -> PhaseCounts:
        """Return the counts of what a version's predictions spend their time with."""
        found = self._phases.get((model, str(number)))
        if found is None:
            found = self._phases[model, str(number)] = PhaseCounts(self._phase_slots, model, str(number))
        return found

    def of_canary(self, model: str, alias: str, number: int) -> RequestCounts:
        """Return the counts of what an alias sends to its canary."""
        return RequestCounts(self._counts, _CANARY, model, alias, str(number))

    @property
    def counts(self) -> Counts:
        """This worker's own board, for what others count."""
        return self._counts

    def show(self, family: Family) -> None:
        """Have whoever scrapes see what else the boards have."""
        self._families.append(family)

    def watch(self, source: Callable[[], Iterable[Reading]]) -> None:
        """Ask ``source`` for its readings whenever they are published."""
        self._sources.append(source)

    def publish(self) -> None:
        """Take this worker's readings and write them to its board, where its siblings see them."""
        self._readings = readings = [reading for source in self._sources for reading in source()]
        numbers = self._counts.numbers
        for reading in readings:
            slot = self._counts.slot(_kind(reading), reading.name)
            # Of what is counted, the board has what the workers before this one have come to.
            before = self._before.setdefault(reading.name, numbers[slot] if reading.merge is Merge.COUNT else 0.0)
            numbers[slot] = before + reading.value

    def render(self) -> bytes:
        """Return the text format of Prometheus, with the readings that were published last.

        Takes some 50 ms for two thousand versions of one worker: not on the event loop.
        """
        with self._rendering:
            return "".join(self._lines()).encode()

    def totals(self) -> dict[str, float]:
        """Return the readings by name, as the workers of this host have them together: not on the event loop."""
        readings = self._readings
        found = self.find({(_kind(reading), reading.name) for reading in readings}.__contains__)
        totals = {}
        for reading in readings:
            values = [numbers[0] for numbers in found.get((_kind(reading), reading.name), ())]
            if shown := [value for value in values if not isnan(value)]:
                totals[reading.name] = _put_together(reading.merge, shown, self._clock())
        return totals

    def connections_of_all(self) -> list[float]:
        """Return how many connections each worker of the host has in use, as they have published it last; or NaN."""
        return self._connections.read()

    def answered(self) -> list[Answered]:
        """Return what each version has answered, by model and version; takes as long as ``render``."""
        with self._rendering:
            found = _merged(self._readers)
        counts: dict[tuple[str, str], dict[str, float]] = {}
        for key, rows in found.items():
            what, *route = key
            if what in (_ANSWERS, _SECONDS, _FAILED_SECONDS) and route[0] == _PREDICT and route[1]:
                of_version = counts.setdefault((route[1], route[2]), defaultdict(float))
                of_version[route[3] if what == _ANSWERS else what] += sum(row[-1] for row in rows)
        return [
            Answered(
                model=model,
                version=number,
                good=round(of_version.pop(_GOOD, 0)),
                good_seconds=of_version.pop(_SECONDS, 0.0) - of_version.get(_FAILED_SECONDS, 0.0),
                failed_seconds=of_version.pop(_FAILED_SECONDS, 0.0),
                failed=round(sum(of_version.values())),
            )
            for (model, number), of_version in sorted(counts.items(), key=_by_version)
        ]

    def find(self, is_wanted: Callable[[Key], bool]) -> Found:
        """Return what the workers of this host have of some keys, as it is now: not on the event loop."""
        with self._rendering:
            return _merged(self._readers, is_wanted)

    def _lines(self) -> Iterator[str]:
        readings = self._readings
        found = _merged(self._readers)
        yield from _lines_of_requests(found, self._labels)
        yield HEADING
        for key in sorted(key for key in found if key[0] == PHASES):
            yield lines_of_version(key, _added(found[key]))
        for family in self._families:
            yield from family(found)
        for reading in readings:
            values = [numbers[0] for numbers in found[_kind(reading), reading.name]]
            if shown := [value for value in values if not isnan(value)]:  # none, where the board was full before
                yield _lines_of_reading(reading, _put_together(reading.merge, shown, self._clock()))


def _by_version(item: tuple[tuple[str, str], object]) -> tuple[str, int]:
    (model, number), _ = item
    return model, int(number)


def _kind(reading: Reading) -> str:
    return _TOTAL if reading.merge is Merge.COUNT else STATE


def _merged(readers: Sequence[BoardReader], is_wanted: Callable[[Key], bool] = lambda _: True) -> Found:
    """Return what every board has of each key."""
    found: defaultdict[Key, list[Sequence[float]]] = defaultdict(list)
    for reader in readers:
        for key, numbers in reader.read(is_wanted):
            found[key].append(numbers)
    return found


def _added(rows: Sequence[Sequence[float]]) -> Sequence[float]:
    return rows[0] if len(rows) == 1 else [sum(column) for column in zip(*rows, strict=True)]


class _Labels(dict[Key, str]):
    """The text of the labels of each key of a route's requests, made once."""

    def __missing__(self, key: Key) -> str:
        what, route, *values = key
        names = _LABELS[route]
        text = self[key] = label_text(dict(zip((*names, "code") if what == _ANSWERS else names, values, strict=True)))
        return text


def _lines_of_requests(found: Found, labels: "_Labels") -> Iterator[str]:
    """Yield what has become of requests, and what time they took."""
    keys = sorted(key for key in found if key[0] in (_ANSWERS, _SECONDS))
    for route, lines in _ROUTES.items():
        yield heading(f"sardonyx_{route}_requests_total", "counter", lines.answered)
        for key in keys:
            if key[0] == _ANSWERS and key[1] == route:
                count = sum([numbers[0] for numbers in found[key]])
                yield sample(f"sardonyx_{route}_requests_total", labels[key], count)
        yield heading(f"sardonyx_{route}_seconds", "histogram", lines.took)
        for key in keys:
            if key[0] == _SECONDS and key[1] == route:
                *counts, seconds = _added(found[key])
                yield lines.times.of(labels[key], counts, seconds)


_MERGED: Final[dict[Merge, Callable[[Sequence[float]], float]]] = {
    Merge.COUNT: sum,
    Merge.SUM: sum,
    Merge.LEAST: min,
    Merge.GREATEST: max,
    Merge.OLDEST: min,
}


def _put_together(merge: Merge, values: Sequence[float], now: float) -> float:
    value = _MERGED[merge](values)
    return max(0.0, now - value) if merge is Merge.OLDEST else value


def _lines_of_reading(reading: Reading, value: float) -> str:
    is_count = reading.merge is Merge.COUNT
    name = f"{reading.name}_total" if is_count else reading.name
    return heading(name, "counter" if is_count else "gauge", reading.words) + sample(name, "", value)
