"""Holding answers against moves: which version was live when, and how late the last old answer came.

1. A move took place at some instant between its request and its acknowledgement; where nobody acknowledged it, between
   its request and the moment at which it was first seen in the history. None took place before the one above it there.
2. An answer is right if its version was live at some instant between its sending and its receipt.
3. Otherwise it is an old one if its version was live earlier: a worker gave it that had not heard of the move away from
   that version. How late it is counts from when that move was known (to who asked for it) to the receipt.
4. An old answer that is more than ten seconds late is wrong, and so is the answer of a version that was never live
   before its receipt. For those ten seconds the time does not count for which the database was away: nobody can hear of
   a move that was made in the moment before. For the lateness that is reported it does count.
"""

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.chaos_history import Attempt, Row

WRONG_AFTER_SECONDS = 10.0


class Outages:
    """When the database was away."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def begin(self, now: float) -> None:
        self._spans.append((now, math.inf))

    def end(self, now: float) -> None:
        self._spans[-1] = (self._spans[-1][0], now)

    def touch(self, begin: float, end: float, *, grace_seconds: float) -> bool:
        """Tell whether it was away at any time in between, or had come back less than ``grace_seconds`` before."""
        return any(away <= end and begin <= back + grace_seconds for away, back in self._spans)

    def seconds_within(self, begin: float, end: float) -> float:
        """Return for how long it was away in between."""
        return sum(max(0.0, min(end, back) - max(begin, away)) for away, back in self._spans)


class Answers:
    """Who answered when: seventeen bytes each."""

    def __init__(self) -> None:
        self._versions, self._sent, self._received = array("B"), array("d"), array("d")

    def add(self, version: int, sent_at: float, received_at: float) -> None:
        self._versions.append(version)
        self._sent.append(sent_at)
        self._received.append(received_at)

    def __iter__(self) -> Iterator[tuple[int, float, float]]:
        return zip(self._versions, self._sent, self._received, strict=True)

    def __len__(self) -> int:
        return len(self._versions)


class Timeline:
    """Which version was live when, as far as can be told from outside (rules 1 and 2).

    Args:
        rows, attempts: as for ``history_faults``.
    """

    def __init__(self, rows: Sequence[Row], attempts: Sequence[Attempt]) -> None:
        asked = {attempt.reason: attempt for attempt in attempts}
        moves = [asked.get(row.reason) for row in rows]
        self.versions = [row.to_version for row in rows]
        begins = [-math.inf if move is None else move.asked_at for move in moves]
        known = [math.inf if move is None else move.known_at for move in moves]
        known[0] = -math.inf
        self.begins = list(itertools.accumulate(begins, max))
        """No move took place before this."""
        self.known = list(itertools.accumulate(reversed(known), min))[::-1]
        """Nor after this."""

    def moved_away(self, version: int, sent_at: float, received_at: float) -> int | None:
        """Return None for an answer that was right, else which move away from its version was known before it was sent.

        Raises:
            LookupError: the version had not been live before the receipt.
        """
        # What was live at the sending or later: the move after it was not known yet, or there is none.
        first = bisect_left(self.known, sent_at, lo=1) - 1
        end = bisect_right(self.begins, received_at)
        if version in self.versions[first:end]:
            return None
        for place in range(first - 1, -1, -1):
            if self.versions[place] == version:
                return place + 1
        raise LookupError


@dataclass(slots=True, kw_only=True)
class Judgement:
    """What has become of the answers of one model."""

    lateness: list[float]
    """For each move the seconds from when it was known to its last old answer; 0 if there was none."""
    old_count: int = 0
    wrong: list[str] = field(default_factory=list)


def judge(answers: Answers, timeline: Timeline, outages: Outages) -> Judgement:
    """Judge the answers of one model by rules 2 to 4."""
    found = Judgement(lateness=[0.0] * (len(timeline.versions)))
    for version, sent_at, received_at in answers:
        try:
            move = timeline.moved_away(version, sent_at, received_at)
        except LookupError:
            found.wrong.append(f"version {version} answered at {received_at:.3f} before it was live")
            continue
        if move is None:
            continue
        found.old_count += 1
        known_at = timeline.known[move]
        late = received_at - known_at
        found.lateness[move] = max(found.lateness[move], late)
        if late - outages.seconds_within(known_at, received_at) > WRONG_AFTER_SECONDS:
            found.wrong.append(f"version {version} answered at {received_at:.3f}, {late:.3f} s after it was left")
    del found.lateness[0]
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them do not pass; 0 if there are none."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0
