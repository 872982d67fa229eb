"""The way back, in one table: what was promoted, rolled back and retired, and where a rollback then leads."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from registry.crashes import Crashes
from registry.errors import (
    GenerationConflict,
    InvalidRequest,
    ModelNotFound,
    NoPreviousVersion,
    NotPromotable,
    ServiceError,
    VersionNotFound,
)
from registry.promotion import AliasMove, Proposal
from registry.records import Canary, MoveKind
from registry.retirement import Retirement
from tests.support.registries import NOON, PLAIN, Bench, fresh_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 4)
        yield opened


def play(bench: Bench, script: str) -> None:
    """Act out ``1 2 back back:1 retire:2 quarantine:1``; each act takes a minute."""
    for act in script.split():
        bench.clock.moment += timedelta(minutes=1)
        word, _, number = act.rpartition(":")
        if act == "back":
            bench.promotion.rollback("iris", "production", actor="ada")
        elif word == "back":
            bench.promotion.rollback("iris", "production", to=int(number), actor="ada")
        elif word == "retire":
            Retirement(bench.registry, bench.clock).retire("iris", int(number), actor="ada")
        elif word == "quarantine":
            Crashes(bench.registry, bench.clock).quarantine("iris", int(number), reason="tests", actor="worker")
        else:
            bench.promotion.move("iris", "production", Proposal(version=int(act)), actor="ada")


@pytest.mark.parametrize(
    ("script", "version", "undoes"),
    [
        pytest.param("1 2", 1, 2, id="to what was live before"),
        pytest.param("1 2 3 back", 1, 2, id="again goes one further back"),
        pytest.param("1 2 3 back back 3", 1, 6, id="a new promotion is taken back first"),
        pytest.param("1 2 back 3", 1, 4, id="what was rolled back is no way back"),
        pytest.param("1 2 3 back:1 4", 1, 5, id="a rollback to a version takes back all after it"),
        pytest.param("1 2 3 back:1 back:2", 1, 5, id="a rollback to what no longer stands can be taken back"),
        pytest.param("1 2 3 retire:2", 1, 2, id="a retired version is stepped over"),
        pytest.param("1 2 1 2", 1, 4, id="back and forth"),
        pytest.param("3 1 2 1 retire:2", 3, 2, id="what is live already is stepped over"),
        pytest.param("1 2 quarantine:2", 1, 2, id="what is live may be in quarantine"),
    ],
)
def test_a_rollback_goes_to_the_last_standing_way_back(bench: Bench, script: str, version: int, undoes: int) -> None:
    play(bench, script)
    with bench.registry.reading() as catalog:
        before = catalog.list_moves("iris", "production")
    done = bench.promotion.rollback("iris", "production", reason="worse", actor="bob")
    with bench.registry.reading() as catalog:
        after = catalog.list_moves("iris", "production")
    assert done.move is not None
    assert (done.move.kind, done.move.undoes, done.move.reason, done.move.actor) == (
        MoveKind.ROLLBACK,
        undoes,
        "worse",
        "bob",
    )
    assert (done.move.from_version, done.move.to_version) == (before[-1].to_version, version)
    assert done.alias.version == version
    assert after == [*before, done.move]


@pytest.mark.parametrize(
    ("script", "words", "error"),
    [
        pytest.param("", {}, NoPreviousVersion, id="never moved"),
        pytest.param("", {"alias": "blue"}, NoPreviousVersion, id="another alias, never moved"),
        pytest.param("", {"model": "nosuch"}, ModelNotFound, id="unknown model"),
        pytest.param("1", {}, NoPreviousVersion, id="only one promotion"),
        pytest.param("1 2 back", {}, NoPreviousVersion, id="all taken back"),
        pytest.param("1 2 retire:1", {}, NoPreviousVersion, id="nothing left that is not retired"),
        pytest.param("1 2", {"to": 3}, NoPreviousVersion, id="to what was never live"),
        pytest.param("1 2", {"to": 9}, VersionNotFound, id="to what does not exist"),
        pytest.param("1 2 retire:1", {"to": 1}, NotPromotable, id="to what is retired"),
        pytest.param("1 2 quarantine:1", {"to": 1}, NotPromotable, id="to what is in quarantine"),
        pytest.param("1 2 3 quarantine:2", {}, NotPromotable, id="one back, to what is in quarantine"),
        pytest.param("1 2", {"to_time": NOON}, NoPreviousVersion, id="to before the first move"),
        pytest.param("1 2", {"to": 1, "to_time": NOON}, InvalidRequest, id="to a version and a moment"),
        pytest.param("1 2", {"to_time": datetime(2026, 5, 17)}, InvalidRequest, id="to a moment somewhere"),  # noqa: DTZ001 - the fault
        pytest.param("1 2", {"reason": "\x1b[0m"}, InvalidRequest, id="for a malformed reason"),
    ],
)
def test_a_rollback_that_leads_nowhere_changes_nothing(
    bench: Bench, script: str, words: dict[str, Any], error: type[ServiceError]
) -> None:
    play(bench, script)
    with bench.registry.reading() as catalog:
        before = catalog.find_model("iris"), catalog.latest_sequence()
    with pytest.raises(error):
        bench.promotion.rollback(**{"model": "iris", "alias": "production", "actor": "ada", **words})
    with bench.registry.reading() as catalog:
        assert (catalog.find_model("iris"), catalog.latest_sequence()) == before


@pytest.mark.parametrize(
    ("minutes", "version", "undoes"),
    [
        pytest.param(1, 1, 2, id="the moment of a promotion"),
        pytest.param(1.5, 1, 2, id="between two"),
        pytest.param(2, 2, 3, id="the moment of the next"),
    ],
)
def test_a_rollback_to_a_moment_goes_to_what_was_live_then(
    bench: Bench, minutes: float, version: int, undoes: int
) -> None:
    play(bench, "1 2 3")
    done = bench.promotion.rollback(
        "iris", "production", to_time=(NOON + timedelta(minutes=minutes)).astimezone(UTC), actor="ada"
    )
    assert done.move is not None
    assert (done.move.to_version, done.move.undoes) == (version, undoes)


def test_a_rollback_to_what_is_live_changes_nothing(bench: Bench) -> None:
    play(bench, "1 2")
    with bench.registry.reading() as catalog:
        live, sequence = catalog.find_alias("iris", "production"), catalog.latest_sequence()
    assert live is not None
    again = bench.promotion.rollback("iris", "production", to=2, actor="ada")
    assert again == AliasMove(alias=live, move=None, sequence=sequence)


def test_a_rollback_drops_the_canary(bench: Bench) -> None:
    play(bench, "1")
    bench.promotion.move("iris", "production", Proposal(version=2, canary=Canary(version=3, percent=10)), actor="ada")
    assert bench.promotion.rollback("iris", "production", to=2, actor="ada").alias.canary is None
    bench.promotion.move("iris", "production", Proposal(version=2, canary=Canary(version=3, percent=10)), actor="ada")
    assert bench.promotion.rollback("iris", "production", actor="ada").alias.canary is None


def test_a_rollback_asks_nobody_about_signatures(bench: Bench) -> None:
    bench.register("iris", {"signature": {**PLAIN, "inputs": []}})
    bench.promotion.move("iris", "production", Proposal(version=5), actor="ada")
    bench.promotion.move("iris", "production", Proposal(version=1, allow_breaking=True), actor="ada")
    assert bench.promotion.rollback("iris", "production", actor="ada").alias.version == 5


def test_a_clock_that_went_back_does_not_mislead_a_rollback(bench: Bench) -> None:
    play(bench, "1 2")
    bench.clock.moment = NOON - timedelta(days=1)
    play(bench, "3")
    assert bench.promotion.rollback("iris", "production", actor="ada").alias.version == 2


def test_a_rollback_that_was_planned_for_another_state_moves_nothing(bench: Bench) -> None:
    play(bench, "1 2 3")
    with pytest.raises(GenerationConflict) as caught:
        bench.promotion.rollback("iris", "production", expected_generation=2, actor="ada")
    assert "its generation is 3 now, not 2" in caught.value.detail
    with bench.registry.reading() as catalog:
        assert len(catalog.list_moves("iris", "production")) == 3


def test_a_rollback_that_names_the_state_as_it_is_moves(bench: Bench) -> None:
    play(bench, "1 2")
    assert bench.promotion.rollback("iris", "production", expected_generation=2, actor="ada").alias.version == 1


def test_a_plan_of_a_rollback_says_where_it_leads_and_changes_nothing(bench: Bench) -> None:
    play(bench, "1 2 3")
    plan = bench.promotion.plan_rollback("iris", "production")
    further = bench.promotion.plan_rollback("iris", "production", to=1)
    assert (plan.from_version, plan.version, plan.canary, plan.shadow, further.version) == (3, 2, None, None, 1)
    assert (plan.compatibility, plan.differences, plan.candidate is not None) == ("identical", (), True)
    with bench.registry.reading() as catalog:
        assert len(catalog.list_moves("iris", "production")) == 3


def test_a_plan_of_a_rollback_that_leads_nowhere_is_refused_as_the_rollback_is(bench: Bench) -> None:
    play(bench, "1")
    with pytest.raises(NoPreviousVersion):
        bench.promotion.plan_rollback("iris", "production")


def test_a_promotion_that_is_taken_back_is_no_way_back_and_its_canary_stays(bench: Bench) -> None:
    play(bench, "3 1 2")
    canary = Canary(version=4, percent=5.0)
    done = bench.promotion.take_back("iris", "production", Proposal(version=1, canary=canary), actor="ada")
    assert done.move is not None
    assert (done.move.kind, done.move.undoes, done.alias.canary) == (MoveKind.ROLLBACK, 3, canary)
    assert bench.promotion.plan_rollback("iris", "production").version == 3


def test_what_the_newest_promotion_did_not_come_from_is_promoted(bench: Bench) -> None:
    play(bench, "3 1 2")
    done = bench.promotion.take_back("iris", "production", Proposal(version=4), actor="ada")
    assert done.move is not None
    assert (done.move.kind, done.move.undoes) == (MoveKind.PROMOTE, None)
