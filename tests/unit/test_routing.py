import asyncio
from dataclasses import replace

import pytest

from registry.errors import (
    InsufficientMemory,
    LoadFailed,
    ModelNotFound,
    NoActiveVersion,
    Overloaded,
    RegistryUnavailable,
    ServiceError,
    VersionNotFound,
    VersionRetired,
)
from registry.events import EventKind
from registry.names import Reference
from registry.records import Canary, Shadow
from registry.standing import CLEAN, Isolation, Standing
from tests.support.routing_bench import FIRST, LIVE, SECOND, THIRD, RoutingBench
from tests.support.serving_models import make_version
from tests.support.virtual_time import SteppedExecutor, run_virtually, settle


def test_what_was_resolved_is_found_without_another_visit() -> None:
    async def test() -> None:
        bench = RoutingBench()
        assert bench.routing.find(LIVE) is None
        assert bench.routing.find(Reference("iris", 1)) is None
        live = await bench.routing.resolve(LIVE)
        assert bench.routing.find(LIVE) is live
        assert await bench.routing.resolve(LIVE) is live
        assert await bench.routing.resolve(Reference("iris", 1)) is live
        assert bench.registry.visits == 1
        assert bench.built == {1: 1}

    run_virtually(test)


def test_many_who_ask_for_one_name_cause_one_visit() -> None:
    async def test() -> None:
        bench = RoutingBench(stepped=True)
        tasks = [asyncio.ensure_future(bench.routing.resolve(LIVE)) for _ in range(5)]
        await settle()
        tasks[0].cancel()
        await bench.executor.step()
        assert tasks[0].cancelled()
        assert len({task.result() for task in tasks[1:]}) == 1
        assert bench.registry.visits == 1

    run_virtually(test)


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        (Reference("nobody"), ModelNotFound),
        (Reference("nobody", 3), ModelNotFound),
        (Reference("iris", 9), VersionNotFound),
        (Reference("iris", alias="staging"), NoActiveVersion),
    ],
    ids=str,
)
def test_what_is_not_there_is_remembered_for_a_second(reference: Reference, kind: type[ServiceError]) -> None:
    async def test() -> None:
        bench = RoutingBench()
        errors = []
        for _ in range(3):
            with pytest.raises(kind) as caught:
                await bench.routing.resolve(reference)
            errors.append(caught.value)
        assert len(set(map(id, errors))) == 3
        assert bench.registry.visits == 1
        await asyncio.sleep(1)
        with pytest.raises(kind):
            await bench.routing.resolve(reference)
        assert bench.registry.visits == 2

    run_virtually(test)


def test_an_unknown_model_is_unknown_under_every_alias_and_number() -> None:
    async def test() -> None:
        bench = RoutingBench()
        for reference in [Reference("nobody"), Reference("nobody", 7), Reference("nobody", alias="x")]:
            with pytest.raises(ModelNotFound):
                await bench.routing.resolve(reference)
        assert bench.registry.visits == 1

    run_virtually(test)


def test_a_version_that_is_registered_is_no_longer_missing() -> None:
    async def test() -> None:
        bench = RoutingBench()
        with pytest.raises(VersionNotFound):
            await bench.routing.resolve(Reference("iris", 4))
        await bench.routing.apply(bench.registry.register(make_version("iris", 4)))
        assert (await bench.routing.resolve(Reference("iris", 4))).number == 4

    run_virtually(test)


def test_too_many_visits_at_once_are_refused() -> None:
    async def test() -> None:
        bench = RoutingBench(stepped=True)
        tasks = [asyncio.ensure_future(bench.routing.resolve(Reference("iris", number))) for number in (1, 2, 3)]
        await settle()
        with pytest.raises(Overloaded):
            await bench.routing.resolve(LIVE)
        for task in tasks:
            await bench.executor.step()
            await task
        assert [task.result().number for task in tasks] == [1, 2, 3]

    run_virtually(test)


def test_a_moved_alias_is_switched_when_the_new_version_is_warm() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        bench.warm_gate = asyncio.Event()
        applying = asyncio.ensure_future(bench.routing.apply(bench.registry.move("iris", 2)))
        await settle()
        assert (bench.live(), bench.warmed) == (1, [(1, 2)])
        bench.warm_gate.set()
        await applying
        assert bench.live() == 2

    run_virtually(test)


@pytest.mark.parametrize("error", [LoadFailed("broken"), InsufficientMemory("no room")], ids=lambda e: type(e).__name__)
def test_a_version_that_cannot_be_loaded_leaves_the_old_one_and_one_without_room_does_not(error: ServiceError) -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        bench.warm_error = error
        event = bench.registry.move("iris", 2)
        if isinstance(error, LoadFailed):
            with pytest.raises(LoadFailed):
                await bench.routing.apply(event)
            assert bench.live() == 1
            bench.warm_error = None
        await bench.routing.apply(event)
        assert bench.live() == 2

    run_virtually(test)


def test_the_later_of_two_moves_wins_however_long_the_earlier_takes() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        bench.warm_gate = asyncio.Event()
        slow = asyncio.ensure_future(bench.routing.apply(bench.registry.move("iris", 2)))
        await settle()
        await bench.routing.apply(bench.registry.move("iris", 1))
        assert bench.live() == 1
        bench.warm_gate.set()
        await slow
        assert bench.live() == 1

    run_virtually(test)


def test_an_earlier_event_that_is_tried_again_does_not_disturb_a_later_one() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        earlier, later = bench.registry.move("iris", 2), bench.registry.move("iris", 3)
        bench.warm_gate = asyncio.Event()
        applying = asyncio.ensure_future(bench.routing.apply(later))
        await settle()
        again = asyncio.ensure_future(bench.routing.apply(earlier))
        await settle()
        assert (bench.live(), again.done()) == (1, False)
        bench.warm_gate.set()
        await again
        assert (bench.live(), applying.done(), bench.warmed) == (3, True, [(1, 3)])

    run_virtually(test)


@pytest.mark.parametrize("error", [None, LoadFailed("broken")], ids=["sound", "broken"])
def test_an_event_that_was_overtaken_is_applied_when_the_later_one_is_whatever_it_led_to(
    error: ServiceError | None,
) -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        of_second, of_third = bench.warm_gate, bench.warm_gate_of_third = asyncio.Event(), asyncio.Event()
        earlier = asyncio.ensure_future(bench.routing.apply(bench.registry.move("iris", 2)))
        await settle()
        later = asyncio.ensure_future(bench.routing.apply(bench.registry.move("iris", 3)))
        await settle()
        bench.warm_error = error
        of_second.set()
        await settle()
        assert (earlier.done(), bench.live()) == (False, 1)
        bench.warm_error = None
        of_third.set()
        await asyncio.gather(earlier, later)
        assert bench.live() == 3

    run_virtually(test)


def test_an_event_whose_overtaker_fails_is_applied_by_itself() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        bench.warm_gate = asyncio.Event()
        later = bench.registry.move("iris", 2), bench.registry.move("iris", 3)
        failing = asyncio.ensure_future(bench.routing.apply(later[1]))
        await settle()
        earlier = asyncio.ensure_future(bench.routing.apply(later[0]))
        await settle()
        bench.warm_error = LoadFailed("broken")
        bench.warm_gate.set()
        results = await asyncio.gather(failing, earlier, return_exceptions=True)
        assert ([type(result) for result in results], bench.live()) == ([LoadFailed, LoadFailed], 1)

    run_virtually(test)


def test_a_visit_that_an_event_overtakes_is_made_again() -> None:
    async def test() -> None:
        bench = RoutingBench(stepped=True)
        asking = asyncio.ensure_future(bench.routing.resolve(LIVE))
        await settle()
        work = bench.executor.pending.popleft()
        work()  # has read version 1; its answer has not arrived yet
        await bench.routing.apply(bench.registry.move("iris", 2))
        await settle()
        await bench.executor.step()
        assert asking.result().number == 2
        assert bench.live() == 2

    run_virtually(test)


def test_what_was_read_before_the_feed_began_is_forgotten() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        bench.registry.move("iris", 2)
        bench.routing.begin(bench.registry.latest_sequence())
        assert bench.live() is None
        assert (await bench.routing.resolve(LIVE)).number == 2

    run_virtually(test)


def test_a_retired_version_is_gone_for_callers_of_its_number_and_as_canary() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.apply(bench.registry.move("iris", 1, canary=Canary(version=2, percent=100)))
        assert (await bench.routing.resolve(LIVE, b"key")).number == 2
        await bench.routing.apply(bench.registry.retire("iris", 2))
        assert bench.live() == 1
        with pytest.raises(VersionRetired):
            await bench.routing.resolve(Reference("iris", 2))

    run_virtually(test)


def test_every_version_that_a_reference_may_lead_to_is_told() -> None:
    async def test() -> None:
        bench = RoutingBench()
        bench.registry.move("iris", 1, canary=Canary(version=2, percent=25))
        assert await bench.routing.versions(LIVE) == (FIRST, SECOND)
        assert await bench.routing.versions(Reference("iris", 3)) == (THIRD,)
        with pytest.raises(ModelNotFound):
            await bench.routing.versions(Reference("unknown"))

    run_virtually(test)


def test_a_changed_version_is_built_again_once_and_answers_everywhere() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        await bench.routing.resolve(Reference("iris", 1))
        await bench.routing.apply(bench.registry.change(replace(FIRST, description="better")))
        by_alias, by_number = bench.routing.find(LIVE), bench.routing.find(Reference("iris", 1))
        assert by_alias is by_number
        assert by_alias is not None
        assert by_alias.version.description == "better"
        assert (bench.built, bench.warmed) == ({1: 2}, [])

    run_virtually(test)


@pytest.mark.parametrize(
    "kind",
    [
        EventKind.VERSION_CRASHED,
        EventKind.VERSION_ISOLATED,
        EventKind.VERSION_QUARANTINED,
        EventKind.VERSION_CLEARED,
    ],
)
def test_a_version_that_stands_elsewhere_is_built_again_under_every_name(kind: EventKind) -> None:
    async def test() -> None:
        bench = RoutingBench()
        for reference in (LIVE, Reference("iris", 1)):
            await bench.routing.resolve(reference)
        standing = Standing(isolation=Isolation.ISOLATED, deaths=2)
        await bench.routing.apply(bench.registry.stand("iris", 1, standing, kind))
        found = [bench.routing.find(reference) for reference in (LIVE, Reference("iris", 1))]
        assert [end.version.standing for end in found if end is not None] == [standing, standing]
        assert bench.built == {1: 2}

    run_virtually(test)


def test_a_canary_in_quarantine_gets_nothing_until_it_is_cleared() -> None:
    async def test() -> None:
        bench = RoutingBench(draws=[0.5] * 4)
        bench.registry.move("iris", 1, canary=Canary(version=2, percent=100))
        answers = [(await bench.routing.resolve(LIVE)).number]
        for standing, kind in (
            (Standing(isolation=Isolation.QUARANTINED), EventKind.VERSION_QUARANTINED),
            (CLEAN, EventKind.VERSION_CLEARED),
        ):
            await bench.routing.apply(bench.registry.stand("iris", 2, standing, kind))
            answers.append(bench.live() or 0)
        assert answers == [2, 1, 2]

    run_virtually(test)


def test_an_alias_is_read_again_when_its_shadow_stands_elsewhere() -> None:
    async def test() -> None:
        bench = RoutingBench()
        shadow = Shadow(version=3, percent=50)
        bench.registry.move("iris", 1)
        alias = bench.registry.aliases["iris", "production"]
        bench.registry.aliases["iris", "production"] = replace(alias, shadow=shadow)
        await bench.routing.resolve(LIVE)
        visits = bench.registry.visits
        standing = Standing(isolation=Isolation.QUARANTINED)
        await bench.routing.apply(bench.registry.stand("iris", 3, standing, EventKind.VERSION_QUARANTINED))
        assert bench.registry.visits == visits + 1

    run_virtually(test)


def test_events_about_what_nobody_asked_for_cost_no_visit() -> None:
    async def test() -> None:
        bench = RoutingBench()
        for event in (bench.registry.move("iris", 2), bench.registry.change(THIRD), bench.registry.retire("iris", 3)):
            await bench.routing.apply(event)
        assert (bench.registry.visits, bench.built) == (0, {})

    run_virtually(test)


def test_a_key_always_goes_to_the_same_version_and_a_growing_share_keeps_whom_it_had() -> None:
    async def test() -> None:
        keys = [f"user-{number}".encode() for number in range(1000)]
        chosen: list[set[bytes]] = []
        for percent in (10, 40):
            bench = RoutingBench()
            bench.registry.move("iris", 1, canary=Canary(version=2, percent=percent))
            numbers = {key: (await bench.routing.resolve(LIVE, key)).number for key in keys}
            assert {key: endpoint.number for key in keys if (endpoint := bench.routing.find(LIVE, key))} == numbers
            chosen.append({key for key, number in numbers.items() if number == 2})
        assert chosen[0] < chosen[1]
        assert 60 < len(chosen[0]) < 140
        assert 350 < len(chosen[1]) < 450

    run_virtually(test)


def test_without_a_key_the_version_is_drawn() -> None:
    async def test() -> None:
        bench = RoutingBench(draws=[0.0, 0.24, 0.25, 0.99])
        bench.registry.move("iris", 1, canary=Canary(version=2, percent=25))
        assert [(await bench.routing.resolve(LIVE)).number for _ in range(4)] == [2, 2, 1, 1]

    run_virtually(test)


def test_what_is_known_goes_on_answering_while_the_registry_is_silent() -> None:
    async def test() -> None:
        bench = RoutingBench()
        await bench.routing.resolve(LIVE)
        event = bench.registry.move("iris", 2)
        bench.registry.is_down = True
        with pytest.raises(RegistryUnavailable):
            await bench.routing.apply(event)
        with pytest.raises(RegistryUnavailable):
            await bench.routing.resolve(Reference("iris", 3))
        assert bench.live() == 1
        bench.registry.is_down = False
        await bench.routing.apply(event)
        assert bench.live() == 2
        assert (await bench.routing.resolve(Reference("iris", 3))).number == 3

    run_virtually(test)


def test_numbered_versions_are_bounded_and_an_aliased_one_keeps_its_endpoint() -> None:
    async def test() -> None:
        bench = RoutingBench(max_versions=1)
        live = await bench.routing.resolve(LIVE)
        for number in (2, 3):
            await bench.routing.resolve(Reference("iris", number))
        assert [bench.routing.find(Reference("iris", number)) is not None for number in (1, 2, 3)] == [
            False,
            False,
            True,
        ]
        assert await bench.routing.resolve(Reference("iris", 1)) is live
        assert bench.built == {1: 1, 2: 1, 3: 1}

    run_virtually(test)


async def _ask(bench: RoutingBench, name: str) -> str:
    try:
        await bench.routing.resolve(Reference(name))
    except ServiceError as error:
        return error.code
    return "ok"


def test_in_an_outage_one_visit_is_under_way_and_the_others_are_told_at_once() -> None:
    async def ask_for_many() -> None:
        bench = RoutingBench(stepped=True)
        bench.registry.is_down = True
        first = asyncio.create_task(_ask(bench, "a"))
        await settle()
        assert isinstance(bench.executor, SteppedExecutor)
        await bench.executor.step()
        assert await first == "registry_unavailable"
        second = asyncio.create_task(_ask(bench, "b"))
        await settle()
        others = [await _ask(bench, f"c{number}") for number in range(20)]
        bench.registry.is_down = False
        visits = bench.registry.visits
        await bench.executor.step()
        assert (await second, set(others), bench.registry.visits) == (
            "model_not_found",
            {"registry_unavailable"},
            visits + 1,
        )

    run_virtually(ask_for_many)
