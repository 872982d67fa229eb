"""Logs and counters.

1. A log line is one JSON object on one line; no value of it is longer than 256 characters, and what a client or a model
   wrote is escaped like all text in JSON.
2. Counting is adding to plain numbers: one event loop writes them, and Prometheus's form is made when it is asked for.
3. Access lines are made and written together, a few times a second: one by one, each would cost a system call,
   and making many in a row takes a third of the time.
4. A line that cannot be written (the disk is full, the reader of the pipe is gone) is lost, and nothing else is.
"""

import asyncio
import contextlib
import io
import logging
import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import orjson
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

MAX_VALUE_CHARACTERS = 256

BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_FLUSH_SECONDS = 0.2
_FLUSH_LINES = 512


def configure_logs(level: str) -> None:
    """Send every log line of this process, the libraries' too, to standard error as JSON."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _cut_values,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(io.BufferedWriter(_LossyStream())),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_ToStructlog()]
    root.setLevel(max(threshold, logging.WARNING))


def write_log(lines: bytes) -> None:
    """Write whole lines to standard error, or lose them."""
    _LossyStream().write(lines)


class _LossyStream(io.RawIOBase):
    """Standard error as rule 4 has it."""

    def writable(self) -> bool:
        return True

    def write(self, octets: Any, /) -> int:
        rest = memoryview(octets)
        with contextlib.suppress(OSError):
            while rest:
                rest = rest[os.write(sys.stderr.fileno(), rest) :]
        return len(octets)


def _cut_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: value if key == "exception" else _cut(value) for key, value in event.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
        return value[:MAX_VALUE_CHARACTERS] + "..."
    return value


def _serialize(event: Any, **_options: Any) -> bytes:
    return orjson.dumps(event, default=str)


class _ToStructlog(logging.Handler):
    """Libraries that log the ordinary way end up in the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), source=record.name, exc_info=record.exc_info)


class AccessLog:
    """One line a request, written in bundles."""

    def __init__(self, write: Callable[[bytes], object] | None) -> None:
        """``write`` takes whole lines; None keeps no log."""
        self._write = write
        self._entries: list[dict[str, Any]] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        """True if lines are kept."""
        return self._write is not None

    def add(self, entry: dict[str, Any]) -> None:
        """Remember a line; it is written within a fifth of a second."""
        self._entries.append(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        elif len(self._entries) >= _FLUSH_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        entries, self._entries = self._entries, []
        if entries and self._write is not None:
            self._write(b"".join([orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries]))


class RequestCounts:
    """What the requests of one route have come to."""

    __slots__ = ("buckets", "by_code", "seconds_total")

    def __init__(self) -> None:
        self.by_code: dict[str, int] = {}
        """Answers by problem code; ``ok`` for the good ones."""
        self.buckets = [0] * (len(BUCKETS_SECONDS) + 1)
        self.seconds_total = 0.0

    def add(self, code: str, seconds: float) -> None:
        """Count one answer."""
        self.by_code[code] = self.by_code.get(code, 0) + 1
        self.buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        self.seconds_total += seconds


class Metrics(Collector):
    """Everything that `/metrics` shows of this worker."""

    def __init__(self) -> None:
        self._predicts: dict[tuple[str, str], RequestCounts] = {}
        self.unrouted = RequestCounts()
        """Predict requests that never found a version."""
        self.control = RequestCounts()
        """Requests of the control plane."""
        self._gauges: list[Callable[[], Iterable[Metric]]] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def of_version(self, model: str, number: int) -> RequestCounts:
        """Return the counts of a version's predict routes."""
        return self._predicts.setdefault((model, str(number)), RequestCounts())

    def watch(self, source: Callable[[], Iterable[Metric]]) -> None:
        """Ask ``source`` for its metrics at each scrape."""
        self._gauges.append(source)

    def render(self) -> bytes:
        """Return the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they stand."""
        answers = CounterMetricFamily(
            "sardonyx_predict_requests", "Predict requests by outcome", labels=("model", "version", "code")
        )
        seconds = HistogramMetricFamily(
            "sardonyx_predict_seconds", "Time from a request's arrival to its answer", labels=("model", "version")
        )
        for (model, version), counts in list(self._predicts.items()):
            _fill(answers, seconds, (model, version), counts)
        _fill(answers, seconds, ("", ""), self.unrouted)
        yield answers
        yield seconds
        control_answers = CounterMetricFamily(
            "sardonyx_control_requests", "Control-plane requests by outcome", labels=("code",)
        )
        control_seconds = HistogramMetricFamily("sardonyx_control_seconds", "Time of control-plane requests", labels=())
        _fill(control_answers, control_seconds, (), self.control)
        yield control_answers
        yield control_seconds
        for source in self._gauges:
            yield from source()


def _fill(
    answers: CounterMetricFamily, seconds: HistogramMetricFamily, labels: tuple[str, ...], counts: RequestCounts
) -> None:
    for code, count in counts.by_code.items():
        answers.add_metric((*labels, code), count)
    total = 0
    buckets: list[tuple[str, float]] = []
    for limit, count in zip((*BUCKETS_SECONDS, float("inf")), counts.buckets, strict=True):
        total += count
        buckets.append(("+Inf" if limit == float("inf") else str(limit), total))
    seconds.add_metric(labels, buckets, sum_value=counts.seconds_total)


def gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    """Return one number as it stands."""
    return GaugeMetricFamily(name, words, value=value)


def counter(name: str, words: str, value: float) -> CounterMetricFamily:
    """Return one number that only grows."""
    return CounterMetricFamily(name, words, value=value)
