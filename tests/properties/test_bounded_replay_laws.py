"""A replay with bounded load comes to what one comes to that places each request plainly, in every figure."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.planner.costs import Costs, costs_of
from gateway.planner.load import Load, Zipf
from gateway.planner.replay import Fleet, replay
from tests.support.plain_replay import as_values, replay_plainly

KEYS = 12
QUARTERS = st.sampled_from([0.25, 0.5, 1.0, 4.0])
"""Seconds that are exact, so that much happens in one moment."""

VERSIONS = st.fixed_dictionaries(
    {"load": QUARTERS, "run": QUARTERS, "size": st.integers(1, 5), "file": st.integers(0, 3)}
)
REQUESTS = st.lists(
    st.tuples(st.integers(0, KEYS - 1), st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 2.0])), min_size=2, max_size=200
)
"""For which key, and how long after the one before."""

FLEETS = st.builds(
    Fleet,
    hosts=st.integers(2, 6),
    memory_bytes=st.integers(3, 14),
    workers=st.integers(1, 2),
    disk_bytes=st.sampled_from([4.0, 1000.0]),
    balance_factor=st.sampled_from([101, 125, 150, 400]),
    request_seconds=st.sampled_from([0.0, 0.25]),
    store_delay_seconds=st.sampled_from([0.0, 0.25]),
    store_bytes_per_second=st.just(4.0),
)


@given(
    versions=st.lists(VERSIONS, min_size=KEYS, max_size=KEYS),
    aliases=st.lists(st.integers(0, KEYS - 1), min_size=KEYS, max_size=KEYS),
    requests=REQUESTS,
    fleet=FLEETS,
    warm_up=st.sampled_from([0.0, 0.5]),
)
@settings(max_examples=150)
def test_where_much_happens_at_once_both_come_to_the_same(
    versions: list[dict[str, Any]],
    aliases: list[int],
    requests: list[tuple[int, float]],
    fleet: Fleet,
    warm_up: float,
) -> None:
    keys = np.array([key for key, _ in requests], np.int32)
    load = Load(
        keys=[f"m{key}/1" for key in range(KEYS)],
        versions=[(f"m{index}", 1) for index in range(KEYS)],
        key_indexes=keys,
        version_indexes=np.array(aliases, np.int32)[keys],
        times=np.cumsum([pause for _, pause in requests]),
    )
    costs = Costs(
        load_seconds=np.array([it["load"] for it in versions]),
        memory_bytes=np.array([it["size"] for it in versions]),
        run_seconds=np.array([it["run"] for it in versions]),
        file_bytes=np.array([it["file"] for it in versions]),
        known_count=KEYS,
    )
    assert as_values(replay(load, costs, fleet, warm_up=warm_up)) == replay_plainly(load, costs, fleet, warm_up=warm_up)


@given(
    zipf=st.builds(
        Zipf,
        models=st.integers(1, 300),
        requests=st.integers(2, 1500),
        rate=st.sampled_from([50.0, 2000.0, 50_000.0]),
        exponent=st.sampled_from([0.5, 1.0, 2.0]),
        seed=st.integers(0, 1000),
    ),
    hosts=st.integers(2, 40),
    memory_bytes=st.sampled_from([200_000_000, 2**31]),
    factor=st.sampled_from([101, 150, 65535]),
)
@settings(max_examples=30)
def test_a_load_by_the_law_of_zipf_comes_to_the_same_in_both(
    zipf: Zipf, hosts: int, memory_bytes: int, factor: int
) -> None:
    load = zipf.make()
    costs = costs_of(load.versions, {})
    fleet = replace(Fleet(hosts=hosts, memory_bytes=memory_bytes), balance_factor=factor, workers=2)
    assert as_values(replay(load, costs, fleet, warm_up=0.5)) == replay_plainly(load, costs, fleet, warm_up=0.5)
