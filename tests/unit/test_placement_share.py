"""What a gateway loads that takes a place on the ring, out of what workers have said."""

from collections.abc import Sequence
from datetime import UTC, datetime

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
    """Gateways, each of which has loaded some versions; of each one worker."""

    def __init__(self, aliases: "dict[str, list[Alias]]") -> None:
        self._aliases = aliases
        self._reports: list[WorkerReport] = []
        self._living: list[tuple[str, int]] = []

    def has(self, ring_id: int, *resident: str, is_alive: bool = True) -> None:
        pid = len(self._reports)
        if is_alive:
            self._living.append(("here", pid))
        self._reports.append(
            WorkerReport(host="here", pid=pid, applied=1, resident=resident, reported_at=NOON, ring_id=ring_id)
        )

    def share(self, ring_id: int) -> list[str]:
        found = find_share(self._reports, self._living, ring_id, lambda model: self._aliases.get(model, []))
        return [f"{reference.model}:{reference.version}" for reference in found]


def owned(ids: Sequence[int], version: str) -> dict[int, list[str]]:
    """Return whose the models are that are asked for by these words."""
    ring = Ring([Server(name=f"gateway{id_}", id=id_) for id_ in ids])
    owners = {model: ring.owner(key_of(model, version)).id for model in MODELS}
    return {id_: [model for model in MODELS if owners[model] == id_] for id_ in ids}


def test_a_newcomers_share_is_what_the_ring_moves_to_it() -> None:
    fleet = Fleet(live_at(2))
    for id_, models in owned((1, 2, 3), "production").items():
        fleet.has(id_, *(f"{model}:2" for model in models))
    moved = owned((1, 2, 3, 4), "production")[4]
    assert 0 < len(moved) < len(MODELS) / 3
    by_number = [  # where both the alias and the number might have been asked for
        model
        for id_, models in owned((1, 2, 3), "production").items()
        for model in models
        if model in owned((1, 2, 3), "2")[id_] and model in owned((1, 2, 3, 4), "2")[4]
    ]
    assert sorted(fleet.share(4)) == sorted(f"{model}:2" for model in {*moved, *by_number})


def test_what_is_asked_for_by_its_number_moves_as_its_number_does() -> None:
    fleet = Fleet({})
    for id_, models in owned((1, 2), "5").items():
        fleet.has(id_, *(f"{model}:5" for model in models))
    assert sorted(fleet.share(9)) == [f"{model}:5" for model in owned((1, 2, 9), "5")[9]]


def test_what_the_same_place_had_comes_back_to_it_whoever_has_it_now() -> None:
    fleet = Fleet({})
    fleet.has(1, f"{owned((1, 2), '1')[1][0]}:1")  # which stays there
    fleet.has(2, "mine:4", "old:1", is_alive=False)
    fleet.has(2, "mine:4", is_alive=False)
    assert fleet.share(2) == ["mine:4", "old:1"]


def test_another_that_has_died_takes_its_models_along() -> None:
    fleet = Fleet({})
    fleet.has(1, f"{owned((1, 2), '1')[1][0]}:1")
    fleet.has(3, *(f"{model}:5" for model in MODELS), is_alive=False)
    assert fleet.share(2) == []


def test_gateways_that_begin_together_share_what_the_others_have() -> None:
    fleet = Fleet({})
    for id_, models in owned((1, 2), "5").items():
        fleet.has(id_, *(f"{model}:5" for model in models))
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
