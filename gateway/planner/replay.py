"""A load sent to a fleet: what each host's caches come to.

1. By hash, a request goes where HAProxy sends its key (``gateway.placement.ring``); by round robin, to the next host.
   Within a host, one of its workers has it, by chance: connections are spread so.
2. With a balance factor a host counts what it has under way, by the costs of runs and loads, and the ring passes it
   over when it is full, as the proxy does. A single host is never passed over.
3. Requests come in the order of their times; nothing else makes time pass. A host never slows down because it is busy:
   what it would need of its processors is reckoned, and whether it has that is for the reader to see.
4. What happens before ``counted_from`` fills the caches, and does not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.placement.ring import Ring, Server, hashes_of
from gateway.planner.cache import Agenda, Cache, Counts, Prices
from gateway.planner.costs import Costs
from gateway.planner.disk import Disk
from gateway.planner.load import Load

_CHUNK: Final = 65_536
SLICES: Final = 50
"""Into so many slices of equal length the counted time is cut, to find the busiest."""


class Balance(StrEnum):
    """How requests are spread over hosts."""

    HASH = "hash"
    ROUND_ROBIN = "round-robin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Hosts that are alike."""

    hosts: int
    memory_bytes: int
    """For the sessions of all workers of one host: ``SARDONYX_MEMORY_BUDGET``."""
    workers: int = 1
    disk_bytes: float = 20 * 2**30
    """``SARDONYX_CACHE_BYTES``."""
    balance: Balance = Balance.HASH
    balance_factor: int = 0
    request_seconds: float = 0.0001
    """What a request takes of a processor beside its run."""
    store_delay_seconds: float = 0.03
    store_bytes_per_second: float = 100e6
    """How long a fetch takes: the delay, and the bytes at that rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a replay came to, in what counts."""

    requests: NDArray[np.int64]
    """[hosts], as those below."""
    misses: NDArray[np.int64]
    refused: NDArray[np.int64]
    loads: NDArray[np.int64]
    evictions: NDArray[np.int64]
    fetched_bytes: NDArray[np.float64]
    load_seconds: NDArray[np.float64]
    run_seconds: NDArray[np.float64]
    """What requests take of processors, loads left out."""
    cold_seconds: tuple[NDArray[np.float64], ...]
    """For each host how long each miss took."""
    busiest: float
    """The processors that the busiest host needs for its runs in the busiest slice of time."""
    seconds: float


def replay(load: Load, costs: Costs, fleet: Fleet, *, warm_up: float = 0.0) -> Outcome:
    """Send a load to a fleet.

    Args:
        load: at least one request.
        costs: of its versions.
        fleet: the hosts; all are there from the first request to the last.
        warm_up: which part of the requests only fills the caches: from 0, below 1.
    """
    agenda = Agenda()
    disks = [Disk(fleet.disk_bytes) for _ in range(fleet.hosts)]
    prices = _prices(costs, fleet)
    bounded = _Bounded(load, costs, fleet, agenda) if fleet.balance_factor and fleet.hosts > 1 else None
    caches = [
        Cache(
            fleet.memory_bytes // fleet.workers,
            prices,
            disks[number // fleet.workers],
            agenda,
            None if bounded is None else bounded.of_host(number // fleet.workers),
        )
        for number in range(fleet.hosts * fleet.workers)
    ]
    first = int(len(load) * warm_up)
    hosts = _spread(load, fleet) if bounded is None else np.empty(len(load), np.int32)
    workers = np.random.default_rng(1).integers(fleet.workers, size=len(load), dtype=np.int32)
    for begin, end in _chunks(len(load), first):
        if begin == first:
            _forget(caches, disks)
        if bounded is None:
            chosen = hosts[begin:end] * fleet.workers + workers[begin:end]
            _send(load, caches, agenda, begin, chosen)
        else:
            hosts[begin:end] = bounded.send(caches, begin, workers[begin:end])
    agenda.run_all()
    return _outcome(load, costs, fleet, hosts, caches, disks, first)


def _chunks(count: int, first: int) -> Iterator[tuple[int, int]]:
    bounds = sorted({*range(0, count, _CHUNK), first, count})
    yield from pairwise(bounds)


def _spread(load: Load, fleet: Fleet) -> NDArray[np.int32]:
    if fleet.balance is Balance.ROUND_ROBIN:
        return (np.arange(len(load)) % fleet.hosts).astype(np.int32)
    ring = ring_of(fleet.hosts)
    owners = ring.owners_at(ring.places_of(hashes_of(load.keys))).astype(np.int32)
    return owners[load.key_indexes]


def ring_of(hosts: int, balance_factor: int = 0) -> Ring:
    """Return the ring of as many equal hosts, with ids from 1 on."""
    return Ring([Server(name=f"host-{n}", id=n) for n in range(1, hosts + 1)], balance_factor=balance_factor)


def _send(load: Load, caches: list[Cache], agenda: Agenda, begin: int, chosen: NDArray[np.int32]) -> None:
    end = begin + len(chosen)
    times, indexes = load.times[begin:end].tolist(), load.version_indexes[begin:end].tolist()
    for now, index, number in zip(times, indexes, chosen.tolist(), strict=True):
        if agenda.next <= now:
            agenda.run_until(now)
        cache = caches[number]
        entry = cache.ready.get(index)
        if entry is not None:
            entry.uses += 1
            entry.floor = cache.ranking.floor
        else:
            cache.miss(now, index)


class _Bounded:
    """Requests sent one by one, since each one's host depends on what those before it have under way (rule 2)."""

    def __init__(self, load: Load, costs: Costs, fleet: Fleet, agenda: Agenda) -> None:
        self._load = load
        self._workers = fleet.workers
        self._agenda = agenda
        self._ring = ring_of(fleet.hosts, fleet.balance_factor)
        self._places = self._ring.places_of(hashes_of(load.keys))
        self._run_seconds: list[float] = (costs.run_seconds + fleet.request_seconds).tolist()
        self._under_way = [0] * fleet.hosts
        self._total = 0
        # When runs end, on which host, and how many. They are none of the agenda's: nothing follows from them but
        # counts, so that all that is due can be taken off in any order before the next request is placed.
        self._ends: list[tuple[float, int, int]] = []

    def of_host(self, host: int) -> "_Released":
        """Return whom a host's caches tell of loads that have ended."""
        return _Released(self, host)

    def send(self, caches: list[Cache], begin: int, workers: NDArray[np.int32]) -> list[int]:
        """Send some requests; return the host of each."""
        part = slice(begin, begin + len(workers))
        indexes = self._load.version_indexes[part].tolist()
        places = self._places[self._load.key_indexes[part]].tolist()
        agenda, ends, under_way, hosts = self._agenda, self._ends, self._under_way, []
        for now, place, index, worker in zip(
            self._load.times[part].tolist(), places, indexes, workers.tolist(), strict=True
        ):
            if agenda.next <= now:
                agenda.run_until(now)
            if ends and ends[0][0] <= now:
                self._take_off(now)
            host = self._choose(place)
            hosts.append(host)
            under_way[host] += 1
            self._total += 1
            cache = caches[host * self._workers + worker]
            entry = cache.ready.get(index)
            if entry is not None:
                entry.uses += 1
                entry.floor = cache.ranking.floor
                heappush(ends, (now + self._run_seconds[index], host, 1))
            elif not cache.miss(now, index):
                under_way[host] -= 1
                self._total -= 1
        return hosts

    def run(self, host: int, index: int, count: int, now: float) -> None:
        """Have the runs of some requests for a version begin."""
        heappush(self._ends, (now + self._run_seconds[index], host, count))

    def _take_off(self, now: float) -> None:
        """Count what has ended as under way no more."""
        ends = self._ends
        while ends and ends[0][0] <= now:
            _, host, count = heappop(ends)
            self._under_way[host] -= count
            self._total -= count

    def _choose(self, place: int) -> int:
        host = self._ring.first_with_room(place, self._under_way, self._total)
        return self._ring.successors(place, 1)[0] if host is None else host


@dataclass(frozen=True, slots=True)
class _Released:
    """Begins the runs of those who have waited for a load of one host."""

    bounded: _Bounded
    host: int

    def __call__(self, index: int, count: int, now: float) -> None:
        self.bounded.run(self.host, index, count, now)


def _prices(costs: Costs, fleet: Fleet) -> Prices:
    store_seconds = fleet.store_delay_seconds + costs.file_bytes / fleet.store_bytes_per_second
    return Prices(
        load_seconds=costs.load_seconds.tolist(),
        memory_bytes=costs.memory_bytes.tolist(),
        file_bytes=costs.file_bytes.tolist(),
        store_seconds=store_seconds.tolist(),
        answer_seconds=(costs.run_seconds + fleet.request_seconds).tolist(),
    )


def _forget(caches: list[Cache], disks: list[Disk]) -> None:
    for cache in caches:
        cache.counts = Counts()
    for disk in disks:
        disk.fetched_bytes = 0


def _outcome(
    load: Load,
    costs: Costs,
    fleet: Fleet,
    hosts: NDArray[np.int32],
    caches: list[Cache],
    disks: list[Disk],
    first: int,
) -> Outcome:
    counted, times = hosts[first:], load.times[first:]
    taken = costs.run_seconds[load.version_indexes[first:]] + fleet.request_seconds
    seconds = max(float(times[-1] - times[0]), 1e-9)
    slices = np.minimum(((times - times[0]) * (SLICES / seconds)).astype(np.int64), SLICES - 1)
    by_slice = np.bincount(slices * fleet.hosts + counted, taken, SLICES * fleet.hosts)
    counts = [[it.counts for it in caches[n * fleet.workers : (n + 1) * fleet.workers]] for n in range(fleet.hosts)]
    return Outcome(
        requests=np.bincount(counted, minlength=fleet.hosts),
        misses=np.array([sum(it.misses for it in each) for each in counts], np.int64),
        refused=np.array([sum(it.refused for it in each) for each in counts], np.int64),
        loads=np.array([sum(it.loads for it in each) for each in counts], np.int64),
        evictions=np.array([sum(it.evictions for it in each) for each in counts], np.int64),
        fetched_bytes=np.array([disk.fetched_bytes for disk in disks], np.float64),
        load_seconds=np.array([sum(it.load_seconds for it in each) for each in counts], np.float64),
        run_seconds=np.bincount(counted, taken, fleet.hosts).astype(np.float64),
        cold_seconds=tuple(np.concatenate([np.array(it.cold_seconds) for it in each]) for each in counts),
        busiest=float(by_slice.max()) / (seconds / SLICES),
        seconds=seconds,
    )
