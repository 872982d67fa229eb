"""What is made sure of before an alias may point to a version."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from registry.artifact import Digest
from registry.errors import ArtifactMissing, NotPromotable, RehearsalFailed, Violation
from registry.examples import Example, Examples
from registry.promotion import Promotion, Proposal
from registry.records import Canary, Shadow, Version
from registry.rehearsal import Rehearsal
from tests.support.registries import Bench, fresh_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 3)
        opened.promotion.move("iris", "production", Proposal(version=1), actor="ada")
        opened.inspector.inspected.clear()
        yield opened


def version_of(bench: Bench, number: int) -> Version:
    with bench.registry.reading() as catalog:
        version = catalog.find_version("iris", number)
    assert version is not None
    return version


def lose(bench: Bench, number: int) -> Digest:
    digest = version_of(bench, number).artifact.graph.digest
    del bench.store.contents[digest]
    return digest


def moves_of(bench: Bench) -> list[tuple[int | None, int]]:
    with bench.registry.reading() as catalog:
        return [(move.from_version, move.to_version) for move in catalog.list_moves("iris")]


def test_a_version_whose_bytes_are_lost_is_not_promoted(bench: Bench) -> None:
    lose(bench, 2)
    with pytest.raises(ArtifactMissing):
        bench.promotion.move("iris", "production", Proposal(version=2), actor="ada")
    with pytest.raises(ArtifactMissing):
        bench.promotion.plan("iris", "production", Proposal(version=2))
    assert moves_of(bench) == [(None, 1)]


def test_a_canary_whose_bytes_are_lost_is_not_set(bench: Bench) -> None:
    lose(bench, 3)
    with pytest.raises(ArtifactMissing):
        bench.promotion.move(
            "iris", "production", Proposal(version=1, canary=Canary(version=3, percent=5)), actor="ada"
        )
    assert moves_of(bench) == [(None, 1)]


def test_what_answers_already_is_not_rehearsed_again(bench: Bench) -> None:
    lose(bench, 1)
    assert bench.promotion.move("iris", "production", Proposal(version=1), actor="ada").move is None


def test_going_back_asks_for_no_rehearsal(bench: Bench) -> None:
    bench.promotion.move("iris", "production", Proposal(version=2), actor="ada")
    lose(bench, 1)
    assert bench.promotion.rollback("iris", "production", actor="ada").alias.version == 1


def test_what_this_runtime_has_inspected_is_not_inspected_again(bench: Bench) -> None:
    bench.promotion.move("iris", "production", Proposal(version=2), actor="ada")
    assert bench.inspector.inspected == []


def test_what_only_another_runtime_has_inspected_is_inspected_once(bench: Bench) -> None:
    bench.inspector.runtime = "json 2.0 x86_64"
    for number in (2, 1, 2):
        bench.promotion.move("iris", "production", Proposal(version=number), actor="ada")
    wanted = [version_of(bench, number).artifact.digest for number in (2, 1)]
    assert bench.inspector.inspected == wanted
    with bench.registry.reading() as catalog:
        found = catalog.find_inspection(wanted[0], "json 2.0 x86_64")
    assert found is not None
    assert found.runtime == "json 2.0 x86_64"


def test_what_the_runtime_of_today_refuses_is_not_promoted(bench: Bench) -> None:
    bench.inspector.runtime = "json 2.0 x86_64"
    bench.inspector.refuses = "invalid_model"
    with pytest.raises(NotPromotable) as refused:
        bench.promotion.move("iris", "production", Proposal(version=2), actor="ada")
    assert refused.value.detail == (
        "version 2 of model 'iris' does not load with json 2.0 x86_64: refused as it was told to (invalid_model)"
    )
    assert moves_of(bench) == [(None, 1)]


# --- the child that loads and runs ------------------------------------------------------------------------------------


class Stage:
    """Rehearsals by a clock of the test's, of versions that nobody has rehearsed yet; 4 answers ``1`` to everything."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seconds = 5000.0
        self.told: list[int] = []
        rehearsal = Rehearsal(
            registry=bench.registry,
            folders=bench.folders,
            inspector=bench.inspector,
            clock=bench.clock,
            passed=lambda version: self.told.append(version.number),
            monotonic=lambda: self.seconds,
        )
        self.promotion = Promotion(bench.registry, bench.clock, rehearse=rehearsal)
        bench.register("iris", {"gives": {"label": [1]}})
        bench.inspector.inspected.clear()
        bench.inspector.rehearsed.clear()

    def promote(self, version: int, *, alias: str = "production") -> None:
        self.promotion.move("iris", alias, Proposal(version=version), actor="ada")

    def rehearsed(self) -> list[int]:
        """Return the numbers of the versions that a child has loaded, in that order."""
        numbers = {version_of(self.bench, number).artifact.digest: number for number in range(1, 5)}
        return [numbers[digest] for digest in self.bench.inspector.rehearsed]

    def expect(self, label: int) -> None:
        """Say what version 4 has to give."""
        example = Example(name="first", inputs={}, outputs={"label": np.array([label])})
        with self.bench.registry.writing() as transaction:
            transaction.set_examples("iris", 4, Examples((example,)))


@pytest.fixture
def stage(bench: Bench) -> Stage:
    return Stage(bench)


def test_a_promotion_rehearses_each_newcomer_once(stage: Stage) -> None:
    stage.promotion.move(
        "iris",
        "production",
        Proposal(version=2, canary=Canary(version=3, percent=5), shadow=Shadow(version=4, percent=50)),
        actor="ada",
    )
    assert (stage.rehearsed(), stage.told) == ([2, 3, 4], [2, 3, 4])
    assert stage.bench.inspector.inspected == []


def test_a_plan_rehearses_as_its_promotion_would(stage: Stage) -> None:
    stage.promotion.plan(
        "iris",
        "production",
        Proposal(version=1, canary=Canary(version=3, percent=5), shadow=Shadow(version=2, percent=50)),
    )
    assert (stage.rehearsed(), moves_of(stage.bench)) == ([3, 2], [(None, 1)])


def test_one_version_in_two_parts_is_rehearsed_once(stage: Stage) -> None:
    canary, shadow = Canary(version=3, percent=5), Shadow(version=3, percent=50)
    stage.promotion.move("iris", "production", Proposal(version=1, canary=canary, shadow=shadow), actor="ada")
    assert stage.rehearsed() == [3]


def test_what_gets_requests_already_is_not_rehearsed_in_another_part(stage: Stage) -> None:
    canary, shadow = Canary(version=2, percent=5), Shadow(version=3, percent=50)
    stage.promotion.move("iris", "production", Proposal(version=1, canary=canary, shadow=shadow), actor="ada")
    stage.bench.inspector.rehearsed.clear()
    stage.promotion.move("iris", "production", Proposal(version=3, canary=Canary(version=2, percent=9)), actor="ada")
    assert stage.rehearsed() == []


@pytest.mark.parametrize(
    ("seconds", "rehearsed"), [(0.0, [2]), (59.9, [2]), (60.0, [2, 2])], ids=["at once", "within", "after"]
)
def test_what_has_passed_is_not_rehearsed_again_within_a_minute(
    stage: Stage, seconds: float, rehearsed: list[int]
) -> None:
    stage.promotion.plan("iris", "production", Proposal(version=2))
    stage.seconds += seconds
    stage.promote(2)
    assert stage.rehearsed() == rehearsed


def test_a_minute_is_a_minute_however_often_it_is_asked(stage: Stage) -> None:
    for _ in range(3):
        stage.promotion.plan("iris", "production", Proposal(version=2))
        stage.seconds += 25
    stage.promote(2)
    assert stage.rehearsed() == [2, 2]


def test_within_the_minute_another_alias_may_have_it_unrehearsed(stage: Stage) -> None:
    stage.promote(2)
    stage.promote(2, alias="blue")
    assert (stage.rehearsed(), stage.told) == ([2], [2, 2])


def test_examples_that_have_changed_are_run_within_the_minute(stage: Stage) -> None:
    stage.promote(4)
    stage.promote(1)
    stage.expect(1)
    stage.promote(4)
    assert stage.rehearsed() == [4, 1, 4]


def test_a_version_that_gives_what_its_examples_say_is_promoted(stage: Stage) -> None:
    stage.expect(1)
    stage.promote(4)
    assert (moves_of(stage.bench), stage.told) == ([(None, 1), (1, 4)], [4])


def test_a_version_that_gives_something_else_is_not_promoted_and_what_differs_is_named(stage: Stage) -> None:
    stage.expect(2)
    with pytest.raises(RehearsalFailed) as refused:
        stage.promote(4)
    assert refused.value.detail == (
        "version 4 of model 'iris' does not give what its examples say: other answers than they say"
    )
    assert list(refused.value.violations) == [
        Violation(
            path="/examples/first/outputs/label",
            expected="int64[1]",
            received="other values",
            code="example_mismatch",
        )
    ]
    assert (moves_of(stage.bench), stage.told) == ([(None, 1)], [])


@pytest.mark.parametrize(
    "other", [{"canary": Canary(version=4, percent=5)}, {"shadow": Shadow(version=4, percent=5)}], ids=list
)
def test_a_canary_or_shadow_that_gives_something_else_is_not_set(
    stage: Stage, other: dict[str, Canary | Shadow]
) -> None:
    stage.expect(2)
    with stage.bench.registry.reading() as catalog:
        before = catalog.find_alias("iris", "production")
    with pytest.raises(RehearsalFailed):
        stage.promotion.move("iris", "production", Proposal(version=1, **other), actor="ada")  # type: ignore[arg-type]
    with stage.bench.registry.reading() as catalog:
        assert catalog.find_alias("iris", "production") == before


def test_a_version_that_does_not_load_is_not_promoted_whenever_it_was_inspected(stage: Stage) -> None:
    stage.bench.inspector.refuses = "inspection_crashed"
    with pytest.raises(RehearsalFailed) as refused:
        stage.promote(2)
    assert refused.value.detail == (
        "version 2 of model 'iris' does not load with json 1.0 x86_64: refused as it was told to (inspection_crashed)"
    )
    assert (list(refused.value.violations), moves_of(stage.bench), stage.told) == ([], [(None, 1)], [])


def test_what_has_failed_is_rehearsed_again_at_once(stage: Stage) -> None:
    stage.expect(2)
    with pytest.raises(RehearsalFailed):
        stage.promote(4)
    with pytest.raises(RehearsalFailed):
        stage.promote(4)
    assert stage.rehearsed() == [4, 4]


def test_going_back_starts_no_child(stage: Stage) -> None:
    stage.promote(2)
    stage.bench.inspector.rehearsed.clear()
    stage.seconds += 3600
    stage.promotion.rollback("iris", "production", actor="ada")
    assert (stage.rehearsed(), stage.told) == ([], [2])


def test_dropping_a_canary_starts_no_child(stage: Stage) -> None:
    canary = Canary(version=2, percent=5)
    seen = stage.promotion.move("iris", "production", Proposal(version=1, canary=canary), actor="ada").alias
    stage.bench.inspector.rehearsed.clear()
    stage.seconds += 3600
    stage.promotion.drop_canary(seen, actor="gateway", reason="canary dropped")
    assert stage.rehearsed() == []
