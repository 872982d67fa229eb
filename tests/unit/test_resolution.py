"""From a reference to the one version that is meant, now and then."""

import itertools
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
from registry.records import Canary
from registry.resolution import alias_at, is_in_share, resolve
from registry.retirement import Retirement
from tests.support.registries import NOON, Bench, fresh_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 4)
        opened.register_versions("fresh", 1)
        opened.promotion.move("iris", "production", version=2, canary=Canary(version=3, percent=25), actor="ada")
        opened.promotion.move("iris", "blue", version=1, actor="ada")
        Retirement(opened.registry, opened.clock).retire("iris", 4, actor="ada")
        yield opened


@pytest.mark.parametrize(
    ("reference", "is_canary", "number"),
    [
        pytest.param("iris", False, 2, id="production by convention"),
        pytest.param("iris", True, 3, id="its canary"),
        pytest.param("iris@blue", True, 1, id="an alias without a canary"),
        pytest.param("iris:1", True, 1, id="a number, whatever is promoted"),
    ],
)
def test_a_reference_means_one_version(bench: Bench, reference: str, is_canary: bool, number: int) -> None:  # noqa: FBT001 - a column of the table
    with bench.registry.reading() as catalog:
        found = resolve(catalog, parse_reference(reference), choose_canary=lambda percent: is_canary and percent == 25)
        assert found == catalog.find_version("iris", number)


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
        resolve(catalog, parse_reference(reference), choose_canary=bool)


@pytest.mark.parametrize(
    ("percent", "fewest", "most"), [(0.0, 0, 0), (1, 60, 140), (50, 4800, 5200), (100, 10_000, 10_000)]
)
def test_a_share_takes_its_percentage_of_keys(percent: float, fewest: int, most: int) -> None:
    assert fewest <= sum(is_in_share(percent, key=f"user-{number}") for number in range(10_000)) <= most


def test_a_key_in_a_share_stays_when_the_share_grows() -> None:
    keys = [f"user-{number}" for number in range(1000)] + ["", "\ud800", "\u2713"]
    shares = [{key for key in keys if is_in_share(percent, key=key)} for percent in (1, 5, 25, 99.5, 100)]
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(shares))
    assert shares[-1] == set(keys)


def test_the_past_of_an_alias_is_read_from_its_moves(bench: Bench) -> None:
    bench.clock.moment = NOON + timedelta(hours=2)
    bench.promotion.move("iris", "production", version=1, actor="ada")
    bench.clock.moment = NOON + timedelta(hours=1)  # the clock went back: the later move counts from here on
    bench.promotion.move("iris", "production", version=3, actor="ada")
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
