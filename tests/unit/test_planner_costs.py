"""What versions cost: measured numbers, kinds for the rest, and files that say either."""

import json

import numpy as np
import pytest

from gateway.planner.costs import KINDS, BadCostsError, Cost, Kind, costs_of, merge, read_costs, with_loads

ONE = Kind(share=1.0, cost=Cost(load_seconds=0.5, memory_bytes=10_000_000, run_seconds=0.01, file_bytes=4_000_000))


def test_measured_numbers_go_before_the_kind_of_a_version() -> None:
    costs = costs_of([("a", 1), ("b", 1)], {("a", 1): {"load_seconds": 7.0, "memory_bytes": 9e6}}, [ONE])
    assert (costs.load_seconds[0], costs.memory_bytes[0], costs.known_count) == (7.0, 9_000_000, 1)
    assert costs.load_seconds[1] < 2


def test_versions_of_a_kind_lie_around_it_and_a_version_always_costs_the_same() -> None:
    versions = [(f"m{number}", 1) for number in range(5000)]
    costs, again = costs_of(versions, {}, [ONE]), costs_of(versions[::-1], {}, [ONE])
    assert np.median(costs.load_seconds) == pytest.approx(0.5, rel=0.05)
    assert costs.load_seconds.tolist() == again.load_seconds[::-1].tolist()


def test_kinds_have_their_shares_of_the_versions() -> None:
    costs = costs_of([(f"m{number}", 1) for number in range(20_000)], {})
    large = float((costs.memory_bytes > 25_000_000).mean())
    assert large == pytest.approx(KINDS[-1].share, abs=0.01)


def test_no_session_takes_less_than_the_gateway_counts() -> None:
    costs = costs_of([("a", 1)], {("a", 1): {"memory_bytes": 10.0}})
    assert costs.memory_bytes.tolist() == [128 * 1024]


def test_later_sources_know_better() -> None:
    found = merge({("a", 1): {"load_seconds": 1.0, "run_seconds": 1.0}}, {("a", 1): {"load_seconds": 2.0}})
    assert found == {("a", 1): {"load_seconds": 2.0, "run_seconds": 1.0}}


def test_loads_are_what_a_log_has_seen_and_those_of_others_in_proportion() -> None:
    known = {("a", 1): {"load_seconds": 1.0}, ("b", 1): {"load_seconds": 4.0}, ("c", 1): {"run_seconds": 1.0}}
    assert with_loads(known, {("a", 1): [0.25, 0.25, 0.9]}) == {
        ("a", 1): {"load_seconds": 0.25},
        ("b", 1): {"load_seconds": 1.0},
        ("c", 1): {"run_seconds": 1.0},
    }


def test_a_load_takes_no_longer_than_the_registry_has_measured_since_its_fetch_is_counted_by_itself() -> None:
    known = {("a", 1): {"load_seconds": 0.1}, ("b", 1): {"load_seconds": 0.4}}
    assert with_loads(known, {("a", 1): [0.5, 0.6]}) == known


def test_a_file_has_versions_as_the_registry_describes_them() -> None:
    document = {"model": "iris", "version": 3, "load_seconds": 0.01, "memory_bytes": 5, "run_seconds": None}
    known, kinds = read_costs(json.dumps([{**document, "size_bytes": 77, "signature": {}}]).encode())
    assert known == {("iris", 3): {"load_seconds": 0.01, "memory_bytes": 5.0, "file_bytes": 77.0}}
    assert kinds == KINDS


def test_a_file_has_kinds_and_the_usual_ones_have_the_rest() -> None:
    lines = b'{"share": 0.5, "load_seconds": 1, "memory_bytes": 2, "run_seconds": 3, "file_bytes": 4}\n\n'
    known, kinds = read_costs(lines)
    assert (known, kinds[0].cost) == ({}, Cost(load_seconds=1, memory_bytes=2, run_seconds=3, file_bytes=4))
    assert [kind.share for kind in kinds] == [0.5, *(kind.share / 2 for kind in KINDS)]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "line 1 is no JSON"),
        (b"[1]", "line 1 is no object"),
        (b'{"model": "iris"}', "neither model and version nor share"),
        (b'{"model": "iris", "version": 1, "load_seconds": -1}', "load_seconds is -1"),
        (b'{"model": "iris", "version": 1, "memory_bytes": 1e19}', r"memory_bytes is 1e\+19, not a number from 0 to"),
        (b'{"model": "iris", "version": 1, "run_seconds": 1e300}', r"run_seconds is 1e\+300, not a number from 0 to"),
        (b'{"model": "iris", "version": 1, "load_second": 1}', "says none of load_seconds, memory_bytes"),
        (b"", "no entries"),
        (b"[]", "no entries"),
        (b'{"share": 2}', "share is 2"),
        (b'{"share": 0.1, "load_seconds": 1}', "does not say memory_bytes"),
        (b'{"share": 0.9, "load_seconds": 1, "memory_bytes": 1, "run_seconds": 1, "file_bytes": 1}\n' * 2, "1.8"),
    ],
    ids=[
        "no JSON",
        "no object",
        "nothing",
        "below zero",
        "an exbibyte",
        "longer than the world",
        "misspelt",
        "empty",
        "empty list",
        "share above one",
        "half a kind",
        "too many shares",
    ],
)
def test_what_makes_no_sense_is_refused_with_the_line(content: bytes, fault: str) -> None:
    with pytest.raises(BadCostsError, match=fault):
        read_costs(content)
