"""What a gateway loads that takes a place on the ring, out of what workers have said."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.placement.keys import key_of
from gateway.placement.ring import Ring, Server
from gateway.placement.share import find_share
from registry.records import Alias, WorkerReport

NOON = datetime(2026, 11, 1, tzinfo=UTC)
MODELS = [f"model-{number:03}" for number in range(300)]


def production(model: str, version: int) -> Alias:
    return Alias(model=model, name="production", version=version, canary=None, generation=1, updated_at=NOON)


def live_at(version: int) -> "dict[str, list[Alias]]":
    return {model: [production(model, version)] for model in MODELS}


class Fleet:
    """Gateways, each of which has loaded some versions; of each one worker, the later ones later."""

    def __init__(self, aliases: "dict[str, list[Alias]]") -> None:
        self._aliases = aliases
        self._reports: list[WorkerReport] = []
        self._living: list[tuple[str, int]] = []

    def has(self, ring_id: int, *resident: str, is_alive: bool = True) -> None:
        pid = len(self._reports)
        if is_alive:
            self._living.append(("here", pid))
        at = NOON + timedelta(minutes=pid)
        self._reports.append(
            WorkerReport(host="here", pid=pid, applied=1, resident=resident, reported_at=at, ring_id=ring_id)
        )

    def share(self, ring_id: int) -> list[str]:
        return [str(reference) for reference in find_share(self._reports, self._living, ring_id, self._aliases)]


def owned(ids: Sequence[int], version: str) -> dict[int, list[str]]:
    """Return whose the models are that are asked for by these words."""
    ring = Ring([Server(name=f"gateway{id_}", id=id_) for id_ in ids])
    owners = {model: ring.owner(key_of(model, version)).id for model in MODELS}
    return {id_: [model for model in MODELS if owners[model] == id_] for id_ in ids}


def fleet_of(ids: Sequence[int], version: str, aliases: "dict[str, list[Alias]]", number: int) -> Fleet:
    """Return gateways that have loaded this number of all models, each where its key lies."""
    fleet = Fleet(aliases)
    for id_, models in owned(ids, version).items():
        fleet.has(id_, *(f"{model}:{number}" for model in models))
    return fleet


@pytest.mark.parametrize("before", [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4, 5, 6)], ids=len)
def test_a_newcomers_share_is_what_the_ring_moves_to_it(before: tuple[int, ...]) -> None:
    fleet = fleet_of(before, "production", live_at(2), 2)
    moved = owned((*before, 9), "production")[9]
    assert sorted(fleet.share(9)) == [f"{model}@production" for model in moved]


def test_what_is_asked_for_by_its_number_moves_as_its_number_does() -> None:
    fleet = fleet_of((1, 2), "5", {}, 5)
    assert sorted(fleet.share(9)) == [f"{model}:5" for model in owned((1, 2, 9), "5")[9]]


def test_what_an_alias_does_not_explain_is_asked_for_by_its_number() -> None:
    by_alias, by_number = owned((1, 2), "production"), owned((1, 2), "5")
    strange = [model for model in by_number[2] if model in by_alias[1]]
    fleet = Fleet(live_at(5))
    fleet.has(1, f"{by_alias[1][0]}:5")
    fleet.has(2, *(f"{model}:5" for model in strange))
    assert sorted(fleet.share(9))[-3:] == [f"{model}:5" for model in strange if model in owned((1, 2, 9), "5")[9]][-3:]


def test_what_is_used_most_comes_first() -> None:
    fleet = Fleet({})
    first, second = (models[:40] for models in owned((1, 2), "5").values())
    fleet.has(1, *(f"{model}:5" for model in first))
    fleet.has(2, *(f"{model}:5" for model in reversed(second)))
    ranks = {model: rank for models in (first, second[::-1]) for rank, model in enumerate(models)}
    found = [ranks[text.removesuffix(":5")] for text in fleet.share(9)]
    assert len(found) > 10
    assert found == sorted(found)


def test_what_the_same_place_had_comes_back_to_it_whoever_has_it_now() -> None:
    fleet = Fleet({"moved": [production("moved", 7)]})
    fleet.has(1, f"{owned((1, 2), '1')[1][0]}:1")  # which stays there
    fleet.has(2, "long-ago:1", is_alive=False)
    fleet.has(2, "mine:4", "old:1", "moved:7", is_alive=False)
    assert fleet.share(2) == ["mine:4", "old:1", "moved@production"]


def test_another_that_has_died_takes_its_models_along() -> None:
    fleet = Fleet({})
    fleet.has(1, f"{owned((1, 2), '1')[1][0]}:1")
    fleet.has(3, *(f"{model}:5" for model in MODELS), is_alive=False)
    assert fleet.share(2) == []


def test_gateways_that_begin_together_share_what_the_others_have() -> None:
    fleet = fleet_of((1, 2), "5", {}, 5)
    fleet.has(3)
    fleet.has(4)
    after = owned((1, 2, 3, 4), "5")
    assert [sorted(fleet.share(id_)) for id_ in (3, 4)] == [[f"{model}:5" for model in after[id_]] for id_ in (3, 4)]


def test_where_nobody_else_answers_there_is_nothing_to_load_ahead() -> None:
    fleet = Fleet({})
    fleet.has(1, "mine:1", is_alive=False)
    fleet.has(2)
    fleet.has(3, "theirs:1", is_alive=False)
    assert fleet.share(1) == []
