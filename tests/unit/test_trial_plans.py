"""What a promotion says of canaries with limits and of shadows, and how a canary is dropped."""

from collections.abc import Iterator
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from registry.errors import (
    BreakingSignature,
    InvalidRequest,
    NotPromotable,
    ServiceError,
    VersionActive,
    VersionNotFound,
    Violation,
)
from registry.events import Event, EventKind
from registry.promotion import AliasMove, Proposal
from registry.records import Alias, Canary, Shadow
from registry.retirement import Retirement
from tests.support.registries import NOON, PLAIN, Bench, fresh_bench

WIDER = {
    "signature": {**PLAIN, "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 5], "optional": False}]}
}
CANARY = Canary(version=3, percent=5, max_error_rate=0.05, max_latency_seconds=0.25)
SHADOW = Shadow(version=2, percent=10)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 3)
        opened.register("iris", WIDER)
        opened.promotion.move("iris", "production", Proposal(version=1), actor="ada")
        yield opened


def move(bench: Bench, version: int = 1, **words: Any) -> AliasMove:
    return bench.promotion.move("iris", "production", Proposal(version=version, **words), actor="ada")


def alias_of(bench: Bench) -> Alias | None:
    with bench.registry.reading() as catalog:
        return catalog.find_alias("iris", "production")


def newest_event(bench: Bench) -> Event:
    with bench.registry.reading() as catalog:
        (event,) = catalog.list_events(after=catalog.latest_sequence() - 1, limit=2)
    return event


# --- shadows ----------------------------------------------------------------------------------------------------------


def test_setting_a_shadow_begins_a_trial_and_moves_nothing(bench: Bench) -> None:
    done = move(bench, shadow=SHADOW)
    assert (done.move, done.alias) == (None, alias_of(bench))
    assert done.alias == Alias(
        model="iris",
        name="production",
        version=1,
        canary=None,
        generation=2,
        updated_at=NOON,
        shadow=Shadow(version=2, percent=10, trial=2),
    )
    assert newest_event(bench).detail == {
        "from": 1,
        "to": 1,
        "kind": "shadow",
        "move": None,
        "generation": 2,
        "canary": None,
        "shadow": {"version": 2, "percent": 10},
        "reason": "",
    }


def test_asking_for_the_same_shadow_again_goes_on_with_its_trial_and_changes_nothing(bench: Bench) -> None:
    first = move(bench, shadow=SHADOW)
    assert move(bench, shadow=SHADOW) == first


@pytest.mark.parametrize("other", [Shadow(version=2, percent=11), Shadow(version=3, percent=10)])
def test_another_share_or_another_version_begins_another_trial(bench: Bench, other: Shadow) -> None:
    move(bench, shadow=SHADOW)
    shadow = move(bench, shadow=other).alias.shadow
    assert shadow == Shadow(version=other.version, percent=other.percent, trial=3)


def test_a_shadow_that_was_dropped_begins_anew(bench: Bench) -> None:
    move(bench, shadow=SHADOW)
    assert move(bench, shadow=None).alias.shadow is None
    assert move(bench, shadow=SHADOW).alias.shadow == Shadow(version=2, percent=10, trial=4)


def test_a_canary_that_comes_and_goes_leaves_the_shadow_and_its_trial(bench: Bench) -> None:
    shadow = move(bench, shadow=SHADOW).alias.shadow
    assert [move(bench, canary=canary).alias.shadow for canary in (CANARY, None)] == [shadow, shadow]


def test_a_shadow_stays_while_its_version_stays_and_goes_with_it(bench: Bench) -> None:
    shadow = move(bench, shadow=SHADOW).alias.shadow
    assert [move(bench, version).alias.shadow for version in (1, 3)] == [shadow, None]


def test_going_back_takes_canary_and_shadow_away(bench: Bench) -> None:
    move(bench, 2)
    move(bench, 2, canary=CANARY, shadow=Shadow(version=1, percent=5))
    alias = bench.promotion.rollback("iris", "production", actor="ada").alias
    assert (alias.version, alias.canary, alias.shadow) == (1, None, None)


def test_a_shadow_may_go_live(bench: Bench) -> None:
    move(bench, shadow=SHADOW)
    alias = move(bench, 2).alias
    assert (alias.version, alias.shadow) == (2, None)


@pytest.mark.parametrize("other", [{"shadow": SHADOW}, {"canary": Canary(version=2, percent=5)}], ids=list)
def test_what_is_tried_is_not_retired(bench: Bench, other: dict[str, Any]) -> None:
    move(bench, **other)
    with pytest.raises(VersionActive):
        Retirement(bench.registry, bench.clock).retire("iris", 2, actor="ada")


@pytest.mark.parametrize(
    ("shadow", "error"),
    [
        (Shadow(version=9, percent=5), VersionNotFound),
        (Shadow(version=3, percent=5), NotPromotable),
        (Shadow(version=4, percent=5), BreakingSignature),
        (Shadow(version=1, percent=5), InvalidRequest),
        (Shadow(version=2, percent=0), InvalidRequest),
        (Shadow(version=2, percent=100.5), InvalidRequest),
        (Shadow(version=2, percent=nan), InvalidRequest),
    ],
    ids=["unknown", "retired", "breaking", "beside itself", "no share", "more than all", "no number"],
)
def test_a_shadow_that_cannot_be_is_refused_and_so_is_its_plan(
    bench: Bench, shadow: Shadow, error: type[ServiceError]
) -> None:
    with bench.registry.writing() as transaction:
        transaction.retire_version("iris", 3, actor="ada", at=NOON)
    before = alias_of(bench)
    with pytest.raises(error):
        bench.promotion.plan("iris", "production", Proposal(version=1, shadow=shadow))
    with pytest.raises(error):
        move(bench, shadow=shadow)
    assert alias_of(bench) == before


# --- canaries ---------------------------------------------------------------------------------------------------------


def test_a_canary_is_kept_with_its_limits(bench: Bench) -> None:
    move(bench, canary=CANARY)
    alias = alias_of(bench)
    assert alias is not None
    assert alias.canary == CANARY


def test_the_same_canary_with_other_limits_is_a_change(bench: Bench) -> None:
    first = move(bench, canary=CANARY).alias
    second = move(bench, canary=Canary(version=3, percent=5, max_error_rate=0.5)).alias
    assert (first.generation, second.generation) == (2, 3)


@pytest.mark.parametrize(
    ("canary", "path", "expected", "received"),
    [
        (Canary(version=2, percent=5, max_error_rate=-0.1), "max_error_rate", "from 0 to 1", "-0.1"),
        (Canary(version=2, percent=5, max_error_rate=1.5), "max_error_rate", "from 0 to 1", "1.5"),
        (Canary(version=2, percent=5, max_error_rate=nan), "max_error_rate", "from 0 to 1", "nan"),
        (Canary(version=2, percent=5, max_latency_seconds=0.0), "max_latency_ms", "more than 0", "0.0"),
        (Canary(version=2, percent=5, max_latency_seconds=-1.0), "max_latency_ms", "more than 0", "-1000.0"),
        (Canary(version=2, percent=5, max_latency_seconds=inf), "max_latency_ms", "more than 0", "inf"),
        (Canary(version=2, percent=5, max_latency_seconds=nan), "max_latency_ms", "more than 0", "nan"),
    ],
)
def test_limits_that_are_none_are_refused(
    bench: Bench, canary: Canary, path: str, expected: str, received: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        move(bench, canary=canary)
    assert list(refused.value.violations) == [
        Violation(path=f"/canary/{path}", expected=expected, received=received, code="invalid_canary")
    ]


def drop(bench: Bench, seen: Alias) -> AliasMove | None:
    return bench.promotion.drop_canary(seen, actor="gateway", reason="canary dropped: slow")


def test_a_canary_that_is_dropped_leaves_everything_else_and_an_event_with_the_reason(bench: Bench) -> None:
    seen = move(bench, canary=CANARY, shadow=SHADOW).alias
    shadow = seen.shadow
    done = drop(bench, seen)
    assert done is not None
    assert (done.move, done.alias) == (None, alias_of(bench))
    assert done.alias == Alias(
        model="iris", name="production", version=1, canary=None, generation=3, updated_at=NOON, shadow=shadow
    )
    assert newest_event(bench) == Event(
        sequence=done.sequence,
        kind=EventKind.ALIAS_MOVED,
        model="iris",
        version=1,
        alias="production",
        actor="gateway",
        at=NOON,
        detail={
            "from": 1,
            "to": 1,
            "kind": "canary",
            "move": None,
            "generation": 3,
            "canary": None,
            "shadow": {"version": 2, "percent": 10},
            "reason": "canary dropped: slow",
        },
    )


def test_a_canary_is_dropped_once(bench: Bench) -> None:
    seen = move(bench, canary=CANARY).alias
    drop(bench, seen)
    before = newest_event(bench)
    assert (drop(bench, seen), newest_event(bench)) == (None, before)


@pytest.mark.parametrize(
    "other",
    [
        Canary(version=2, percent=5, max_error_rate=0.05, max_latency_seconds=0.25),
        Canary(version=3, percent=6, max_error_rate=0.05, max_latency_seconds=0.25),
        Canary(version=3, percent=5, max_error_rate=0.5, max_latency_seconds=0.25),
        Canary(version=3, percent=5),
    ],
    ids=["another version", "another share", "another limit", "no limits"],
)
def test_a_canary_that_has_been_changed_meanwhile_stays(bench: Bench, other: Canary) -> None:
    seen = move(bench, canary=CANARY).alias
    before = move(bench, canary=other).alias
    assert (drop(bench, seen), alias_of(bench)) == (None, before)


def test_an_equal_canary_that_was_set_again_meanwhile_stays(bench: Bench) -> None:
    seen = move(bench, canary=CANARY).alias
    drop(bench, seen)
    again = move(bench, canary=CANARY).alias
    assert (drop(bench, seen), alias_of(bench)) == (None, again)


def test_a_shadow_beside_another_version_begins_a_new_trial(bench: Bench) -> None:
    trial = move(bench, shadow=SHADOW).alias.shadow
    moved = bench.promotion.move("iris", "production", Proposal(version=3, shadow=SHADOW), actor="ada").alias
    assert trial is not None
    assert moved.shadow is not None
    assert moved.shadow.trial == moved.generation != trial.trial


def test_where_there_is_no_alias_there_is_nothing_to_drop(bench: Bench) -> None:
    seen = move(bench, canary=CANARY).alias
    assert drop(bench, replace(seen, name="blue")) is None
    assert drop(bench, replace(seen, model="nosuch")) is None
