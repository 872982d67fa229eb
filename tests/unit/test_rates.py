"""Rates out of what workers count, with a clock that is set by hand."""

import math

import pytest

from gateway import rates
from gateway.metrics import Metrics
from gateway.rates import MOST_VERSIONS, POINTS, Rates, Traffic, percentile
from gateway.shared_counts import Board

NOTHING = Traffic(per_second=(0.0,) * POINTS, rate=0.0, answers=0, failed=0, p99_seconds=None)


class Bench:
    """Some workers of one host, and somebody who looks every five seconds."""

    def __init__(self, workers: int = 1) -> None:
        boards = [Board.create() for _ in range(workers)]
        self.workers = [Metrics(boards, own) for own in range(workers)]
        self.now = 100.0
        self.rates = Rates(boards, lambda: self.now)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.rates.look()
            self.now += 5.0


def test_what_came_before_the_first_look_is_no_traffic() -> None:
    bench = Bench()
    bench.workers[0].of_version("iris", 1).add("ok", 0.002, 1_000)
    bench.look(2)
    assert bench.rates.of_model("iris") == NOTHING


def test_a_point_is_what_came_since_the_look_before() -> None:
    bench = Bench()
    bench.look()
    bench.workers[0].of_version("iris", 1).add("ok", 0.002, 40)
    bench.look()
    bench.workers[0].of_version("iris", 1).add("ok", 0.002, 20)
    bench.look()
    found = bench.rates.of_version("iris", 1)
    assert found.per_second == (*(0.0,) * (POINTS - 2), 8.0, 4.0)
    assert (found.answers, found.failed, found.failed_share, found.rate) == (60, 0, 0.0, 6.0)


def test_all_workers_of_a_host_are_added_up_and_all_versions_of_a_model() -> None:
    bench = Bench(workers=3)
    bench.look()
    for number, worker in enumerate(bench.workers, start=1):
        worker.of_version("iris", 1).add("ok", 0.002, number)
    bench.workers[0].of_version("iris", 2).add("ok", 0.002, 4)
    bench.workers[0].of_version("wine", 1).add("ok", 0.002, 100)
    bench.look()
    found = [bench.rates.of_version("iris", 1), bench.rates.of_version("iris", 2), bench.rates.of_model("iris")]
    assert [one.answers for one in found] == [6, 4, 10]


def test_refusals_are_counted_whatever_their_codes() -> None:
    bench = Bench()
    bench.look()
    counts = bench.workers[0].of_version("iris", 1)
    counts.add("ok", 0.002, 6)
    counts.add("invalid_shape", 0.001, 3)
    counts.add("predict_timeout", 0.001, 1)
    bench.look()
    found = bench.rates.of_version("iris", 1)
    assert (found.answers, found.failed, found.failed_share) == (10, 4, 0.4)


def test_requests_that_found_no_version_and_canaries_counted_apart_are_nobodys() -> None:
    bench = Bench()
    bench.look()
    bench.workers[0].unrouted.add("model_not_found", 0.001, 5)
    bench.workers[0].of_canary("iris", "production", 2).add("ok", 0.001, 5)
    bench.look()
    assert (bench.rates.of_model(""), bench.rates.of_model("iris")) == (NOTHING, NOTHING)


def test_points_that_are_older_than_the_last_are_gone() -> None:
    bench = Bench()
    bench.look()
    bench.workers[0].of_version("iris", 1).add("ok", 0.002, 10)
    bench.look(POINTS)
    assert bench.rates.of_version("iris", 1).per_second == (2.0, *(0.0,) * (POINTS - 1))
    bench.look()
    assert bench.rates.of_version("iris", 1) == NOTHING


def test_an_interval_that_took_longer_has_the_rate_of_its_own_length() -> None:
    bench = Bench()
    bench.look()
    bench.workers[0].of_version("iris", 1).add("ok", 0.002, 60)
    bench.now += 25.0
    bench.look()
    assert bench.rates.of_version("iris", 1).per_second[-1] == 2.0


def test_who_was_idle_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_VERSIONS", 2)
    bench = Bench()
    bench.look()
    for model in ("a", "b", "c"):
        bench.workers[0].of_version(model, 1).add("ok", 0.002, 5)
        bench.look()
    assert [bench.rates.of_model(model).answers for model in ("a", "b", "c")] == [0, 5, 5]


def test_versions_that_come_and_go_share_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "POINTS", 3)
    bench = Bench()
    bench.look()
    for number in range(1, 20):
        bench.workers[0].of_version("many", number).add("ok", 0.002, 5)
        bench.look()
    assert [bench.rates.of_version("many", number).answers for number in (16, 17, 18, 19)] == [0, 5, 5, 5]
    assert set(bench.rates._rows) == {("many", "17"), ("many", "18"), ("many", "19")}


def test_there_is_an_end_to_what_is_kept() -> None:
    bench = Bench()
    bench.look()
    for number in range(MOST_VERSIONS + 10):
        bench.workers[0].of_version("many", number + 1).add("ok", 0.002)
    bench.look()
    assert bench.rates.of_model("many").answers == MOST_VERSIONS


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0] * 16, None),
        ([100] + [0] * 15, 0.000495),
        ([0, 100] + [0] * 14, 0.000995),
        ([98, 2] + [0] * 14, 0.00075),
        ([0] * 15 + [1], math.inf),
        ([99] + [0] * 14 + [1], 0.0005),
    ],
    ids=["none", "within the first", "within the second", "half of a bucket", "beyond all", "just not beyond"],
)
def test_a_percentile_is_read_within_its_bucket(counts: list[int], expected: float | None) -> None:
    found = percentile(counts, 0.99)
    assert found == (None if expected is None else pytest.approx(expected))
