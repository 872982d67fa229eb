"""What is made sure of before an alias may point to a version."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.artifact import Digest
from registry.errors import ArtifactMissing, NotPromotable
from registry.records import Canary, Version
from tests.support.registries import Bench, fresh_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 3)
        opened.promotion.move("iris", "production", version=1, actor="ada")
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
        bench.promotion.move("iris", "production", version=2, actor="ada")
    with pytest.raises(ArtifactMissing):
        bench.promotion.plan("iris", "production", version=2)
    assert moves_of(bench) == [(None, 1)]


def test_a_canary_whose_bytes_are_lost_is_not_set(bench: Bench) -> None:
    lose(bench, 3)
    with pytest.raises(ArtifactMissing):
        bench.promotion.move("iris", "production", version=1, canary=Canary(version=3, percent=5), actor="ada")
    assert moves_of(bench) == [(None, 1)]


def test_what_answers_already_is_not_rehearsed_again(bench: Bench) -> None:
    lose(bench, 1)
    assert bench.promotion.move("iris", "production", version=1, actor="ada").move is None


def test_going_back_asks_for_no_rehearsal(bench: Bench) -> None:
    bench.promotion.move("iris", "production", version=2, actor="ada")
    lose(bench, 1)
    assert bench.promotion.rollback("iris", "production", actor="ada").alias.version == 1


def test_what_this_runtime_has_inspected_is_not_inspected_again(bench: Bench) -> None:
    bench.promotion.move("iris", "production", version=2, actor="ada")
    assert bench.inspector.inspected == []


def test_what_only_another_runtime_has_inspected_is_inspected_once(bench: Bench) -> None:
    bench.inspector.runtime = "json 2.0 x86_64"
    for number in (2, 1, 2):
        bench.promotion.move("iris", "production", version=number, actor="ada")
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
        bench.promotion.move("iris", "production", version=2, actor="ada")
    assert refused.value.detail == (
        "version 2 of model 'iris' does not load with json 2.0 x86_64: refused as it was told to (invalid_model)"
    )
    assert moves_of(bench) == [(None, 1)]
