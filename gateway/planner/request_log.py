"""A gateway's log as a load: its lines of requests, with the times and the shares that they state.

1. A line is JSON, with or without a word before it, such as the time that a collector of logs writes there. Lines of
   other events are passed over, but for ``prepared``, which tell what a version takes. What is no line of a log is
   counted by its fault, with the first line that has it.
2. Replayed is what came to a version's session: good answers, and those whose load or run went wrong. Refused requests
   load nothing, nor does ``validate``.
3. A line has a time: its ``timestamp``, else that before the JSON, else that of the line before; those before the first
   time have that one. What is no time of this century is none. Lines are written in bundles; those of one moment are
   spread over the time since the moment before, a fifth of a second at most. A request came as long before its line as
   it took. A log without any times is spread evenly at the rate that is given.
4. A line that was kept by chance stands for one over ``share`` requests (``expansion``).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.placement.keys import key_of, key_of_path
from gateway.planner.costs import MOST_BYTES, MOST_SECONDS
from gateway.planner.expansion import expand
from gateway.planner.load import Load, Version

BUNDLE_SECONDS: Final = 0.2
"""How long lines wait to be written together."""

MOST_REQUESTS: Final = 200_000_000
"""For so many the lines of a log may stand."""

_CENTURY: Final = (946_684_800.0, 4_102_444_800.0)
"""From 2000 to 2100, in seconds since 1970."""

_LOADING_CODES: Final = frozenset({"ok", "model_execution_failed", "model_output_not_text", "predict_timeout"})


@dataclass(slots=True)
class Fault:
    """What is wrong with some lines."""

    count: int
    first_line: int


@dataclass(slots=True)
class Reading:
    """What a log holds."""

    lines: int = 0
    passed_over: int = 0
    """Lines of other events, and of requests that load nothing."""
    faults: dict[str, Fault] = field(default_factory=dict)
    has_shares: bool = False
    """True if lines were kept by chance."""
    guessed: dict[Version, dict[str, float]] = field(default_factory=dict)
    """What versions seem to cost, by the names of ``Cost``: how long their requests took says so."""
    prepared: dict[Version, dict[str, float]] = field(default_factory=dict)
    """What sessions of prepared models were measured to take."""
    loads: dict[Version, list[float]] = field(default_factory=dict)
    """How long the loads took for which requests have waited."""
    hit_rate: float | None = None
    """Of the requests replayed those that waited for no load, as the log has them; None where nobody waited."""

    def as_json(self) -> dict[str, Any]:
        """Return the counts."""
        faults = {reason: {"lines": it.count, "first_line": it.first_line} for reason, it in self.faults.items()}
        hit_rate = None if self.hit_rate is None else round(self.hit_rate, 6)
        return {"lines": self.lines, "passed_over": self.passed_over, "hit_rate": hit_rate, "faults": faults}


class BadLogError(ValueError):
    """A log has no request that could be replayed, no time, or too many requests; the message says what it has."""


class _BadLineError(ValueError):
    """A line is none of a log; the message is the fault's name."""


@dataclass(slots=True)
class _Columns:
    keys: dict[str, int] = field(default_factory=dict)
    versions: dict[Version, int] = field(default_factory=dict)
    key_indexes: list[int] = field(default_factory=list)
    version_indexes: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    waited: list[bool] = field(default_factory=list)
    key_of_path: dict[str, str | None] = field(default_factory=dict)


def read_log(lines: Iterable[bytes], *, rate: float | None = None) -> tuple[Load, Reading]:
    """Return the requests of a log, and what else it says.

    Args:
        lines: as the gateway has written them, in any order of time.
        rate: requests a second in the mean; the log's own times are not looked at then.

    Raises:
        BadLogError: there is nothing to replay.
    """
    reading, columns, clock = Reading(), _Columns(), _Clock()
    for line in lines:
        reading.lines += 1
        try:
            document, before = _parse(line)
            if document is None or not _take(document, reading, columns):
                reading.passed_over += 1
            else:
                columns.times.append(clock.read(document, before))
        except _BadLineError as error:
            fault = reading.faults.setdefault(str(error), Fault(0, reading.lines))
            fault.count += 1
    if not columns.times:
        raise BadLogError(f"none of its {reading.lines} lines is a prediction{_told(reading)}")
    if rate is None and not clock.has_read:
        raise BadLogError("its lines have no times, and no rate is given")
    requests = sum(1 / share for share in columns.shares)
    if requests > MOST_REQUESTS:
        raise BadLogError(f"by their shares its lines stand for {requests:.3g} requests, at most are {MOST_REQUESTS:,}")
    reading.has_shares = min(columns.shares) < 1
    _learn(columns, reading)
    return _load(columns, rate), reading


def _told(reading: Reading) -> str:
    worst = Counter({reason: fault.count for reason, fault in reading.faults.items()}).most_common(1)
    if not worst:
        return ""
    ((reason, count),) = worst
    return f": {count} are at fault ({reason}), the first one is line {reading.faults[reason].first_line}"


def _parse(line: bytes) -> tuple[Mapping[str, Any] | None, bytes]:
    begin = line.find(b"{")
    if begin < 0:
        if line.strip():
            raise _BadLineError("no JSON")
        return None, b""
    try:
        document = orjson.loads(line[begin:] if begin else line)
    except orjson.JSONDecodeError:
        raise _BadLineError("no JSON") from None
    if not isinstance(document, dict):
        raise _BadLineError("no object")
    return document, line[:begin]


def _take(document: Mapping[str, Any], reading: Reading, columns: _Columns) -> bool:
    """Take a prediction in; return whether it is one."""
    event = document.get("event")
    if event == "prepared":
        _note_prepared(document, reading)
    if event != "request" or document.get("model") is None:
        return False
    model, number, path, share, seconds = _fields(document)
    is_run = document.get("method") == "POST" and not path.endswith("/validate")
    if not is_run or document.get("code") not in _LOADING_CODES:
        return False
    if path not in columns.key_of_path:
        columns.key_of_path[path] = key_of_path(path)
    key = columns.key_of_path[path] or key_of(model, str(number))
    columns.key_indexes.append(columns.keys.setdefault(key, len(columns.keys)))
    columns.version_indexes.append(columns.versions.setdefault((model, number), len(columns.versions)))
    columns.shares.append(share)
    columns.seconds.append(seconds)
    waited = document.get("load_seconds")
    columns.waited.append(waited is not None)
    if isinstance(waited, int | float) and 0 < waited <= MOST_SECONDS:
        reading.loads.setdefault((model, number), []).append(waited)
    return True


def _fields(document: Mapping[str, Any]) -> tuple[str, int, str, float, float]:
    model, number, path = document["model"], document.get("version"), document.get("path")
    share, seconds = document.get("share", 1.0), document.get("seconds")
    if not isinstance(model, str) or not isinstance(number, int) or not isinstance(path, str):
        raise _BadLineError("a request without model, version and path")
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise _BadLineError("a share that is none")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= MOST_SECONDS:
        raise _BadLineError("a request without seconds")
    return model, number, path, share, seconds


def _note_prepared(document: Mapping[str, Any], reading: Reading) -> None:
    model, number, taken = document.get("model"), document.get("version"), document.get("memory_bytes")
    if isinstance(model, str) and isinstance(number, int) and isinstance(taken, int):
        if not 0 <= taken <= MOST_BYTES:
            raise _BadLineError("a prepared model that takes what cannot be")
        reading.prepared[model, number] = {"memory_bytes": taken}


class _Clock:
    """Reads the time of one line after another; most have that of the line before."""

    def __init__(self) -> None:
        self.has_read = False
        self._text = ""
        self._moment = float("nan")

    def read(self, document: Mapping[str, Any], before: bytes) -> float:
        """Return the seconds since 1970, by rule 3; not a number before the first time."""
        text = document.get("timestamp")
        if text is None and before.strip():
            text = before.split(maxsplit=1)[0].decode("ascii", "replace")
        if not isinstance(text, str) or text == self._text:
            return self._moment
        self._text = text
        try:
            moment = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            return self._moment
        begin, end = _CENTURY
        if begin <= moment < end:
            self._moment, self.has_read = moment, True
        return self._moment


def _learn(columns: _Columns, reading: Reading) -> None:
    """Reckon what runs and loads take, from how long requests took."""
    indexes, seconds = np.array(columns.version_indexes), np.array(columns.seconds)
    order = np.lexsort((seconds, indexes))
    begins = np.searchsorted(indexes[order], np.arange(len(columns.versions)))
    ends = np.append(begins[1:], len(order))
    medians = seconds[order][begins + (ends - begins - 1) // 2].tolist()
    slowest = seconds[order][ends - 1].tolist()
    for version, index in columns.versions.items():
        found = reading.guessed[version] = {"run_seconds": medians[index]}
        if slowest[index] > medians[index] and not reading.loads:
            found["load_seconds"] = slowest[index] - medians[index]
    if reading.loads:
        weights = 1 / np.array(columns.shares)
        reading.hit_rate = 1 - float(weights[np.array(columns.waited)].sum() / weights.sum())


def _load(columns: _Columns, rate: float | None) -> Load:
    shares = np.array(columns.shares)
    if rate is not None:
        weights = 1 / shares
        times = (np.cumsum(weights) - weights) / rate
        order = np.arange(len(times))
    else:
        written = np.array(columns.times)
        written[np.isnan(written)] = written[~np.isnan(written)][0]
        order = np.argsort(written, kind="stable")
        times = _spread(written[order]) - np.array(columns.seconds)[order]
        again = np.argsort(times, kind="stable")
        order, times = order[again], times[again]
    load = Load(
        keys=tuple(columns.keys),
        versions=tuple(columns.versions),
        key_indexes=np.array(columns.key_indexes, np.int32)[order],
        version_indexes=np.array(columns.version_indexes, np.int32)[order],
        times=times - times[0],
    )
    return expand(load, shares[order])


def _spread(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread what was written together over the time in which it was collected."""
    moments, begins, counts = np.unique(times, return_index=True, return_counts=True)
    before = np.diff(moments, prepend=moments[0] - BUNDLE_SECONDS).clip(max=BUNDLE_SECONDS)
    place = np.arange(len(times)) - np.repeat(begins, counts)
    spread: NDArray[np.float64] = times - np.repeat(before, counts) * (1 - (place + 1) / np.repeat(counts, counts))
    return spread
