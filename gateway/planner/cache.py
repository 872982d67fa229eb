"""The sessions of one worker, as ``gateway.serving.session_cache`` would keep them, in a time that is only counted.

1. Who goes is chosen by the gateway's own ``Ranking``, who is young told by its ``settling``: this module has the
   line, the budget and the clock, by rules 2, 3, 4, 6 and 8 of the session cache. Leases are left out: runs are short
   beside the time between two evictions.
2. A load fetches its files if they are not on the host's disk, then waits for one of the places where models are
   loaded.
3. Memory counts from before the load; what is dropped is free at once.
4. What is yet to happen stands in an agenda that all caches of a replay share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Final

from gateway.planner.disk import Disk
from gateway.serving.cache_entry import Key
from gateway.serving.eviction import Ranking
from gateway.serving.lifecycle import State
from gateway.serving.settling import LEAST_PAUSE_SECONDS, young_seconds

LOADS_AT_ONCE: Final = 2
"""As ``gateway.loading`` has it."""

_PATIENCE_SECONDS: Final = 0.25
"""After that the first in line looks once more, as in the session cache."""


class Agenda:
    """What is yet to happen, by its moment."""

    __slots__ = ("_items", "_turns", "next")

    def __init__(self) -> None:
        self.next = float("inf")
        """The moment of the first thing."""
        self._items: list[tuple[float, int, Callable[[float], None]]] = []
        self._turns = count()

    def add(self, moment: float, action: Callable[[float], None]) -> None:
        """Have something done at a moment, which it is told."""
        heappush(self._items, (moment, next(self._turns), action))
        self.next = self._items[0][0]

    def run_until(self, now: float) -> None:
        """Do all that is due."""
        while self._items and self._items[0][0] <= now:
            moment, _, action = heappop(self._items)
            action(moment)
        self.next = self._items[0][0] if self._items else float("inf")

    def run_all(self) -> None:
        """Do all that there is, and what follows from it."""
        self.run_until(float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What versions cost, by their index, as lists: they are read one by one."""

    load_seconds: Sequence[float]
    memory_bytes: Sequence[int]
    file_bytes: Sequence[int]
    store_seconds: Sequence[float]
    """What fetching the files from the store takes."""
    answer_seconds: Sequence[float]
    """What a request takes that does not wait."""


class SimulatedEntry:
    """One session's life; what ``Ranking`` looks at, and when it settles."""

    __slots__ = (
        "arrivals",
        "floor",
        "is_impatient",
        "key",
        "load_seconds",
        "settles_at",
        "size_bytes",
        "state",
        "uses",
    )

    def __init__(self, index: int, size_bytes: int, load_seconds: float) -> None:
        self.key: Key = ("", index)
        self.size_bytes = size_bytes
        self.load_seconds = load_seconds
        self.state = State.NEW
        self.uses = 0
        self.floor = 0.0
        self.settles_at = 0.0
        self.is_impatient = False
        self.arrivals: list[float] = []
        """When those came who wait for it."""


@dataclass(slots=True)
class Counts:
    """What has happened in a cache since counting began."""

    misses: int = 0
    """Requests whose version was not loaded, be it on its way or not."""
    refused: int = 0
    """Those of the misses whose version does not fit into the budget."""
    loads: int = 0
    evictions: int = 0
    load_seconds: float = 0.0
    cold_seconds: list[float] = field(default_factory=list)
    """How long each miss took, with its run."""


class Cache:
    """One worker's sessions.

    Args:
        budget_bytes: what they may take together.
        prices: what versions cost.
        disk: the host's.
        agenda: of the replay.
        released: told of each load that has ended, and how many have waited for it; for bounded load.
    """

    def __init__(
        self,
        budget_bytes: int,
        prices: Prices,
        disk: Disk,
        agenda: Agenda,
        released: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self.ready: dict[int, SimulatedEntry] = {}
        """Who uses one of these has to count it: ``uses`` by one more, and ``floor`` as ``ranking`` has it."""
        self.ranking: Ranking[SimulatedEntry] = Ranking()
        self.counts = Counts()
        self._budget_bytes = budget_bytes
        self._used_bytes = 0
        self._prices = prices
        self._disk = disk
        self._agenda = agenda
        self._released = released
        self._line: dict[int, SimulatedEntry] = {}
        self._loading: dict[int, SimulatedEntry] = {}
        self._places = [0.0] * LOADS_AT_ONCE
        self._is_woken = False

    def miss(self, now: float, index: int) -> bool:
        """Have a version loaded that is not ready; False if it will never fit."""
        counts = self.counts
        counts.misses += 1
        entry = self._loading.get(index) or self._line.get(index)
        if entry is None:
            size_bytes = self._prices.memory_bytes[index]
            if size_bytes > self._budget_bytes:
                counts.refused += 1
                return False
            entry = self._line[index] = SimulatedEntry(index, size_bytes, self._prices.load_seconds[index])
        entry.arrivals.append(now)
        self._give_room(now)
        return True

    def _give_room(self, now: float) -> None:
        while self._line:
            index, first = next(iter(self._line.items()))
            shortfall_bytes = first.size_bytes - (self._budget_bytes - self._used_bytes)
            if shortfall_bytes > 0 and not self._make_room(now, shortfall_bytes):
                self._wait(now, first)
                return
            del self._line[index]
            self._start_load(now, index, first)

    def _make_room(self, now: float, wanted_bytes: int) -> bool:
        chosen = self.ranking.choose(wanted_bytes, lambda entry: entry.settles_at <= now)
        for entry in chosen:
            entry.state = State.DRAINING
            del self.ready[entry.key[1]]
            self._used_bytes -= entry.size_bytes
            self.ranking.remove(entry)
        self.counts.evictions += len(chosen)
        return bool(chosen)

    def _wait(self, now: float, first: SimulatedEntry) -> None:
        if not self._is_woken:
            young = [entry.settles_at for entry in self.ready.values() if entry.settles_at > now]
            if young:  # else a load that is under way has the room, and its end is looked at
                self._is_woken = True
                self._agenda.add(max(now + LEAST_PAUSE_SECONDS, min(young)), self._wake)
        if not first.is_impatient:
            first.is_impatient = True
            self._agenda.add(now + _PATIENCE_SECONDS, self._give_room)

    def _wake(self, now: float) -> None:
        self._is_woken = False
        self._give_room(now)

    def _start_load(self, now: float, index: int, entry: SimulatedEntry) -> None:
        entry.state = State.LOADING
        self._loading[index] = entry
        self._used_bytes += entry.size_bytes
        if self._disk.fetch(index, self._prices.file_bytes[index]):
            moment = now + self._prices.store_seconds[index]
            self._agenda.add(moment, lambda moment: self._take_place(moment, index, entry))
        else:
            self._take_place(now, index, entry)

    def _take_place(self, now: float, index: int, entry: SimulatedEntry) -> None:
        place = self._places.index(min(self._places))
        ends = max(now, self._places[place]) + entry.load_seconds
        self._places[place] = ends
        self._agenda.add(ends, lambda moment: self._loaded(moment, index, entry))

    def _loaded(self, now: float, index: int, entry: SimulatedEntry) -> None:
        del self._loading[index]
        entry.state = State.READY
        self.ready[index] = entry
        entry.uses = len(entry.arrivals)
        entry.settles_at = now + young_seconds(entry.load_seconds)
        self.ranking.add(entry)
        counts = self.counts
        counts.loads += 1
        counts.load_seconds += entry.load_seconds
        answered = now + self._prices.answer_seconds[index]
        counts.cold_seconds += [answered - arrival for arrival in entry.arrivals]
        if self._released is not None:
            self._released(index, len(entry.arrivals), now)
        entry.arrivals = []
        self._give_room(now)
