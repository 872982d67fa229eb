"""What all workers of a host have counted, in Prometheus's form.

1. Counting is adding to numbers in memory (``gateway.shared_counts``): some tenths of a microsecond a request.
2. A scrape reaches any one worker, and gets the sum over all of them. What is a state and no count (a gauge) is written
   to the board a few times a second and added up too, or the least or the greatest of it is shown.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isnan
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.shared_counts import STATE, Board, BoardReader, Counts, Key

BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_TIMES = len(BUCKETS_SECONDS) + 1
"""The slot of the seconds' sum, behind those of the buckets and of what is beyond them."""

_PREDICT, _CONTROL = "predict", "control"
_ANSWERS, _SECONDS, _TOTAL = "answers", "seconds", "total"


class Merge(StrEnum):
    """What becomes of one number of several workers."""

    COUNT = "count"
    """Only ever grows, and is added up."""
    SUM = "sum"
    LEAST = "least"
    GREATEST = "greatest"


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of this worker, as it is now."""

    name: str
    words: str
    value: float
    merge: Merge = Merge.SUM


class RequestCounts:
    """What the requests of one route have come to."""

    __slots__ = ("_counts", "_key", "_numbers", "_slot_of_code", "_times")

    def __init__(self, counts: Counts, *key: str) -> None:
        self._counts = counts
        self._key = key
        self._numbers = counts.numbers
        self._times = counts.slot(_SECONDS, *key, width=_TIMES + 1)
        self._slot_of_code: dict[str, int] = {}

    def add(self, code: str, seconds: float, count: int = 1) -> None:
        """Count answers that took so long; ``code`` is their problem's, or ``ok``."""
        slot = self._slot_of_code.get(code)
        if slot is None:
            slot = self._slot_of_code[code] = self._counts.slot(_ANSWERS, *self._key, code)
        numbers, times = self._numbers, self._times
        numbers[slot] += count
        numbers[times + bisect_left(BUCKETS_SECONDS, seconds)] += count
        numbers[times + _TIMES] += seconds * count


class Metrics(Collector):
    """Everything that ``/metrics`` shows.

    Args:
        boards: of all workers of the host; None for a process without siblings.
        own: which of them is this worker's.
    """

    def __init__(self, boards: Sequence[Board] | None = None, own: int = 0) -> None:
        self._boards = boards or [Board.create()]
        self._counts = Counts(self._boards[own])
        self._readers = [BoardReader(board) for board in self._boards]
        self._rendering = Lock()
        self._readings: list[Reading] = []
        self._predicts: dict[tuple[str, str], RequestCounts] = {}
        self.unrouted = RequestCounts(self._counts, _PREDICT, "", "")
        """Predict requests that never found a version."""
        self.control = RequestCounts(self._counts, _CONTROL)
        """Requests of the control plane."""
        self._sources: list[Callable[[], Iterable[Reading]]] = []
        self._before: dict[str, float] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def of_version(self, model: str, number: int) -> RequestCounts:
        """Return the counts of a version's predict routes."""
        found = self._predicts.get((model, str(number)))
        if found is None:
            found = self._predicts[model, str(number)] = RequestCounts(self._counts, _PREDICT, model, str(number))
        return found

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

        Takes a tenth of a second for a thousand versions: not on the event loop.
        """
        with self._rendering:
            return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they stand."""
        readings = self._readings
        found = _merged(self._readers)
        yield from _requests(found, _PREDICT, "Predict requests", "Time from a request's arrival to its answer")
        yield from _requests(found, _CONTROL, "Control-plane requests", "Time of control-plane requests")
        for reading in readings:
            values = [numbers[0] for numbers in found[_kind(reading), reading.name]]
            yield _family(reading, [value for value in values if not isnan(value)])


def _kind(reading: Reading) -> str:
    return _TOTAL if reading.merge is Merge.COUNT else STATE


def _merged(readers: Sequence[BoardReader]) -> dict[Key, list[Sequence[float]]]:
    """Return what every board has of each key."""
    found: defaultdict[Key, list[Sequence[float]]] = defaultdict(list)
    for reader in readers:
        for key, numbers in reader.read():
            found[key].append(numbers)
    return found


def _requests(found: dict[Key, list[Sequence[float]]], kind: str, answered: str, took: str) -> Iterator[Metric]:
    labels = ("model", "version") if kind == _PREDICT else ()
    answers = CounterMetricFamily(f"sardonyx_{kind}_requests", f"{answered} by outcome", labels=(*labels, "code"))
    seconds = HistogramMetricFamily(f"sardonyx_{kind}_seconds", took, labels=labels)
    for (what, *key), numbers in sorted(found.items()):
        if key[:1] == [kind] and what == _ANSWERS:
            answers.add_metric(key[1:], sum(row[0] for row in numbers))
        elif key[:1] == [kind] and what == _SECONDS:
            _add_times(seconds, key[1:], [sum(column) for column in zip(*numbers, strict=True)])
    yield answers
    yield seconds


def _add_times(seconds: HistogramMetricFamily, labels: Sequence[str], numbers: Sequence[float]) -> None:
    total = 0.0
    buckets: list[tuple[str, float]] = []
    for limit, count in zip((*BUCKETS_SECONDS, float("inf")), numbers[:_TIMES], strict=True):
        total += count
        buckets.append(("+Inf" if limit == float("inf") else str(limit), total))
    seconds.add_metric(labels, buckets, sum_value=numbers[_TIMES])


def _family(reading: Reading, values: Sequence[float]) -> Metric:
    match reading.merge:
        case Merge.COUNT:
            return CounterMetricFamily(reading.name, reading.words, value=sum(values))
        case Merge.SUM:
            return GaugeMetricFamily(reading.name, reading.words, value=sum(values))
        case Merge.LEAST:
            return GaugeMetricFamily(reading.name, reading.words, value=min(values))
        case Merge.GREATEST:
            return GaugeMetricFamily(reading.name, reading.words, value=max(values))
