"""What fleets come to: by hash, by round robin, with bounded load, with more workers; and how many hosts it takes."""

from dataclasses import replace

import numpy as np
import pytest

from gateway import loading
from gateway.planner import cache
from gateway.planner.costs import Cost, Costs, Kind, costs_of
from gateway.planner.load import DAY_SECONDS, Load, Zipf
from gateway.planner.plan import Plan, Target, find_hosts, make_plan, with_hosts
from gateway.planner.replay import Balance, Fleet, replay, ring_of

MB = 1_000_000
SMALL = Kind(share=1.0, cost=Cost(load_seconds=0.02, memory_bytes=MB, run_seconds=0.001, file_bytes=2 * MB))
LOAD = Zipf(models=600, requests=30_000, rate=100).make()
COSTS = costs_of(LOAD.versions, {}, [SMALL])
FLEET = Fleet(hosts=4, memory_bytes=80 * MB)


def alike(count: int) -> Costs:
    return Costs(
        load_seconds=np.full(count, 0.02),
        memory_bytes=np.full(count, MB),
        run_seconds=np.full(count, 0.001),
        file_bytes=np.full(count, 2 * MB),
        known_count=count,
    )


def requests_for(indexes: list[int], *, pause: float) -> Load:
    count = max(indexes) + 1
    return Load(
        keys=[f"m{number}/1" for number in range(count)],
        versions=[(f"m{number}", 1) for number in range(count)],
        key_indexes=np.array(indexes, np.int32),
        version_indexes=np.array(indexes, np.int32),
        times=np.arange(len(indexes), dtype=np.float64) * pause,
    )


def test_each_host_has_the_requests_whose_keys_the_ring_gives_it() -> None:
    outcome = replay(LOAD, COSTS, FLEET)
    ring = ring_of(4)
    owners = [ring.servers.index(ring.owner(key)) for key in LOAD.keys]
    expected = np.bincount(np.array(owners)[LOAD.key_indexes], minlength=4)
    assert outcome.requests.tolist() == expected.tolist()


def test_a_version_is_missed_once_where_there_is_room_for_all() -> None:
    outcome = replay(LOAD, COSTS, replace(FLEET, memory_bytes=10_000 * MB))
    asked = len(np.unique(LOAD.version_indexes))
    assert (outcome.loads.sum(), outcome.evictions.sum()) == (asked, 0)
    assert outcome.fetched_bytes.sum() == COSTS.file_bytes[np.unique(LOAD.version_indexes)].sum()


def test_what_warms_up_does_not_count() -> None:
    plan = make_plan(requests_for([0] * 10, pause=1.0), alike(1), FLEET, warm_up=0.5)
    assert (plan.total.hit_rate, plan.total.loads_per_second, plan.total.store_bytes_per_second) == (1.0, 0.0, 0.0)


def test_a_hash_has_more_hits_than_round_robin_and_fetches_less() -> None:
    hashed, in_turn = (make_plan(LOAD, COSTS, replace(FLEET, balance=balance)) for balance in Balance)
    assert hashed.total.hit_rate > in_turn.total.hit_rate + 0.05
    assert hashed.total.store_bytes_per_second < in_turn.total.store_bytes_per_second / 2


def test_round_robin_gives_every_host_as_much() -> None:
    outcome = replay(LOAD, COSTS, replace(FLEET, balance=Balance.ROUND_ROBIN))
    assert outcome.requests.tolist() == [7500] * 4


def test_a_cold_request_waits_for_the_store_and_its_load_and_then_runs() -> None:
    fleet = replace(FLEET, store_delay_seconds=0.5, store_bytes_per_second=MB, request_seconds=0.1)
    outcome = replay(requests_for([0, 0], pause=60), alike(1), fleet)
    assert np.concatenate(outcome.cold_seconds).tolist() == pytest.approx([0.5 + 2 + 0.02 + 0.001 + 0.1])


def test_those_who_come_while_a_version_is_loaded_wait_for_the_same_load() -> None:
    outcome = replay(requests_for([0, 0, 0], pause=0.01), alike(1), replace(FLEET, store_delay_seconds=1))
    assert (outcome.misses.sum(), outcome.loads.sum()) == (3, 1)


def test_what_fits_into_no_budget_is_counted_and_harms_nothing() -> None:
    plan = make_plan(requests_for([0, 0], pause=1), alike(1), replace(FLEET, memory_bytes=MB // 2))
    assert (plan.refused, plan.total.hit_rate, plan.total.cold_p99_seconds) == (2, 0.0, 0.0)


def test_workers_share_a_hosts_memory_and_have_a_cache_each() -> None:
    one, four = (make_plan(LOAD, COSTS, replace(FLEET, workers=workers)) for workers in (1, 4))
    assert four.total.hit_rate < one.total.hit_rate - 0.05
    assert four.total.store_bytes_per_second == pytest.approx(one.total.store_bytes_per_second, rel=0.2)


def test_without_a_factor_a_hot_version_stays_on_one_host() -> None:
    outcome = replay(requests_for([0] * 4000, pause=0.0001), alike(1), FLEET)
    assert sorted(outcome.requests.tolist()) == [0, 0, 0, 4000]


def test_with_a_factor_a_hot_version_spreads_over_hosts() -> None:
    fleet = replace(FLEET, balance_factor=125)
    outcome = replay(requests_for([0] * 4000, pause=0.0001), alike(1), fleet)
    assert sorted(outcome.requests.tolist())[1] > 500  # three are enough for eleven under way


def test_a_single_host_does_with_a_factor_what_it_does_without() -> None:
    one, bounded = (make_plan(LOAD, COSTS, Fleet(hosts=1, memory_bytes=80 * MB, balance_factor=it)) for it in (0, 150))
    assert bounded.hosts == one.hosts


def test_the_busiest_host_is_what_it_runs_in_its_busiest_time() -> None:
    load = replace(
        requests_for([0] * 1000, pause=1), times=np.concatenate([np.arange(900) * 1.0, 900 + np.arange(100)])
    )
    plan = make_plan(load, alike(1), replace(FLEET, request_seconds=0.999), warm_up=0.1)
    assert plan.busiest_cores == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("target", [Target(hit_rate=0.9), Target(cold_p99_seconds=0.2), Target(cores=0.03)])
def test_the_hosts_found_meet_the_target_and_one_less_does_not(target: Target) -> None:
    plans: dict[int, Plan] = {}

    def plan_of(hosts: int) -> Plan:
        return plans.setdefault(hosts, make_plan(LOAD, COSTS, with_hosts(FLEET, hosts), warm_up=0.5))

    found = find_hosts(plan_of, target, 1)
    assert found is not None
    hosts = found.fleet.hosts
    assert (target.is_met(plans[hosts]), hosts == 1 or not target.is_met(plan_of(hosts - 1))) == (True, True)


def test_a_target_that_no_number_of_hosts_meets_has_no_plan() -> None:
    worst = make_plan(requests_for([0, 1], pause=1), alike(2), FLEET)
    assert find_hosts(lambda hosts: replace(worst, fleet=with_hosts(FLEET, hosts)), Target(hit_rate=0.5), 3) is None


@pytest.mark.parametrize("target", [Target(hit_rate=0.0), Target(cold_p99_seconds=9.0), Target(cores=9.0)])
def test_no_target_is_met_by_refusing_requests(target: Target) -> None:
    refusing = replace(FLEET, memory_bytes=0)
    load = requests_for([0, 1], pause=1)
    assert find_hosts(lambda hosts: make_plan(load, alike(2), with_hosts(refusing, hosts)), target, 1) is None


def test_a_load_is_the_same_each_time_and_rises_and_falls_by_day() -> None:
    days = Zipf(models=100, requests=50_000, rate=50_000 / DAY_SECONDS, swing=0.8)
    load = days.make()
    morning, evening = np.histogram(load.times, [0, DAY_SECONDS / 2, DAY_SECONDS])[0]
    assert (load.times == days.make().times).all()
    assert morning / evening == pytest.approx((1 + 1.6 / np.pi) / (1 - 1.6 / np.pi), rel=0.05)


def test_a_law_of_zipf_gives_each_model_its_share() -> None:
    counts = np.bincount(Zipf(models=100, requests=200_000, rate=1, exponent=1.2).make().version_indexes)
    assert counts[0] / counts[9] == pytest.approx(10**1.2, rel=0.1)


def test_as_many_loads_at_once_as_a_worker_does() -> None:
    assert cache.LOADS_AT_ONCE == loading.LOADS_AT_ONCE
