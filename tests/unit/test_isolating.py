"""What a worker makes of deaths and answers: where each version runs, and what the registry is told."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.evidence import Accusation, AnswerTimes, Evidence
from gateway.ledger import Key
from gateway.serving.isolating import Isolating
from registry.crashes import Crashes
from registry.events import Event, EventKind
from registry.records import Version
from registry.sql.unit_of_work import SqlRegistry
from registry.standing import Isolation, Stage, Standing
from tests.support.gateway_process import wait_until
from tests.support.registries import Bench, fresh_bench
from tests.support.serving_models import make_version

KEY = ("iris", 1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        opened.register_versions("iris", 1)
        yield opened


class Rig:
    """A worker's knowledge over a real registry, with a clock that is moved by hand."""

    def __init__(self, bench: Bench, executor: ThreadPoolExecutor, evidence: Evidence | None = None) -> None:
        self.now = 1_000.0
        self.changes: list[Key] = []
        self.registry: SqlRegistry = bench.registry
        self.executor = executor
        self.isolating = Isolating(
            Crashes(bench.registry, bench.clock),
            executor=executor,
            answered=AnswerTimes(evidence),
            host="here",
            actor="gateway",
            clock=lambda: self.now,
        )
        self.isolating.start(self.changes.append)

    def die(self, version: Version, count: int = 1) -> list[bool]:
        """Let a child die so often; return, for each time, whether that was the end."""
        return [self.isolating.note_death(version, stage=Stage.RUN, cause="SIGFPE") is not None for _ in range(count)]

    def told(self) -> list[str]:
        """Return the kinds of the events about crashes, once all is told."""
        self.executor.submit(lambda: None).result(10)
        with self.registry.reading() as catalog:
            events = catalog.list_events(after=0, limit=100)
        return [event.kind.value for event in events if event.kind is not EventKind.VERSION_REGISTERED]

    def standing(self) -> Standing:
        with self.registry.reading() as catalog:
            version = catalog.find_version(*KEY)
        assert version is not None
        return version.standing


def run(bench: Bench, test: Callable[[Rig, Version], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        with ThreadPoolExecutor(1) as executor:
            await test(Rig(bench, executor), make_version("iris", 1))

    asyncio.run(body())


def event(kind: EventKind, sequence: int = 1) -> Event:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Event(sequence=sequence, kind=kind, model="iris", version=1, alias=None, actor="x", at=at, detail={})


def accusation(*, is_certain: bool = True) -> Accusation:
    return Accusation(pid=7, model="iris", version=1, stage=Stage.RUN, cause="SIGFPE", is_certain=is_certain)


def test_a_version_runs_where_the_registry_says(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        isolated = replace(version, standing=Standing(isolation=Isolation.ISOLATED))
        assert (rig.isolating.of(version), rig.isolating.of(isolated)) == (Isolation.IN_PROCESS, Isolation.ISOLATED)

    run(bench, test)


def test_a_version_that_has_ended_a_worker_runs_elsewhere_before_the_registry_knows(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.move([KEY])
        assert (rig.isolating.of(version), rig.changes, rig.told()) == (Isolation.ISOLATED, [KEY], [])

    run(bench, test)


def test_a_request_that_came_before_the_event_does_not_run_in_process_after_it(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.move([KEY])
        for sequence, kind in enumerate((EventKind.VERSION_CRASHED, EventKind.VERSION_ISOLATED), 1):
            rig.isolating.apply(event(kind, sequence))
        assert rig.isolating.of(version) is Isolation.ISOLATED  # though this one is as it was read before

    run(bench, test)


def test_a_version_that_is_cleared_runs_where_the_registry_says_again(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.move([KEY], Isolation.QUARANTINED)
        rig.isolating.apply(event(EventKind.VERSION_CLEARED))
        assert rig.isolating.of(version) is Isolation.IN_PROCESS

    run(bench, test)


def test_an_event_that_is_applied_after_a_later_one_takes_nothing_back(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.move([KEY], Isolation.QUARANTINED)
        rig.isolating.apply(event(EventKind.VERSION_CLEARED, 2))
        rig.isolating.apply(event(EventKind.VERSION_QUARANTINED, 1))
        assert rig.isolating.of(version) is Isolation.IN_PROCESS

    run(bench, test)


def test_an_accusation_becomes_a_death_and_a_move_in_the_registry(bench: Bench) -> None:
    async def test(rig: Rig, _: Version) -> None:
        assert rig.isolating.record(accusation())
        assert rig.told() == ["version_crashed", "version_isolated"]
        assert (rig.standing().deaths, rig.standing().is_on_probation) == (1, True)

    run(bench, test)


def test_a_suspicion_is_no_death_but_moves_the_version(bench: Bench) -> None:
    async def test(rig: Rig, _: Version) -> None:
        assert rig.isolating.record(accusation(is_certain=False))
        assert (rig.standing().deaths, rig.standing().isolation) == (0, Isolation.ISOLATED)

    run(bench, test)


def test_what_is_retired_meanwhile_holds_up_nobody(bench: Bench) -> None:
    async def test(rig: Rig, _: Version) -> None:
        gone = replace(accusation(), version=9)
        assert rig.isolating.record(gone)
        assert rig.isolating.record(accusation())
        assert rig.standing().deaths == 1

    run(bench, test)


def test_a_child_that_dies_again_and_again_without_an_answer_is_quarantined(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        assert rig.die(version, 5) == [False] * 4 + [True]
        assert rig.isolating.of(version) is Isolation.QUARANTINED
        assert rig.told()[-1] == "version_quarantined"

    run(bench, test)


def test_a_version_that_has_just_left_the_workers_has_time_to_answer_somebody_else(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.move([KEY])
        assert rig.die(version, 20) == [False] * 20  # one caller may do that before another has asked again
        rig.now += 11
        assert rig.die(version, 1) == [True]

    run(bench, test)


def test_a_child_that_also_answers_is_not_quarantined_however_often_it_dies(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        for _ in range(20):
            assert rig.die(version, 4) == [False] * 4
            rig.isolating.note_answer(version)
        assert rig.isolating.of(version) is Isolation.IN_PROCESS  # as the registry says

    run(bench, test)


def test_answers_that_a_sibling_gives_count_for_as_long_as_they_are_recent(bench: Bench) -> None:
    async def body() -> None:
        evidence = Evidence.create()
        version = make_version("iris", 1)
        with ThreadPoolExecutor(1) as executor:
            rig, sibling = Rig(bench, executor, evidence), Rig(bench, executor, evidence)
            sibling.isolating.note_answer(version)
            assert rig.die(version, 10) == [False] * 10
            rig.now += 6
            assert rig.die(version, 1) == [True]

    asyncio.run(body())


def test_a_version_that_has_answered_is_not_quarantined_by_a_few_deaths_after_a_pause(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.note_answer(version)
        rig.now += 3_600
        assert rig.die(version, 10) == [False] * 10
        rig.now += 6
        assert rig.die(version, 1) == [True]

    run(bench, test)


def test_deaths_between_which_a_sibling_answers_are_not_in_a_row(bench: Bench) -> None:
    async def body() -> None:
        evidence = Evidence.create()
        version = make_version("iris", 1)
        with ThreadPoolExecutor(1) as executor:
            rig, sibling = Rig(bench, executor, evidence), Rig(bench, executor, evidence)
            for _ in range(10):
                sibling.now = rig.now = rig.now + 20
                sibling.isolating.note_answer(version)
                sibling.now = rig.now = rig.now + 20
                assert rig.die(version) == [False]

    asyncio.run(body())


def test_a_version_that_has_just_left_a_worker_has_time_to_answer(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.move([KEY])
        assert rig.die(version, 10) == [False] * 10

    run(bench, test)


def test_the_registry_is_told_of_two_deaths_and_then_of_one_a_minute(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        for _ in range(10):
            rig.die(version)
            rig.isolating.note_answer(version)
        few = rig.told().count("version_crashed")
        rig.now += 61
        rig.die(version)
        assert (few, rig.told().count("version_crashed")) == (2, 3)

    run(bench, test)


def test_probation_ends_after_many_good_answers_and_some_time(bench: Bench) -> None:
    async def test(rig: Rig, version: Version) -> None:
        rig.isolating.record(accusation())
        on_probation = replace(version, standing=rig.standing())
        for _ in range(200):
            rig.isolating.note_answer(on_probation)
        assert rig.standing().is_on_probation
        rig.now += 60
        rig.isolating.note_answer(on_probation)
        wait_until(lambda: rig.standing().isolation is Isolation.IN_PROCESS)
        assert rig.told()[-1] == "version_cleared"

    run(bench, test)


@pytest.mark.parametrize("is_here", [True, False])
def test_probation_also_ends_for_a_session_that_is_older_than_it(bench: Bench, *, is_here: bool) -> None:
    async def test(rig: Rig, version: Version) -> None:
        if is_here:
            rig.isolating.move([KEY])
        rig.isolating.record(accusation())
        isolated = replace(event(EventKind.VERSION_ISOLATED), detail={"on_probation": True})
        rig.isolating.apply(isolated)
        for _ in range(200):
            rig.isolating.note_answer(version)  # as it was loaded in the moment of the crash
        rig.now += 60
        rig.isolating.note_answer(version)
        wait_until(lambda: rig.standing().isolation is Isolation.IN_PROCESS)

    run(bench, test)
