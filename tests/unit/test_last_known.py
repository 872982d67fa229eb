import asyncio
from functools import partial
from pathlib import Path

import pytest

from gateway.documents import DocumentFolder
from gateway.serving.last_known import LastKnown
from gateway.serving.routes import Reading, read
from registry.errors import RegistryUnavailable, ServiceError
from registry.events import Event, EventKind
from registry.names import Reference
from registry.records import Canary
from registry.standing import Isolation, Standing
from tests.support.memory_registry import resolve
from tests.support.routing_bench import FIRST, LIVE, SECOND, THIRD, RoutingBench
from tests.support.virtual_time import ImmediateExecutor, run_virtually


def lasting(folder: Path) -> LastKnown:
    return LastKnown(DocumentFolder(folder), ImmediateExecutor(), clock=asyncio.get_running_loop().time)


def worker(folder: Path) -> RoutingBench:
    """Another worker of the host, which knows nothing yet."""
    return RoutingBench(last_known=lasting(folder))


async def hear_in_an_outage(bench: RoutingBench, *events: Event) -> None:
    """Have a worker hear of what has happened just before the registry fell silent."""
    bench.registry.is_down = True
    for event in events:
        await bench.routing.apply(event)


async def knowing(folder: Path, *references: Reference) -> RoutingBench:
    """A worker that follows the feed, and has been asked for the references."""
    bench = worker(folder)
    bench.routing.begin(bench.registry.latest_sequence())
    for reference in references:
        await bench.routing.resolve(reference)
    return bench


def test_what_another_worker_last_knew_answers_in_an_outage_until_the_registry_is_back(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path), draws=[0.5])
        before.registry.move("iris", 1, canary=Canary(version=2, percent=100))
        for reference in (LIVE, Reference("iris", 3)):
            await before.routing.resolve(reference)
        after = RoutingBench(last_known=lasting(tmp_path), draws=[0.5])
        after.registry.is_down = True
        assert (await after.routing.resolve(LIVE)).version == SECOND
        assert (await after.routing.resolve(Reference("iris", 3))).version == THIRD
        assert await _ask_for(after, Reference("wine")) == "registry_unavailable"
        after.registry.is_down = False
        after.routing.forget_recalled()
        assert after.routing.find(LIVE) is None
        assert (await after.routing.resolve(LIVE)).version == FIRST

    run_virtually(outlive)


def test_what_led_nowhere_when_it_was_last_known_is_not_remembered(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = await knowing(tmp_path, Reference("iris", 3))
        await before.routing.apply(before.registry.retire("iris", 3))
        after = worker(tmp_path)
        after.registry.is_down = True
        with pytest.raises(RegistryUnavailable):
            await after.routing.resolve(Reference("iris", 3))

    run_virtually(outlive)


def test_what_was_recalled_leaves_no_version_behind(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        after = worker(tmp_path)
        after.registry.move("iris", 2)
        after.registry.retire("iris", 1)
        after.registry.is_down = True
        assert (await after.routing.resolve(LIVE)).version == FIRST
        after.registry.is_down = False
        after.routing.forget_recalled()
        assert await _ask_for(after, Reference("iris", 1)) == "version_retired"
        assert (await after.routing.resolve(LIVE)).version == SECOND

    run_virtually(outlive)


@pytest.mark.parametrize("is_known", [True, False])
def test_what_an_event_makes_doubtful_is_read_again_by_whoever_hears_of_it(tmp_path: Path, *, is_known: bool) -> None:
    async def outlive() -> None:
        before = await knowing(tmp_path, LIVE)
        witness = before if is_known else worker(tmp_path)
        witness.registry.move("iris", 2)
        await witness.routing.apply(witness.registry.events[-1])
        assert await _recalled(tmp_path) == 2

    run_virtually(outlive)


@pytest.mark.parametrize("reference", [LIVE, Reference("iris", 1)], ids=str)
def test_how_a_version_stands_is_known_to_those_who_come_after_its_last_worker(
    tmp_path: Path, reference: Reference
) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, reference)
        standing = Standing(isolation=Isolation.ISOLATED, deaths=2, reason="SIGFPE ended its child during a run")
        following = worker(tmp_path)
        following.registry.stand("iris", 1, standing, EventKind.VERSION_ISOLATED)
        following.routing.begin(following.registry.latest_sequence())
        starting = worker(tmp_path)
        starting.registry.is_down = True
        assert (await starting.routing.resolve(reference)).version.standing == standing

    run_virtually(outlive)


def test_what_is_doubtful_and_cannot_be_read_again_answers_as_it_did_until_the_registry_is_back(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        witness = worker(tmp_path)
        await hear_in_an_outage(witness, witness.registry.move("iris", 2))
        assert await _recalled(tmp_path) == 1
        witness.registry.is_down = False
        await asyncio.sleep(5)
        witness.routing.forget_recalled()
        assert await _recalled(tmp_path) == 2

    run_virtually(outlive)


def test_what_stays_doubtful_when_a_worker_dies_is_read_again_by_the_next_one(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        dying = worker(tmp_path)
        events = dying.registry.move("iris", 2), dying.registry.retire("iris", 3)
        await hear_in_an_outage(dying, *events)
        following = worker(tmp_path)
        following.registry.move("iris", 2)
        following.registry.retire("iris", 3)
        following.routing.begin(following.registry.latest_sequence())
        assert await _recalled(tmp_path) == 2

    run_virtually(outlive)


def test_what_is_retired_is_known_no_more_though_it_cannot_be_read_again(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, Reference("iris", 3))
        witness = worker(tmp_path)
        await hear_in_an_outage(witness, witness.registry.retire("iris", 3))
        assert await _ask_for(witness, Reference("iris", 3)) == "registry_unavailable"

    run_virtually(outlive)


def test_an_alias_that_led_to_what_is_retired_is_known_no_more_where_it_cannot_be_read_again(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        witness = worker(tmp_path)
        events = witness.registry.move("iris", 2), witness.registry.retire("iris", 1)
        await hear_in_an_outage(witness, *events)
        assert await _recalled(tmp_path) == "registry_unavailable"

    run_virtually(outlive)


def test_what_could_not_be_gone_through_at_the_beginning_is_when_the_registry_answers(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        after = worker(tmp_path)
        after.registry.move("iris", 2)
        after.registry.is_down = True
        after.routing.begin(after.registry.latest_sequence())
        await after.routing.apply(after.registry.retire("iris", 3))
        assert await _recalled(tmp_path) == 1
        after.registry.is_down = False
        await asyncio.sleep(5)
        after.routing.forget_recalled()
        assert await _recalled(tmp_path) == 2

    run_virtually(outlive)


def test_what_could_not_be_gone_through_is_left_to_the_next_worker_whatever_is_heard_meanwhile(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        dying = worker(tmp_path)
        dying.registry.move("iris", 2)
        dying.registry.is_down = True
        dying.routing.begin(dying.registry.latest_sequence())
        await dying.routing.apply(dying.registry.retire("iris", 3))
        following = worker(tmp_path)
        following.registry.move("iris", 2)
        following.registry.retire("iris", 3)
        following.routing.begin(following.registry.latest_sequence())
        assert await _recalled(tmp_path) == 2

    run_virtually(outlive)


def test_one_that_cannot_be_read_for_a_reason_of_its_own_is_known_no_more_and_holds_up_no_other(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = await knowing(tmp_path, LIVE, Reference("iris", 3))
        known = lasting(tmp_path)
        registry = before.registry
        events = registry.change(THIRD), registry.move("iris", 2)

        def look(reference: Reference) -> Reading:
            if reference.version == 3:
                raise KeyError(reference)
            return read(registry, resolve, reference)

        for event in events:
            known.doubt(event, look)
        assert (await _recalled(tmp_path), await _recalled(tmp_path, Reference("iris", 3))) == (
            2,
            "registry_unavailable",
        )

    run_virtually(outlive)


def test_what_came_into_doubt_twice_is_read_again_though_it_was_read_between(tmp_path: Path) -> None:
    async def outlive() -> None:
        bench = await knowing(tmp_path, LIVE)
        known, registry = lasting(tmp_path), bench.registry
        look = partial(read, registry, resolve)
        first = registry.move("iris", 2)
        registry.is_down = True
        known.doubt(first, look)
        registry.is_down = False
        known.remember(LIVE, look(LIVE))
        known.doubt(registry.move("iris", 3), look)
        assert await _recalled(tmp_path) == 2
        await asyncio.sleep(5)
        known.settle(registry, look)
        assert await _recalled(tmp_path) == 3

    run_virtually(outlive)


def test_a_registry_that_falls_silent_again_is_not_asked_at_each_reading_of_the_feed(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        witness = worker(tmp_path)
        await hear_in_an_outage(witness, witness.registry.move("iris", 2))
        for _ in range(40):
            witness.routing.forget_recalled()
            await asyncio.sleep(0.25)
        assert witness.registry.visits == 2

    run_virtually(outlive)


def test_however_often_something_changed_it_is_read_again_once(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE)
        after = worker(tmp_path)
        for number in (2, 3) * 20:
            after.registry.move("iris", number)
        after.routing.begin(after.registry.latest_sequence())
        assert after.registry.visits == 2
        after.registry.is_down = True
        assert await _ask_for(after, LIVE) == 3

    run_virtually(outlive)


def test_a_registry_that_has_just_not_answered_is_not_asked_about_everything_that_is_doubtful(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE, Reference("iris", 2), Reference("iris", 3))
        witness = worker(tmp_path)
        events = [
            witness.registry.move("iris", 2),
            witness.registry.retire("iris", 1),
            witness.registry.retire("iris", 3),
        ]
        await hear_in_an_outage(witness, *events)
        assert witness.registry.visits == 1
        assert await _ask_for(witness, Reference("iris", 3)) == "registry_unavailable"

    run_virtually(outlive)


def test_what_changed_while_nobody_was_there_is_gone_through_at_the_next_beginning(tmp_path: Path) -> None:
    async def outlive() -> None:
        await knowing(tmp_path, LIVE, Reference("iris", 2), Reference("iris", 3))
        after = worker(tmp_path)
        after.registry.move("iris", 2)
        after.registry.retire("iris", 3)
        after.routing.begin(after.registry.latest_sequence())
        after.registry.is_down = True
        assert await _ask_for(after, LIVE) == 2
        assert await _ask_for(after, Reference("iris", 2)) == 2
        assert await _ask_for(after, Reference("iris", 3)) == "registry_unavailable"

    run_virtually(outlive)


async def _recalled(folder: Path, reference: Reference = LIVE) -> int | str:
    """What a worker answers that starts while the registry is away."""
    starting = worker(folder)
    starting.registry.is_down = True
    return await _ask_for(starting, reference)


async def _ask_for(bench: RoutingBench, reference: Reference) -> int | str:
    try:
        return (await bench.routing.resolve(reference)).number
    except ServiceError as error:
        return error.code
