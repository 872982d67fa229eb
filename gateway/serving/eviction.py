"""Which sessions go when room is needed: those whose loss costs least, by GreedyDual-Size-Frequency.

1. A session's rank is ``floor + uses * seconds / bytes``: what loading it again takes, as often as it is used, for each
   byte that it occupies. The lowest rank goes first; of equal ones, what was loaded or looked at longest ago.
2. The floor is the highest rank that has gone so far, and each session has the floor of its last use. So it rises past
   what is not used any more, however much that was worth.
3. Uses count up to ``MAX_USES``: beyond that a model is simply in use. Without the limit one that had a million
   requests yesterday would stay for ever.
4. Models that are asked for once have one use each: a scan through a thousand of them drops the ones before it in the
   scan, and not what is used again and again.
5. Where the last one chosen makes enough room by itself, the cheaper ones chosen before it stay.
6. What made room leaves its uses behind. When it is loaded again, three quarters of them count: it was in use, and has
   only had bad luck. That is remembered of the last ``REMEMBERED`` ones.

A use costs two assignments (``SessionCache.peek``), nothing is sorted: ranks of loaded sessions only rise, so a heap
keeps what they were when last looked at, and what comes up too early is put back with the rank that it has now. What
has gone stays in the heap until it comes up, or until it makes up half of it.

Source: L. Cherkasova, Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy, Hewlett-Packard
Laboratories HPL-98-69 (R.1), 1998. ``python -m bench.eviction`` compares it with others on traces.
"""

from collections import OrderedDict
from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Generic, Protocol, TypeVar

from gateway.serving.cache_entry import Key
from gateway.serving.lifecycle import State

MAX_USES = 16
REMEMBERED = 4096

_LEAST_CLEANED = 64

_LEAST_SECONDS = 0.001
"""Shorter loads are as good as each other: such a measurement says more about the machine than about the model."""


class Ranked(Protocol):
    """What can be ranked: a cache's entry, or what the planner has in its place."""

    key: Key
    state: State
    size_bytes: int
    load_seconds: float
    uses: int
    floor: float


R = TypeVar("R", bound=Ranked)


class Ranking(Generic[R]):
    """The loaded sessions by what they are worth; belongs to one event loop."""

    def __init__(self) -> None:
        self.floor = 0.0
        """Rule 2; to be written to an entry at each use."""
        self._uses: OrderedDict[Key, int] = OrderedDict()
        """Rule 6; those that have gone last come last."""
        self._heap: list[tuple[float, int, R]] = []
        self._clean_at = _LEAST_CLEANED
        """How long the heap may be before what has gone is taken out of it."""
        self._turns = count()

    def add(self, entry: R) -> None:
        """Take a session in that has just been loaded; it must have been used once."""
        entry.floor = self.floor
        entry.uses += self._uses.pop(entry.key, 0)
        self._push(entry)

    def remove(self, entry: R) -> None:
        """Take note that a session, which is READY no longer, made room for others."""
        self.floor = max(self.floor, rank_of(entry))
        remembered = min(entry.uses, MAX_USES) * 3 // 4
        if not remembered:
            return  # what a scan has used once must not make anything forgotten
        self._uses[entry.key] = remembered
        if len(self._uses) > REMEMBERED:
            self._uses.popitem(last=False)

    def choose(self, wanted_bytes: int, may_go: Callable[[R], bool]) -> list[R]:
        """Return the sessions of least rank that together take at least ``wanted_bytes``; none if all do not."""
        seen: list[R] = []
        chosen: list[R] = []
        found_bytes = 0
        while found_bytes < wanted_bytes:
            entry = self._pop()
            if entry is None:
                chosen = []
                break
            seen.append(entry)
            if may_go(entry):
                chosen.append(entry)
                found_bytes += entry.size_bytes
        for entry in seen:
            self._push(entry)
        return _needed(chosen, found_bytes - wanted_bytes)

    def _pop(self) -> R | None:
        """Take out what has the lowest rank now."""
        while self._heap:
            rank, _, entry = self._heap[0]
            if entry.state is not State.READY:
                heappop(self._heap)
            elif (rank_now := rank_of(entry)) > rank:
                heapreplace(self._heap, (rank_now, next(self._turns), entry))
            else:
                return heappop(self._heap)[2]
        return None

    def _push(self, entry: R) -> None:
        heappush(self._heap, (rank_of(entry), next(self._turns), entry))
        if len(self._heap) > self._clean_at:
            self._heap = [item for item in self._heap if item[2].state is State.READY]
            heapify(self._heap)
            self._clean_at = max(_LEAST_CLEANED, 2 * len(self._heap))


def rank_of(entry: Ranked) -> float:
    """Return the rank of a session, in seconds of loading per byte."""
    return entry.floor + min(entry.uses, MAX_USES) * max(entry.load_seconds, _LEAST_SECONDS) / entry.size_bytes


def _needed(chosen: list[R], spare_bytes: int) -> list[R]:
    """Leave out what is not needed, beginning with what is worth most (rule 5)."""
    kept = []
    for entry in reversed(chosen):
        if entry.size_bytes <= spare_bytes:
            spare_bytes -= entry.size_bytes
        else:
            kept.append(entry)
    return kept[::-1]
