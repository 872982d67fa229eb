"""From a reference to the one version that is meant, now and then."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from registry.errors import (
    AliasNotFound,
    ModelNotFound,
    NoActiveVersion,
    ServiceError,
    VersionNotFound,
    VersionRetired,
)
from registry.names import parse_reference
from registry.promotion import Proposal
from registry.records import Canary
from registry.resolution import alias_at, resolve
from registry.retirement import Retirement
from tests.support.registries import NOON, Bench, fresh_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 4)
        opened.register_versions("fresh", 1)
        opened.promotion.move(
            "iris", "production", Proposal(version=2, canary=Canary(version=3, percent=25)), actor="ada"
        )
        opened.promotion.move("iris", "blue", Proposal(version=1), actor="ada")
        Retirement(opened.registry, opened.clock).retire("iris", 4, actor="ada")
        yield opened


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        pytest.param("iris", 2, id="production by convention, its canary aside"),
        pytest.param("iris@blue", 1, id="another alias"),
        pytest.param("iris:1", 1, id="a number, whatever is promoted"),
    ],
)
def test_a_reference_means_one_version(bench: Bench, reference: str, number: int) -> None:
    with bench.registry.reading() as catalog:
        assert resolve(catalog, parse_reference(reference)) == catalog.find_version("iris", number)


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("nosuch", ModelNotFound),
        ("nosuch@blue", ModelNotFound),
        ("nosuch:1", ModelNotFound),
        ("iris:9", VersionNotFound),
        ("iris:4", VersionRetired),
        ("iris@green", AliasNotFound),
        ("fresh", NoActiveVersion),
        ("fresh@blue", AliasNotFound),
    ],
)
def test_a_reference_to_nothing_says_what_is_missing(bench: Bench, reference: str, error: type[ServiceError]) -> None:
    with bench.registry.reading() as catalog, pytest.raises(error):
        resolve(catalog, parse_reference(reference))


def test_the_past_of_an_alias_is_read_from_its_moves(bench: Bench) -> None:
    bench.clock.moment = NOON + timedelta(hours=2)
    bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
    bench.clock.moment = NOON + timedelta(hours=1)  # the clock went back: the later move counts from here on
    bench.promotion.move("iris", "production", Proposal(version=3), actor="ada")
    with bench.registry.reading() as catalog:
        then = {
            hours: alias_at(catalog, "iris", "production", NOON + timedelta(hours=hours)) for hours in (0, 0.5, 1, 2)
        }
        assert {hours: move.to_version for hours, move in then.items()} == {0: 2, 0.5: 2, 1: 3, 2: 3}
        assert then[2] == catalog.list_moves("iris", "production")[-1]


@pytest.mark.parametrize(
    ("model", "alias", "error"),
    [
        pytest.param("iris", "production", NoActiveVersion, id="before its first move"),
        pytest.param("fresh", "production", NoActiveVersion, id="never moved"),
        pytest.param("iris", "green", AliasNotFound, id="no such alias"),
        pytest.param("nosuch", "production", ModelNotFound, id="no such model"),
    ],
)
def test_an_alias_without_a_past_says_so(bench: Bench, model: str, alias: str, error: type[ServiceError]) -> None:
    with bench.registry.reading() as catalog, pytest.raises(error):
        alias_at(catalog, model, alias, NOON - timedelta(microseconds=1))
