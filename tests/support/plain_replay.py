"""A replay by hash and bounded load, request by request, as plainly as it can be said; slow.

1. Everything that is under way is in one agenda with everything else; the host of a request is looked for by name among
   all owners of its key.
2. What caches and disks do is not said again: they are the planner's own.
"""

from collections import Counter
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from gateway.planner.cache import Agenda, Cache, Counts, Prices
from gateway.planner.costs import Costs
from gateway.planner.disk import Disk
from gateway.planner.load import Load
from gateway.planner.replay import SLICES, Fleet, Outcome, ring_of


@dataclass(frozen=True, slots=True)
class Request:
    """One that has been sent."""

    moment: float
    host: int
    run_seconds: float


class PlainFleet:
    """Hosts with their caches, and a proxy that knows what each has under way."""

    def __init__(self, load: Load, costs: Costs, fleet: Fleet) -> None:
        self.load = load
        self.fleet = fleet
        self.agenda = Agenda()
        self.disks = [Disk(fleet.disk_bytes) for _ in range(fleet.hosts)]
        self.taken = [seconds + fleet.request_seconds for seconds in costs.run_seconds.tolist()]
        self.caches = [[self._cache(host, costs) for _ in range(fleet.workers)] for host in range(fleet.hosts)]
        self.ring = ring_of(fleet.hosts, fleet.balance_factor)
        self.under_way: Counter[str] = Counter()
        self.workers = np.random.default_rng(1).integers(fleet.workers, size=len(load), dtype=np.int32).tolist()

    def send(self, number: int) -> Request:
        """Send one of the load's requests."""
        now, index = float(self.load.times[number]), int(self.load.version_indexes[number])
        self.agenda.run_until(now)
        host = self._host_of(self.load.keys[self.load.key_indexes[number]])
        cache = self.caches[host][self.workers[number]]
        self.under_way[self._name(host)] += 1
        if index in cache.ready:
            cache.ready[index].uses += 1
            cache.ready[index].floor = cache.ranking.floor
            self._run(host, index, 1, now)
        elif not cache.miss(now, index):
            self._end(host, now)
        return Request(now, host, self.taken[index])

    def forget(self) -> None:
        """Begin to count."""
        for disk, caches in zip(self.disks, self.caches, strict=True):
            disk.fetched_bytes = 0
            for cache in caches:
                cache.counts = Counts()

    def _host_of(self, key: str) -> int:
        total = self.under_way.total()
        owners = [self.ring.servers.index(server) for server in self.ring.owners(key, self.fleet.hosts)]
        with_room = [it for it in owners if self.under_way[self._name(it)] < self.ring.slots(it, total)]
        return [*with_room, *owners][0]

    def _name(self, host: int) -> str:
        return self.ring.servers[host].name

    def _run(self, host: int, index: int, count: int, now: float) -> None:
        for _ in range(count):
            self.agenda.add(now + self.taken[index], partial(self._end, host))

    def _end(self, host: int, _: float) -> None:
        self.under_way[self._name(host)] -= 1

    def _cache(self, host: int, costs: Costs) -> Cache:
        fleet = self.fleet
        prices = Prices(
            load_seconds=costs.load_seconds.tolist(),
            memory_bytes=costs.memory_bytes.tolist(),
            file_bytes=costs.file_bytes.tolist(),
            store_seconds=[
                fleet.store_delay_seconds + size / fleet.store_bytes_per_second for size in costs.file_bytes.tolist()
            ],
            answer_seconds=self.taken,
        )
        budget = fleet.memory_bytes // fleet.workers
        return Cache(budget, prices, self.disks[host], self.agenda, partial(self._run, host))


def replay_plainly(load: Load, costs: Costs, fleet: Fleet, *, warm_up: float) -> dict[str, Any]:
    """Return what a replay comes to, by the names of ``Outcome``."""
    plain = PlainFleet(load, costs, fleet)
    first = int(len(load) * warm_up)
    for number in range(first):
        plain.send(number)
    plain.forget()
    requests = [plain.send(number) for number in range(first, len(load))]
    plain.agenda.run_all()
    counts = [[cache.counts for cache in caches] for caches in plain.caches]
    begin, end = requests[0].moment, requests[-1].moment
    seconds = max(end - begin, 1e-9)
    runs, busy = [0.0] * fleet.hosts, Counter[tuple[int, int]]()
    for request in requests:
        runs[request.host] += request.run_seconds
        part = min(int((request.moment - begin) * (SLICES / seconds)), SLICES - 1)
        busy[part, request.host] += request.run_seconds  # type: ignore[assignment] # seconds, not whole ones
    asked = Counter(request.host for request in requests)
    return {
        "requests": [asked[host] for host in range(fleet.hosts)],
        "misses": [sum(it.misses for it in each) for each in counts],
        "refused": [sum(it.refused for it in each) for each in counts],
        "loads": [sum(it.loads for it in each) for each in counts],
        "evictions": [sum(it.evictions for it in each) for each in counts],
        "fetched_bytes": [float(disk.fetched_bytes) for disk in plain.disks],
        "load_seconds": [sum(it.load_seconds for it in each) for each in counts],
        "run_seconds": runs,
        "cold_seconds": [[took for it in each for took in it.cold_seconds] for each in counts],
        "busiest": max(busy.values()) / (seconds / SLICES),
        "seconds": seconds,
    }


def as_values(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values, which can be compared."""
    found = {field.name: getattr(outcome, field.name) for field in fields(outcome)}
    cold_seconds = [each.tolist() for each in outcome.cold_seconds]
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.items()} | {
        "cold_seconds": cold_seconds
    }
