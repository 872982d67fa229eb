"""Recording, replacing and removing the golden examples of a version that is there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry.artifact import Artifact
from registry.batching import Batching, Level
from registry.errors import (
    ArtifactMissing,
    ExamplesDiffer,
    GenerationConflict,
    InvalidArtifact,
    ModelNotFound,
    VersionNotFound,
    VersionRetired,
    Violation,
)
from registry.events import Event, EventKind
from registry.examples import Example, ExampleFacts, Examples
from registry.recording import EditExamples, Recording
from registry.records import Inspection, Version
from registry.signature import Signature
from tests.support.registries import NOON, PLAIN, Bench, JsonInspector, fresh_bench, fresh_registry
from tests.support.serving_models import report_on

ROW = np.ones((1, 4), np.float32)


def example(name: str, label: int) -> Example:
    return Example(name=name, inputs={"x": ROW}, outputs={"label": np.array([label])})


def all_of(*items: Example) -> Examples:
    return Examples(items)


RIGHT, RIGHT_TOO, WRONG = example("right", 1), example("right-too", 1), example("wrong", 2)


class Scene:
    """A version that answers ``1`` to everything, what is recorded of it, and who was told."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.told: list[tuple[int, ExampleFacts | None]] = []
        self.recording = Recording(
            registry=bench.registry,
            folders=bench.folders,
            inspector=bench.inspector,
            clock=bench.clock,
            passed=lambda version: self.told.append((version.number, version.examples)),
        )
        self.digest = bench.register("iris", {"gives": {"label": [1]}}).version.artifact.digest
        self.began = self.sequence()

    def record(self, examples: Examples, *, model: str = "iris", number: int = 1) -> Version:
        return self.recording.change(model, number, lambda _signature, _before: examples, actor="bob")

    def sequence(self) -> int:
        with self.bench.registry.reading() as catalog:
            return catalog.latest_sequence()

    def events(self) -> list[Event]:
        with self.bench.registry.reading() as catalog:
            return list(catalog.list_events(after=self.began, limit=10))

    def details(self) -> list[Any]:
        return [event.detail for event in self.events()]

    def kept(self) -> str:
        return self.recording.find("iris", 1).document

    def retire(self) -> None:
        with self.bench.registry.writing() as transaction:
            transaction.retire_version("iris", 1, actor="ada", at=NOON)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with fresh_bench(tmp_path) as opened:
        yield Scene(opened)


# --- changing ---------------------------------------------------------------------------------------------------------


def test_what_the_version_gives_is_recorded_with_an_event(scene: Scene) -> None:
    examples = all_of(RIGHT)
    version = scene.record(examples)
    assert (version.number, version.examples, scene.kept()) == (1, examples.facts, examples.document)
    assert scene.events() == [
        Event(
            sequence=scene.began + 1,
            kind=EventKind.VERSION_CHANGED,
            model="iris",
            version=1,
            alias=None,
            actor="bob",
            at=NOON,
            detail={"examples": 1},
        )
    ]
    assert (scene.bench.inspector.rehearsed, scene.told) == ([scene.digest], [(1, examples.facts)])


def test_whoever_edits_gets_the_signature_and_what_there_is(scene: Scene) -> None:
    seen: list[tuple[Signature, str]] = []

    def add(signature: Signature, before: Examples) -> Examples:
        seen.append((signature, before.document))
        return all_of(*before.items, RIGHT_TOO if before.items else RIGHT)

    for _ in range(2):
        scene.recording.change("iris", 1, add, actor="bob")
    signature = Signature.from_json(PLAIN)
    assert seen == [(signature, "[]"), (signature, all_of(RIGHT).document)]
    assert scene.kept() == all_of(RIGHT, RIGHT_TOO).document
    assert scene.details() == [{"examples": 1}, {"examples": 2}]


def test_examples_are_replaced_as_a_whole(scene: Scene) -> None:
    scene.record(all_of(RIGHT, RIGHT_TOO))
    scene.record(all_of(RIGHT_TOO))
    assert (scene.kept(), scene.details()[-1]) == (all_of(RIGHT_TOO).document, {"examples": 1})


def test_removing_them_asks_for_no_run(scene: Scene) -> None:
    scene.record(all_of(RIGHT))
    version = scene.record(all_of())
    assert (version.examples, scene.kept(), scene.details()[-1]) == (None, "[]", {"examples": 0})
    assert (scene.bench.inspector.rehearsed, len(scene.told)) == ([scene.digest], 1)


@pytest.mark.parametrize("examples", [all_of(), all_of(RIGHT)], ids=["none", "some"])
def test_what_is_there_already_is_neither_run_nor_written_again(scene: Scene, examples: Examples) -> None:
    first = scene.record(examples)
    before = (scene.sequence(), list(scene.bench.inspector.rehearsed))
    assert scene.record(examples) == first
    assert (scene.sequence(), scene.bench.inspector.rehearsed) == before


# --- what their rows show together ------------------------------------------------------------------------------------


class ProvenInspector(JsonInspector):
    """Finds of every file that its rows may share runs: stably, which is not quite exactly."""

    def inspect(self, folder: Path, artifact: Artifact) -> Inspection:
        return replace(super().inspect(folder, artifact), batch=report_on(Level.STABLE))


@pytest.fixture
def proven(tmp_path: Path) -> Iterator[Scene]:
    with fresh_registry(tmp_path) as registry:
        yield Scene(Bench(registry, tmp_path, inspector=ProvenInspector()))


@pytest.mark.parametrize("level", [Level.NONE, Level.CLOSE])
def test_rows_that_contradict_the_proof_keep_requests_apart(proven: Scene, level: Level) -> None:
    proven.bench.inspector.shows = level
    version = proven.record(all_of(RIGHT))
    assert version.batching is Batching.OFF
    assert proven.details() == [{"examples": 1, "batching": "off"}]


@pytest.mark.parametrize("level", [Level.STABLE, Level.EXACT])
def test_rows_that_contradict_nothing_change_nothing(proven: Scene, level: Level) -> None:
    proven.bench.inspector.shows = level
    version = proven.record(all_of(RIGHT))
    assert (version.batching, proven.details()) == (Batching.EXACT, [{"examples": 1}])


def test_where_nothing_is_proven_nothing_is_contradicted(scene: Scene) -> None:
    scene.bench.inspector.shows = Level.NONE
    version = scene.record(all_of(RIGHT))
    assert (version.batching, scene.details()) == (Batching.EXACT, [{"examples": 1}])


def test_where_requests_are_apart_already_nothing_is_said_of_it(proven: Scene) -> None:
    with proven.bench.registry.writing() as transaction:
        transaction.change_version("iris", 1, description=None, tags=None, batching=Batching.OFF)
    proven.bench.inspector.shows = Level.NONE
    version = proven.record(all_of(RIGHT))
    assert (version.batching, proven.details()) == (Batching.OFF, [{"examples": 1}])


# --- what is refused --------------------------------------------------------------------------------------------------


def test_what_differs_is_not_kept(scene: Scene) -> None:
    scene.record(all_of(RIGHT))
    before = scene.sequence()
    with pytest.raises(ExamplesDiffer) as refused:
        scene.record(all_of(RIGHT, WRONG))
    assert list(refused.value.violations) == [
        Violation(
            path="/examples/wrong/outputs/label",
            expected="int64[1]",
            received="other values",
            code="example_mismatch",
        )
    ]
    assert (scene.kept(), scene.sequence(), len(scene.told)) == (all_of(RIGHT).document, before, 1)


def test_a_version_that_does_not_load_gets_no_examples(scene: Scene) -> None:
    scene.bench.inspector.refuses = "inspection_crashed"
    with pytest.raises(InvalidArtifact) as refused:
        scene.record(all_of(RIGHT))
    assert (refused.value.code, scene.kept(), scene.events()) == ("inspection_crashed", "[]", [])


def test_a_version_whose_bytes_are_lost_gets_no_examples(scene: Scene) -> None:
    scene.bench.store.contents.clear()
    with pytest.raises(ArtifactMissing):
        scene.record(all_of(RIGHT))
    assert (scene.kept(), scene.events()) == ("[]", [])


@pytest.mark.parametrize(
    "other", [all_of(RIGHT_TOO), all_of(RIGHT), all_of()], ids=["others", "the same", "none any more"]
)
def test_of_two_who_change_them_at_a_time_the_second_is_refused(scene: Scene, other: Examples) -> None:
    scene.record(all_of(RIGHT, RIGHT_TOO))

    def change_meanwhile(_signature: Signature, _before: Examples) -> Examples:
        scene.record(other)
        return all_of(RIGHT)

    with pytest.raises(GenerationConflict):
        scene.recording.change("iris", 1, change_meanwhile, actor="eve")
    assert (scene.kept(), [event.actor for event in scene.events()]) == (other.document, ["bob", "bob"])


def unneeded(_signature: Signature, _before: Examples) -> Examples:
    raise AssertionError("nobody asks")


def test_a_retired_version_is_not_asked_for_examples(scene: Scene) -> None:
    scene.retire()
    with pytest.raises(VersionRetired):
        scene.recording.change("iris", 1, unneeded, actor="bob")


def test_a_version_that_is_retired_meanwhile_gets_none(scene: Scene) -> None:
    def retire_meanwhile(_signature: Signature, _before: Examples) -> Examples:
        scene.retire()
        return all_of(RIGHT)

    with pytest.raises(VersionRetired):
        scene.recording.change("iris", 1, retire_meanwhile, actor="bob")
    assert (scene.kept(), scene.told) == ("[]", [])


@pytest.mark.parametrize(
    ("model", "number", "error"),
    [("nosuch", 1, ModelNotFound), ("iris", 9, VersionNotFound)],
    ids=["no such model", "no such version"],
)
def test_what_is_not_there_has_no_examples_and_gets_none(
    scene: Scene, model: str, number: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        scene.recording.find(model, number)
    with pytest.raises(error):
        scene.recording.change(model, number, unneeded, actor="bob")


def test_what_the_edit_refuses_is_refused_and_changes_nothing(scene: Scene) -> None:
    def refuse(_signature: Signature, _before: Examples) -> Examples:
        raise KeyError("mine")

    edit: EditExamples = refuse
    with pytest.raises(KeyError):
        scene.recording.change("iris", 1, edit, actor="bob")
    assert (scene.kept(), scene.events(), scene.bench.inspector.rehearsed) == ("[]", [], [])


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_retired_version_still_shows_its_examples(scene: Scene) -> None:
    scene.record(all_of(RIGHT))
    scene.retire()
    assert scene.kept() == all_of(RIGHT).document
