"""Moving an alias forward, with its canary; and looking before moving."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from registry.compatibility import Compatibility
from registry.crashes import Crashes
from registry.errors import (
    BreakingSignature,
    Difference,
    GenerationConflict,
    InvalidName,
    InvalidRequest,
    ModelNotFound,
    NotPromotable,
    ServiceError,
    VersionNotFound,
)
from registry.events import Event, EventKind
from registry.lookup import resolve_version
from registry.promotion import AliasMove, Plan, Proposal
from registry.records import Alias, Canary, Move, MoveKind, Shadow
from tests.support.registries import NOON, PLAIN, Bench, fresh_bench

WIDER = {
    "signature": {**PLAIN, "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 5], "optional": False}]}
}
WIDENED = Difference(path="inputs/x/shape", before="[batch, 4]", after="[batch, 5]")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 3)
        yield opened


def state_of(bench: Bench) -> tuple[Any, ...]:
    with bench.registry.reading() as catalog:
        return catalog.find_model("iris"), catalog.list_moves("iris"), catalog.latest_sequence()


def test_the_first_promotion_makes_the_alias(bench: Bench) -> None:
    done = bench.promotion.move("iris", "production", Proposal(version=2, expected=None), reason="try it", actor="ada")
    alias = Alias(model="iris", name="production", version=2, canary=None, generation=1, updated_at=NOON)
    move = Move(
        id=1,
        number=1,
        model="iris",
        alias="production",
        from_version=None,
        to_version=2,
        kind=MoveKind.PROMOTE,
        undoes=None,
        actor="ada",
        reason="try it",
        at=NOON,
    )
    assert done == AliasMove(alias=alias, move=move, sequence=4)
    with bench.registry.reading() as catalog:
        assert catalog.find_alias("iris", "production") == alias
        assert list(catalog.list_moves("iris")) == [move]
        assert list(catalog.list_events(after=3, limit=10)) == [
            Event(
                sequence=4,
                kind=EventKind.ALIAS_MOVED,
                model="iris",
                version=2,
                alias="production",
                actor="ada",
                at=NOON,
                detail={
                    "from": None,
                    "to": 2,
                    "kind": "promote",
                    "move": 1,
                    "generation": 1,
                    "canary": None,
                    "shadow": None,
                    "reason": "try it",
                },
            )
        ]


def test_the_next_promotion_says_what_it_replaced(bench: Bench) -> None:
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    bench.clock.moment = NOON - timedelta(hours=1)
    done = bench.promotion.move("iris", "production", Proposal(version=2, expected=1), actor="bob")
    assert done.move is not None
    assert (done.move.id, done.move.from_version, done.move.to_version) == (2, 1, 2)
    assert (done.alias.generation, done.sequence) == (2, 5)


def test_promoting_what_is_live_changes_nothing(bench: Bench) -> None:
    first = bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    before = state_of(bench)
    again = bench.promotion.move("iris", "production", Proposal(version=1, expected=1), actor="bob")
    assert again == AliasMove(alias=first.alias, move=None, sequence=4)
    assert state_of(bench) == before


def test_an_alias_moves_in_the_generation_that_was_seen_and_knows_when_a_canary_was_dropped_since(bench: Bench) -> None:
    canary = Canary(version=2, percent=10)
    seen = bench.promotion.move("iris", "production", Proposal(version=1, canary=canary), actor="ada").alias
    proposal = Proposal(version=2, expected=1, expected_generation=seen.generation)
    assert bench.promotion.plan("iris", "production", proposal).version == 2
    bench.promotion.drop_canary(seen, actor="gateway", reason="")
    with pytest.raises(GenerationConflict) as caught:
        bench.promotion.move("iris", "production", proposal, actor="ada")
    assert str(caught.value) == (
        "alias 'production' of model 'iris', or its canary or shadow, has changed since: its generation is 2 now, not 1"
    )


def test_who_asks_again_for_what_is_so_may_have_seen_an_earlier_generation(bench: Bench) -> None:
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    proposal = Proposal(version=2, expected_generation=1)
    moved = bench.promotion.move("iris", "production", proposal, actor="ada")
    again = bench.promotion.move("iris", "production", proposal, actor="ada")
    assert (again.alias, again.move) == (moved.alias, None)


def test_who_asks_for_what_is_so_is_told_of_the_event_that_made_it_so(bench: Bench) -> None:
    first = bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    bench.promotion.move("iris", "blue", Proposal(version=2), actor="ada")
    again = bench.promotion.move("iris", "production", Proposal(version=1), actor="bob")
    assert (again.move, again.sequence) == (None, first.sequence)


def test_aliases_move_apart(bench: Bench) -> None:
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    blue = bench.promotion.move("iris", "blue", Proposal(version=2, expected=None), actor="ada")
    assert (blue.alias.generation, blue.move and blue.move.from_version) == (1, None)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param({"model": "nosuch"}, ModelNotFound, id="unknown model"),
        pytest.param({"version": 9}, VersionNotFound, id="unknown version"),
        pytest.param({"version": 3}, NotPromotable, id="retired version"),
        pytest.param({"expected": 2}, GenerationConflict, id="another version is live"),
        pytest.param({"expected": None}, GenerationConflict, id="something is live"),
        pytest.param({"version": 1, "expected": 2}, GenerationConflict, id="live already, but not what was expected"),
        pytest.param({"expected_generation": 0}, GenerationConflict, id="the alias has changed since"),
        pytest.param({"alias": "other", "expected_generation": 1}, GenerationConflict, id="there is no such alias yet"),
        pytest.param({"alias": "Production"}, InvalidName, id="malformed alias"),
        pytest.param({"version": 4}, BreakingSignature, id="breaking signature"),
        pytest.param({"canary": Canary(version=9, percent=5)}, VersionNotFound, id="unknown canary"),
        pytest.param({"canary": Canary(version=3, percent=5)}, NotPromotable, id="retired canary"),
        pytest.param({"canary": Canary(version=2, percent=5)}, InvalidRequest, id="a canary beside itself"),
        pytest.param({"canary": Canary(version=4, percent=5)}, BreakingSignature, id="breaking canary"),
        pytest.param({"canary": Canary(version=1, percent=0)}, InvalidRequest, id="no share"),
        pytest.param({"canary": Canary(version=1, percent=100.5)}, InvalidRequest, id="more than all"),
        pytest.param(
            {"canary": Canary(version=1, percent=float("nan"))}, InvalidRequest, id="a share that is no number"
        ),
    ],
)
def test_a_refused_promotion_changes_nothing_and_its_plan_is_refused_alike(
    bench: Bench, words: dict[str, Any], error: type[ServiceError]
) -> None:
    bench.register("iris", WIDER)
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    with bench.registry.writing() as transaction:
        transaction.retire_version("iris", 3, actor="ada", at=NOON)
    before = state_of(bench)
    asked = {"model": "iris", "alias": "production", "version": 2, **words}
    place = asked.pop("model"), asked.pop("alias")
    with pytest.raises(error) as moved:
        bench.promotion.move(*place, Proposal(**asked), actor="ada")
    with pytest.raises(error) as planned:
        bench.promotion.plan(*place, Proposal(**asked))
    assert moved.value.detail == planned.value.detail
    assert state_of(bench) == before


@pytest.mark.parametrize(
    "words",
    [
        pytest.param({"version": 3}, id="to go live"),
        pytest.param({"canary": Canary(version=3, percent=5)}, id="as canary"),
        pytest.param({"shadow": Shadow(version=3, percent=5)}, id="as shadow"),
    ],
)
def test_nothing_is_promoted_out_of_quarantine(bench: Bench, words: dict[str, Any]) -> None:
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    Crashes(bench.registry, bench.clock).quarantine("iris", 3, reason="tests", actor="worker")
    before = state_of(bench)
    proposal = Proposal(**{"version": 1, **words})
    with pytest.raises(NotPromotable, match="version 3 of model 'iris' is in quarantine") as moved:
        bench.promotion.move("iris", "production", proposal, actor="ada")
    with pytest.raises(NotPromotable) as planned:
        bench.promotion.plan("iris", "production", proposal)
    assert (planned.value.detail, state_of(bench)) == (moved.value.detail, before)


def test_a_live_version_in_quarantine_may_lose_its_canary_and_be_replaced(bench: Bench) -> None:
    bench.promotion.move("iris", "production", Proposal(version=1, canary=Canary(version=2, percent=5)), actor="ada")
    Crashes(bench.registry, bench.clock).quarantine("iris", 1, reason="tests", actor="worker")
    dropped = bench.promotion.move("iris", "production", Proposal(version=1, canary=None), actor="ada")
    replaced = bench.promotion.move("iris", "production", Proposal(version=2), actor="ada")
    assert (dropped.alias.version, dropped.alias.canary, replaced.alias.version) == (1, None, 2)


def test_a_malformed_reason_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bench.promotion.move("iris", "production", Proposal(version=1), reason="a\nb", actor="ada")
    assert [violation.path for violation in caught.value.violations] == ["/reason"]


def test_a_breaking_promotion_names_the_differences_and_passes_when_allowed(bench: Bench) -> None:
    bench.register("iris", WIDER)
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    with pytest.raises(BreakingSignature) as caught:
        bench.promotion.move("iris", "production", Proposal(version=4), actor="ada")
    assert list(caught.value.differences) == [WIDENED]
    done = bench.promotion.move("iris", "production", Proposal(version=4, allow_breaking=True), actor="ada")
    assert done.alias.version == 4


def test_a_breaking_first_promotion_breaks_nobody(bench: Bench) -> None:
    bench.register("iris", WIDER)
    assert bench.promotion.move("iris", "production", Proposal(version=4), actor="ada").alias.version == 4


def test_a_plan_says_what_would_happen_and_changes_nothing(bench: Bench) -> None:
    bench.register("iris", WIDER)
    live = bench.promotion.move("iris", "production", Proposal(version=1), actor="ada").alias
    before = state_of(bench)
    plan = bench.promotion.plan("iris", "production", Proposal(version=4, expected=1, allow_breaking=True))
    with bench.registry.reading() as catalog:
        replaced, candidate = (resolve_version(catalog, "iris", number) for number in (1, 4))
    assert plan == Plan(
        model="iris",
        alias="production",
        before=live,
        version=4,
        canary=None,
        differences=(WIDENED,),
        compatibility=Compatibility.BREAKING,
        replaced=replaced,
        candidate=candidate,
    )
    assert (plan.from_version, plan.is_move, plan.is_change) == (1, True, True)
    idle = bench.promotion.plan("iris", "production", Proposal(version=1))
    assert (idle.from_version, idle.is_move, idle.is_change) == (1, False, False)
    first = bench.promotion.plan("iris", "blue", Proposal(version=1))
    assert (first.before, first.from_version, first.is_move, first.is_change) == (None, None, True, True)
    assert state_of(bench) == before


def test_a_plan_with_a_canary_says_what_its_callers_notice_at_worst(bench: Bench) -> None:
    bench.register("iris", WIDER)
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    canary = Canary(version=4, percent=5)
    plan = bench.promotion.plan("iris", "production", Proposal(version=1, canary=canary, allow_breaking=True))
    assert (plan.compatibility, plan.differences) == (Compatibility.BREAKING, (WIDENED,))


def test_a_canary_changes_without_a_move_but_with_an_event(bench: Bench) -> None:
    canary = Canary(version=2, percent=10)
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    done = bench.promotion.move("iris", "production", Proposal(version=1, canary=canary), actor="bob")
    assert done == AliasMove(
        alias=Alias(model="iris", name="production", version=1, canary=canary, generation=2, updated_at=NOON),
        move=None,
        sequence=5,
    )
    with bench.registry.reading() as catalog:
        assert len(catalog.list_moves("iris")) == 1
        assert [(event.kind, event.detail) for event in catalog.list_events(after=4, limit=10)] == [
            (
                EventKind.ALIAS_MOVED,
                {
                    "from": 1,
                    "to": 1,
                    "kind": "canary",
                    "move": None,
                    "generation": 2,
                    "canary": {"version": 2, "percent": 10},
                    "shadow": None,
                    "reason": "",
                },
            )
        ]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        pytest.param({"version": 1}, Canary(version=2, percent=10), id="it stays with its version"),
        pytest.param({"version": 3}, None, id="it goes with its version"),
        pytest.param({"version": 2}, None, id="it goes when it is promoted itself"),
        pytest.param({"version": 1, "canary": None}, None, id="it goes when it is dropped"),
        pytest.param(
            {"version": 3, "canary": Canary(version=1, percent=1)},
            Canary(version=1, percent=1),
            id="another takes over",
        ),
    ],
)
def test_a_canary_belongs_to_the_version_beside_it(bench: Bench, words: dict[str, Any], left: Canary | None) -> None:
    bench.promotion.move("iris", "production", Proposal(version=1, canary=Canary(version=2, percent=10)), actor="ada")
    assert bench.promotion.move("iris", "production", Proposal(**words), actor="ada").alias.canary == left


def test_a_breaking_canary_passes_when_allowed(bench: Bench) -> None:
    bench.register("iris", WIDER)
    canary = Canary(version=4, percent=100)
    done = bench.promotion.move(
        "iris", "production", Proposal(version=1, canary=canary, allow_breaking=True), actor="ada"
    )
    assert done.alias.canary == canary
