"""A plan: the figures of a replay, for each host and over all, and how many hosts a target needs.

1. A hit is a request whose version was loaded when it came. The time of any other is what it waited, and its run.
2. The hosts that a target needs are found by replaying the load to more and fewer of them: doubling until it holds,
   then halving the distance, to within a hundredth. Without bounded load more hosts never make it worse, but for the
   luck of single models; with it they may, since each has less under way and is full the sooner: what is found is good
   enough, but fewer may be so, too.
   No target is met where requests are refused, since that is the quickest answer of all.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gateway.planner.costs import Costs
from gateway.planner.load import Load
from gateway.planner.replay import Fleet, Outcome, replay

MOST_HOSTS: Final = 4_096
"""The search ends there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one host, or all of them, come to."""

    requests_per_second: float
    hit_rate: float
    cold_p99_seconds: float
    """Of the misses; 0 where there is none."""
    evictions_per_second: float
    loads_per_second: float
    store_bytes_per_second: float
    cores_busy: float

    def as_json(self) -> dict[str, float]:
        """Return the figures with no more digits than they are worth."""
        return {name: float(f"{getattr(self, name):.6g}") for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a fleet does with a load."""

    fleet: Fleet
    total: Figures
    hosts: tuple[Figures, ...]
    refused: int
    """Requests for what fits into no worker's budget."""
    busiest_cores: float
    """The most that any host needs for runs in a fiftieth of the time, and the most that any needs for loads."""

    def as_json(self) -> dict[str, Any]:
        """Return the plan without its hosts one by one."""
        rates = [host.hit_rate for host in self.hosts if host.requests_per_second]
        return {
            "hosts": self.fleet.hosts,
            "balance": self.fleet.balance.value,
            **self.total.as_json(),
            "lowest_hit_rate": float(f"{min(rates):.6g}"),
            "busiest_cores": float(f"{self.busiest_cores:.6g}"),
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is wanted; None where it does not matter."""

    hit_rate: float | None = None
    cold_p99_seconds: float | None = None
    cores: float | None = None
    """What the busiest host may need."""

    def is_met(self, plan: Plan) -> bool:
        """Return whether a plan is as wanted."""
        return (
            not plan.refused
            and (self.hit_rate is None or plan.total.hit_rate >= self.hit_rate)
            and (self.cold_p99_seconds is None or plan.total.cold_p99_seconds <= self.cold_p99_seconds)
            and (self.cores is None or plan.busiest_cores <= self.cores)
        )

    def as_json(self) -> dict[str, float]:
        """Return what matters."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


def make_plan(load: Load, costs: Costs, fleet: Fleet, *, warm_up: float = 0.0) -> Plan:
    """Replay a load to a fleet and return what it comes to."""
    outcome = replay(load, costs, fleet, warm_up=warm_up)
    hosts = tuple(_figures(outcome, slice(host, host + 1)) for host in range(fleet.hosts))
    return Plan(
        fleet=fleet,
        total=_figures(outcome, slice(None)),
        hosts=hosts,
        refused=int(outcome.refused.sum()),
        busiest_cores=outcome.busiest + float((outcome.load_seconds / outcome.seconds).max()),
    )


def find_hosts(plan_of: Callable[[int], Plan], target: Target, at_first: int) -> Plan | None:
    """Return the plan of the fewest hosts that meet a target; None if ``MOST_HOSTS`` do not.

    Args:
        plan_of: makes the plan of so many hosts.
        target: what is wanted.
        at_first: where the search begins.
    """
    too_few, hosts = 0, at_first
    plan = plan_of(hosts)
    while not target.is_met(plan):
        if hosts >= MOST_HOSTS or plan.refused:  # a worker of more hosts has no more memory
            return None
        too_few, hosts = hosts, min(MOST_HOSTS, 2 * hosts)
        plan = plan_of(hosts)
    while hosts - too_few > max(1, hosts // 100):
        middle = (too_few + hosts) // 2
        found = plan_of(middle)
        if target.is_met(found):
            hosts, plan = middle, found
        else:
            too_few = middle
    return plan


def with_hosts(fleet: Fleet, hosts: int) -> Fleet:
    """Return a fleet of as many hosts of the same kind."""
    return replace(fleet, hosts=hosts)


def _figures(outcome: Outcome, which: slice) -> Figures:
    requests, misses = int(outcome.requests[which].sum()), int(outcome.misses[which].sum())
    cold_seconds = np.concatenate(outcome.cold_seconds[which])
    seconds = outcome.seconds
    return Figures(
        requests_per_second=requests / seconds,
        hit_rate=max(0.0, 1 - misses / requests) if requests else 0.0,
        cold_p99_seconds=float(np.percentile(cold_seconds, 99)) if len(cold_seconds) else 0.0,
        evictions_per_second=float(outcome.evictions[which].sum()) / seconds,
        loads_per_second=float(outcome.loads[which].sum()) / seconds,
        store_bytes_per_second=float(outcome.fetched_bytes[which].sum()) / seconds,
        cores_busy=float(outcome.run_seconds[which].sum() + outcome.load_seconds[which].sum()) / seconds,
    )
