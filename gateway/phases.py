"""What the time of a prediction has gone to: waiting, loading, decoding, running, encoding.

1. The phases of a prediction add up to its whole time, from its arrival to its answer: whatever is none of the others
   is waiting (``queue``): for the tick, a place, a turn, a lease, a thread, the event loop.
2. Those who share a run each have the decoding, the run and the encoding of the whole batch, and waits of their own.
   What came between them and could not share has been run while they were read: it is part of that decoding.
3. Only good answers are counted, and have every phase but ``load``, which those have that waited for one. So the count
   of each other phase is the number of predictions that were answered.
4. A prediction on the event loop takes hardly more time than counting it carefully would: phases have few buckets, and
   one that stays within the first bucket while it is decoded, run and encoded is one addition for the three of them.
5. At most ``MOST_VERSIONS`` of a worker have phases of their own, first come first; the others are counted together,
   under no name. What has been counted stays until the gateway ends, that of retired versions too: no sum may fall.
"""

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate
from math import inf
from typing import Final, TypeAlias

from gateway.exposition import heading, label_text, number
from gateway.shared_counts import Counts, Key

PHASES: Final = "phases"
"""What the keys on a board begin with that belong here."""

NAME: Final = "sardonyx_phase_seconds"

LIMITS_SECONDS: Final = (0.001, 0.01, 0.1, 1.0)

MOST_VERSIONS: Final = 20_000


class Phase(StrEnum):
    """What a prediction is at."""

    QUEUE = "queue"
    LOAD = "load"
    DECODE = "decode"
    RUN = "run"
    ENCODE = "encode"


Times: TypeAlias = tuple[float, float, float, float, float]
"""When decoding began and ended, the run began and ended, and encoding began, in monotonic seconds."""

_QUICK: Final = LIMITS_SECONDS[0]
_BUCKETS: Final = len(LIMITS_SECONDS) + 1
_PHASE_WIDTH: Final = _BUCKETS + 1
_WIDTH: Final = 1 + len(Phase) * _PHASE_WIDTH
"""The first slot has those that were quick in all that is done, waiting aside; then each phase has its buckets and its
sum of seconds."""

_QUEUE, _LOAD, _DECODE, _RUN, _ENCODE = range(1, _WIDTH, _PHASE_WIDTH)
_QUEUE_SUM, _LOAD_SUM, _DECODE_SUM, _RUN_SUM, _ENCODE_SUM = range(1 + _BUCKETS, _WIDTH, _PHASE_WIDTH)


class Moments:
    """When one prediction began and ended with what, in monotonic seconds; 0 for what has not been yet."""

    __slots__ = ("decode_began", "decode_ended", "encode_began", "load_ended", "load_seconds", "run_began", "run_ended")

    def __init__(self) -> None:
        self.decode_began = 0.0
        self.decode_ended = 0.0
        self.load_seconds = 0.0
        """How long it waited for a load that was under way."""
        self.load_ended = 0.0
        self.run_began = 0.0
        self.run_ended = 0.0
        self.encode_began = 0.0

    @property
    def times(self) -> Times:
        """All but the load, where all of it has been."""
        return self.decode_began, self.decode_ended, self.run_began, self.run_ended, self.encode_began

    @times.setter
    def times(self, times: Times) -> None:
        self.decode_began, self.decode_ended, self.run_began, self.run_ended, self.encode_began = times


def spans_of(moments: Moments, started: float, ended: float) -> list[tuple[Phase, float, float]]:
    """Return what a prediction was at, from when to when: without gaps, and each phase for as long as it is counted.

    Of one that has failed, the phase that it failed in goes on to its end.
    """
    known = [
        (Phase.DECODE, moments.decode_began, moments.decode_ended),
        (Phase.LOAD, moments.load_ended - moments.load_seconds, moments.load_ended),
        (Phase.RUN, moments.run_began, moments.run_ended),
        (Phase.ENCODE, moments.encode_began, ended),
    ]
    spans: list[tuple[Phase, float, float]] = []
    at = started
    for phase, began, known_end in known:
        if not began:
            continue
        if began > at:
            spans.append((Phase.QUEUE, at, began))
        at = known_end or ended
        spans.append((phase, began, at))
    if ended > at:
        spans.append((Phase.QUEUE, at, ended))
    return spans


class PhaseSlots:
    """Where on a worker's board the phases of each version are counted.

    Args:
        counts: the board.
        most: how many versions have slots of their own.
    """

    def __init__(self, counts: Counts, most: int = MOST_VERSIONS) -> None:
        self.counts = counts
        self._most = most
        self._left = most - counts.count(PHASES)

    def of(self, model: str, version: str) -> int:
        """Return the first slot of a version."""
        if not self.counts.has(PHASES, model, version):
            if self._left <= 0:
                model = version = ""
            else:
                self._left -= 1
        return self.counts.slot(PHASES, model, version, width=_WIDTH)


class PhaseCounts:
    """What the good answers of one version have taken; it takes slots when the first one comes."""

    __slots__ = ("_begin", "_model", "_numbers", "_slots", "_version")

    def __init__(self, slots: PhaseSlots, model: str, version: str) -> None:
        self._slots = slots
        self._numbers = slots.counts.numbers
        self._model = model
        self._version = version
        self._begin: int | None = None

    def add(self, started: float, times: Times, ended: float, *, load_seconds: float = 0.0, count: int = 1) -> None:
        """Count predictions that arrived and were answered together.

        Args:
            started: when they arrived.
            times: what happened then.
            ended: when they were answered.
            load_seconds: how much of their time was waiting for a load.
            count: how many.
        """
        begin = self._begin
        if begin is None:
            begin = self._begin = self._slots.of(self._model, self._version)
        decode_began, decode_ended, run_began, run_ended, encode_began = times
        decode, run, encode = decode_ended - decode_began, run_ended - run_began, ended - encode_began
        queue = ended - started - decode - run - encode
        numbers = self._numbers
        if load_seconds:
            queue -= load_seconds
            self._put(begin + _LOAD, load_seconds, count)
            numbers[begin + _LOAD_SUM] += load_seconds * count
        if queue < 0.0:  # noqa: PLR1730 - by a rounding; a call of max would cost what a phase does
            queue = 0.0
        if decode <= _QUICK and run <= _QUICK and encode <= _QUICK:
            numbers[begin] += count
        else:
            self._put(begin + _DECODE, decode, count)
            self._put(begin + _RUN, run, count)
            self._put(begin + _ENCODE, encode, count)
        if queue <= _QUICK:
            numbers[begin + _QUEUE] += count
        else:
            self._put(begin + _QUEUE, queue, count)
        numbers[begin + _QUEUE_SUM] += queue * count
        numbers[begin + _DECODE_SUM] += decode * count
        numbers[begin + _RUN_SUM] += run * count
        numbers[begin + _ENCODE_SUM] += encode * count

    def _put(self, begin: int, seconds: float, count: int) -> None:
        """Count in the bucket of a phase whose buckets begin there."""
        self._numbers[begin + bisect_left(LIMITS_SECONDS, seconds)] += count


def _lines_of(*phases: Phase) -> str:
    """Return the lines of some phases, with places for what else the labels say and for the numbers."""
    lines = []
    for phase in phases:
        labels = f'phase="{phase}",{_LATER}'
        lines += [f'{NAME}_bucket{{le="{number(limit)}",{labels}}} %d\n' for limit in (*LIMITS_SECONDS, inf)]
        lines += [f"{NAME}_count{{{labels}}} %d\n", f"{NAME}_sum{{{labels}}} %r\n"]
    return "".join(lines)


_LATER: Final = "\0"
_DONE: Final = {Phase.DECODE: _DECODE, Phase.RUN: _RUN, Phase.ENCODE: _ENCODE}
_LINES: Final = _lines_of(Phase.QUEUE, *_DONE)
_LINES_OF_LOAD: Final = _lines_of(Phase.LOAD)
HEADING: Final = heading(
    NAME,
    "histogram",
    "What the time of good predictions has gone to: queue is all waiting, load is there where one was waited for; "
    "requests that share a run each have its whole decode, run and encode",
)


def lines_of_version(key: Key, numbers: Sequence[float]) -> str:
    """Return the lines of one version.

    A scrape of 2,000 versions that have answered takes 92 ms of a processor with these lines, 36 ms without them, for
    7.5 MiB of text, and 2.8.

    Args:
        key: as on the board.
        numbers: its slots, of all boards together.
    """
    _, model, version = key
    labels = label_text({"model": model, "version": version}).replace("%", "%%")
    values = _values_of(_QUEUE, numbers, 0.0)
    for begin in _DONE.values():
        values += _values_of(begin, numbers, numbers[0])
    text = _LINES.replace(_LATER, labels) % tuple(values)
    if numbers[_LOAD_SUM]:
        text += _LINES_OF_LOAD.replace(_LATER, labels) % tuple(_values_of(_LOAD, numbers, 0.0))
    return text


def _values_of(begin: int, numbers: Sequence[float], quick: float) -> list[float]:
    """Return the numbers of a phase's lines, in their order: of those up to each limit, of all, the seconds."""
    _, *totals = accumulate(numbers[begin : begin + _BUCKETS], initial=quick)
    return [*totals, totals[-1], numbers[begin + _BUCKETS]]
