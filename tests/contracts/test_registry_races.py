"""Many at once: numbers, events and moves are each somebody's, and everybody is told the truth."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import pytest

from registry.crashes import Crashes
from registry.errors import GenerationConflict
from registry.events import EventKind
from registry.promotion import AliasMove, Proposal
from registry.standing import Death, Isolation, Stage
from tests.support.registries import DATABASES, Bench, fresh_bench

T = TypeVar("T")
MANY = 20


@pytest.fixture(params=list(DATABASES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path, DATABASES[request.param]) as opened:
        yield opened


def at_once(act: Callable[[int], T]) -> list[T]:
    start = Barrier(MANY)

    def wait_and_act(number: int) -> T:
        start.wait()
        return act(number)

    with ThreadPoolExecutor(MANY) as threads:
        return list(threads.map(wait_and_act, range(MANY)))


def test_twenty_uploads_under_one_name_get_twenty_numbers_and_events_in_order(bench: Bench) -> None:
    uploads = [bench.upload({"salt": number}) for number in range(MANY)]
    results = at_once(lambda number: bench.registration.register_upload("iris", uploads[number], actor=str(number)))
    with bench.registry.reading() as catalog:
        events = catalog.list_events(after=0, limit=100)
        versions = catalog.list_versions("iris", limit=100).items
    assert all(result.is_new for result in results)
    assert sorted(result.version.number for result in results) == list(range(1, MANY + 1))
    assert {result.version.artifact.digest for result in results} == {upload.digest for upload in uploads}
    assert sorted((result.version for result in results), key=lambda version: -version.number) == list(versions)
    assert [(event.kind, event.version) for event in events] == [
        (EventKind.VERSION_REGISTERED, number) for number in range(1, MANY + 1)
    ]
    assert [event.sequence for event in events] == sorted({event.sequence for event in events})


def test_twenty_uploads_of_the_same_bytes_are_one_version(bench: Bench) -> None:
    uploads = [bench.upload({}) for _ in range(MANY)]
    results = at_once(lambda number: bench.registration.register_upload("iris", uploads[number], actor=str(number)))
    assert sum(result.is_new for result in results) == 1
    assert {result.version.number for result in results} == {1}
    with bench.registry.reading() as catalog:
        assert len(catalog.list_events(after=0, limit=100)) == 1


def test_of_twenty_promotions_that_expect_the_same_state_exactly_one_wins(bench: Bench) -> None:
    bench.register_versions("iris", MANY + 1)
    bench.promotion.move("iris", "production", Proposal(version=MANY + 1), actor="ada")

    def promote(number: int) -> AliasMove | GenerationConflict:
        try:
            return bench.promotion.move(
                "iris", "production", Proposal(version=number + 1, expected=MANY + 1), actor=str(number)
            )
        except GenerationConflict as error:
            return error

    results = at_once(promote)
    winners = [result for result in results if isinstance(result, AliasMove)]
    with bench.registry.reading() as catalog:
        moves = catalog.list_moves("iris", "production")
        alias = catalog.find_alias("iris", "production")
        events = catalog.list_events(after=MANY + 1, limit=100)
    assert len(winners) == 1
    assert moves[1:] == [winners[0].move]
    assert alias == winners[0].alias
    assert alias is not None
    assert alias.generation == 2
    assert [event.kind for event in events] == [EventKind.ALIAS_MOVED, EventKind.ALIAS_MOVED]


def test_twenty_promotions_that_expect_nothing_in_particular_are_twenty_moves_in_a_chain(bench: Bench) -> None:
    bench.register_versions("iris", MANY)
    at_once(lambda number: bench.promotion.move("iris", "production", Proposal(version=number + 1), actor="ada"))
    with bench.registry.reading() as catalog:
        moves = catalog.list_moves("iris", "production")
        alias = catalog.find_alias("iris", "production")
    assert [move.from_version for move in moves] == [None, *(move.to_version for move in moves[:-1])]
    assert sorted(move.to_version for move in moves) == list(range(1, MANY + 1))
    assert alias is not None
    assert (alias.version, alias.generation) == (moves[-1].to_version, MANY)


def test_of_twenty_deaths_each_counts_and_one_isolates(bench: Bench) -> None:
    bench.register("iris", {})
    crashes = Crashes(bench.registry, bench.clock)
    death = Death(where=Isolation.IN_PROCESS, stage=Stage.RUN, cause="SIGFPE", is_certain=True)
    at_once(lambda number: crashes.record_death("iris", 1, death=death, actor=str(number)))
    with bench.registry.reading() as catalog:
        version = catalog.find_version("iris", 1)
        kinds = [event.kind for event in catalog.list_events(after=1, limit=100)]
    assert version is not None
    assert (version.standing.isolation, version.standing.deaths) == (Isolation.ISOLATED, MANY)
    assert kinds == [EventKind.VERSION_CRASHED, EventKind.VERSION_ISOLATED, *[EventKind.VERSION_CRASHED] * (MANY - 1)]


def test_twenty_who_quarantine_one_version_are_one_fact(bench: Bench) -> None:
    bench.register("iris", {})
    crashes = Crashes(bench.registry, bench.clock)
    at_once(lambda number: crashes.quarantine("iris", 1, reason=str(number), actor="worker"))
    with bench.registry.reading() as catalog:
        kinds = [event.kind for event in catalog.list_events(after=1, limit=100)]
    assert kinds == [EventKind.VERSION_QUARANTINED]
