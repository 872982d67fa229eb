"""What may change after a version is registered: the words about it, and whether it is served at all."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from registry.batching import Batching
from registry.crashes import Crashes
from registry.editing import Editing
from registry.errors import (
    InvalidRequest,
    ModelNotFound,
    ServiceError,
    VersionActive,
    VersionNotFound,
    VersionRetired,
)
from registry.events import Event, EventKind
from registry.promotion import Proposal
from registry.records import Canary, Version
from registry.retirement import Retirement
from registry.standing import CLEAN, Death, Isolation, Stage, Standing
from tests.support.registries import NOON, Bench, fresh_bench

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 3)
        opened.clock.moment = LATER
        yield opened


def events_after(bench: Bench, sequence: int) -> list[Event]:
    with bench.registry.reading() as catalog:
        return list(catalog.list_events(after=sequence, limit=100))


def find(bench: Bench, number: int) -> Version:
    with bench.registry.reading() as catalog:
        found = catalog.find_version("iris", number)
    assert found is not None
    return found


def changed(kind: EventKind, version: int | None, detail: Mapping[str, Any]) -> Event:
    return Event(sequence=4, kind=kind, model="iris", version=version, alias=None, actor="bob", at=LATER, detail=detail)


def test_retiring_leaves_a_tombstone_and_an_event(bench: Bench) -> None:
    before = find(bench, 2)
    tombstone = Retirement(bench.registry, bench.clock).retire("iris", 2, actor="bob")
    assert (tombstone.retired_at, tombstone.is_retired, tombstone.artifact) == (LATER, True, before.artifact)
    assert find(bench, 2) == tombstone
    assert events_after(bench, 3) == [changed(EventKind.VERSION_RETIRED, 2, {"digest": str(before.artifact.digest)})]


@pytest.mark.parametrize(
    ("model", "number", "error"),
    [
        pytest.param("nosuch", 1, ModelNotFound, id="unknown model"),
        pytest.param("iris", 9, VersionNotFound, id="unknown version"),
        pytest.param("iris", 1, VersionActive, id="an alias points at it"),
        pytest.param("iris", 2, VersionActive, id="a canary points at it"),
        pytest.param("iris", 3, VersionRetired, id="retired already"),
    ],
)
def test_retiring_what_must_stay_is_refused(bench: Bench, model: str, number: int, error: type[ServiceError]) -> None:
    retirement = Retirement(bench.registry, bench.clock)
    bench.promotion.move("iris", "blue", Proposal(version=1, canary=Canary(version=2, percent=1)), actor="ada")
    retirement.retire("iris", 3, actor="ada")
    before = [find(bench, each) for each in (1, 2, 3)]
    with pytest.raises(error):
        retirement.retire(model, number, actor="bob")
    assert [find(bench, each) for each in (1, 2, 3)] == before
    assert len(events_after(bench, 3)) == 2


def test_a_version_that_is_live_no_more_can_be_retired(bench: Bench) -> None:
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    bench.promotion.move("iris", "production", Proposal(version=2), actor="ada")
    assert Retirement(bench.registry, bench.clock).retire("iris", 1, actor="ada").is_retired


def test_what_is_given_about_a_model_replaces_what_was(bench: Bench) -> None:
    editing = Editing(bench.registry, bench.clock)
    model = editing.change_model("iris", description="flowers", tags={"a": "1"}, actor="bob")
    assert (model.description, model.tags) == ("flowers", {"a": "1"})
    assert events_after(bench, 3) == [
        changed(EventKind.MODEL_CHANGED, None, {"description": "flowers", "tags": {"a": "1"}})
    ]
    emptied = editing.change_model("iris", tags={}, actor="bob")
    assert (emptied.description, emptied.tags) == ("flowers", {})


def test_what_is_given_about_a_version_replaces_what_was(bench: Bench) -> None:
    version = Editing(bench.registry, bench.clock).change_version(
        "iris", 2, tags={"a": "1"}, batching=Batching.OFF, actor="bob"
    )
    assert (version.description, version.tags, version.batching) == ("", {"a": "1"}, Batching.OFF)
    assert find(bench, 2) == version
    assert events_after(bench, 3) == [changed(EventKind.VERSION_CHANGED, 2, {"tags": {"a": "1"}, "batching": "off"})]


def test_a_publisher_asks_for_a_child_and_takes_it_back(bench: Bench) -> None:
    editing = Editing(bench.registry, bench.clock)
    isolated = editing.change_version("iris", 2, isolation=Isolation.ISOLATED, actor="bob")
    assert find(bench, 2) == isolated
    assert events_after(bench, 3) == [changed(EventKind.VERSION_CHANGED, 2, {"isolation": "isolated"})]
    back = editing.change_version("iris", 2, isolation=Isolation.IN_PROCESS, actor="bob")
    assert (isolated.standing, back.standing) == (Standing(isolation=Isolation.ISOLATED, is_requested=True), CLEAN)
    assert [event.detail for event in events_after(bench, 4)] == [{"isolation": "in_process"}]


def test_a_publisher_cannot_take_back_what_deaths_have_brought_about(bench: Bench) -> None:
    crash = Death(where=Isolation.ISOLATED, stage=Stage.RUN, cause="SIGSEGV", is_certain=True)
    for _ in range(2):
        Crashes(bench.registry, bench.clock).record_death("iris", 2, death=crash, actor="worker")
    before = find(bench, 2)
    told = len(events_after(bench, 0))
    editing = Editing(bench.registry, bench.clock)
    assert editing.change_version("iris", 2, isolation=Isolation.IN_PROCESS, actor="bob") == before
    assert len(events_after(bench, 0)) == told


def test_what_is_so_already_is_no_event(bench: Bench) -> None:
    editing = Editing(bench.registry, bench.clock)
    assert editing.change_version(
        "iris", 2, batching=Batching.EXACT, tags={}, isolation=Isolation.IN_PROCESS, actor="bob"
    ) == find(bench, 2)
    editing.change_version("iris", 2, actor="bob")
    editing.change_model("iris", description="", actor="bob")
    assert events_after(bench, 3) == []


@pytest.mark.parametrize(
    ("model", "number", "words", "error"),
    [
        pytest.param("nosuch", 1, {"description": "x"}, ModelNotFound, id="unknown model"),
        pytest.param("iris", 9, {"description": "x"}, VersionNotFound, id="unknown version"),
        pytest.param("iris", 3, {"description": "x"}, VersionRetired, id="retired version"),
        pytest.param("iris", 1, {"description": "\x7f"}, InvalidRequest, id="malformed text"),
        pytest.param("iris", 1, {"tags": {"": "x"}}, InvalidRequest, id="malformed tag"),
    ],
)
def test_editing_what_is_not_there_or_badly_is_refused(
    bench: Bench, model: str, number: int, words: dict[str, Any], error: type[ServiceError]
) -> None:
    Retirement(bench.registry, bench.clock).retire("iris", 3, actor="ada")
    editing = Editing(bench.registry, bench.clock)
    with pytest.raises(error):
        editing.change_version(model, number, actor="bob", **words)
    if error in {ModelNotFound, InvalidRequest}:
        with pytest.raises(error):
            editing.change_model(model, actor="bob", **words)
    assert len(events_after(bench, 4)) == 0
