from pathlib import Path

import pytest

from gateway.documents import DocumentFolder
from gateway.serving.last_known import LastKnown
from registry.errors import RegistryUnavailable, ServiceError
from registry.names import Reference
from registry.records import Canary
from tests.support.routing_bench import FIRST, LIVE, SECOND, THIRD, RoutingBench
from tests.support.virtual_time import ImmediateExecutor, run_virtually


def lasting(folder: Path) -> LastKnown:
    return LastKnown(DocumentFolder(folder), ImmediateExecutor())


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
        before = RoutingBench(last_known=lasting(tmp_path))
        await before.routing.resolve(Reference("iris", 3))
        await before.routing.apply(before.registry.retire("iris", 3))
        after = RoutingBench(last_known=lasting(tmp_path))
        after.registry.is_down = True
        with pytest.raises(RegistryUnavailable):
            await after.routing.resolve(Reference("iris", 3))

    run_virtually(outlive)


def test_what_was_recalled_leaves_no_version_behind(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path))
        await before.routing.resolve(LIVE)
        after = RoutingBench(last_known=lasting(tmp_path))
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
        before = RoutingBench(last_known=lasting(tmp_path))
        await before.routing.resolve(LIVE)
        witness = before if is_known else RoutingBench(last_known=lasting(tmp_path))
        witness.registry.move("iris", 2)
        await witness.routing.apply(witness.registry.events[-1])
        after = RoutingBench(last_known=lasting(tmp_path))
        after.registry.is_down = True
        assert await _ask_for(after, LIVE) == 2

    run_virtually(outlive)


def test_what_is_doubtful_and_cannot_be_read_again_answers_as_it_did_until_the_registry_is_back(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path))
        await before.routing.resolve(LIVE)
        witness = RoutingBench(last_known=lasting(tmp_path))
        witness.registry.move("iris", 2)
        witness.registry.is_down = True
        await witness.routing.apply(witness.registry.events[-1])
        assert await _recalled(tmp_path) == 1
        witness.registry.is_down = False
        witness.routing.forget_recalled()
        assert await _recalled(tmp_path) == 2

    run_virtually(outlive)


def test_what_stays_doubtful_when_a_worker_dies_is_read_again_by_the_next_one(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path))
        before.routing.begin(before.registry.latest_sequence())
        await before.routing.resolve(LIVE)
        dying = RoutingBench(last_known=lasting(tmp_path))
        events = dying.registry.move("iris", 2), dying.registry.retire("iris", 3)
        dying.registry.is_down = True
        for event in events:
            await dying.routing.apply(event)
        following = RoutingBench(last_known=lasting(tmp_path))
        following.registry.move("iris", 2)
        following.registry.retire("iris", 3)
        following.routing.begin(following.registry.latest_sequence())
        assert await _recalled(tmp_path) == 2

    run_virtually(outlive)


def test_what_is_retired_is_known_no_more_though_it_cannot_be_read_again(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path))
        await before.routing.resolve(Reference("iris", 3))
        witness = RoutingBench(last_known=lasting(tmp_path))
        witness.registry.retire("iris", 3)
        witness.registry.is_down = True
        await witness.routing.apply(witness.registry.events[-1])
        assert await _ask_for(witness, Reference("iris", 3)) == "registry_unavailable"

    run_virtually(outlive)


def test_however_often_something_changed_it_is_read_again_once(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path))
        before.routing.begin(before.registry.latest_sequence())
        await before.routing.resolve(LIVE)
        after = RoutingBench(last_known=lasting(tmp_path))
        for number in (2, 3) * 20:
            after.registry.move("iris", number)
        after.routing.begin(after.registry.latest_sequence())
        assert after.registry.visits == 2
        after.registry.is_down = True
        assert await _ask_for(after, LIVE) == 3

    run_virtually(outlive)


def test_a_registry_that_has_just_not_answered_is_not_asked_about_everything_that_is_doubtful(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path))
        for reference in (LIVE, Reference("iris", 2), Reference("iris", 3)):
            await before.routing.resolve(reference)
        witness = RoutingBench(last_known=lasting(tmp_path))
        events = [
            witness.registry.move("iris", 2),
            witness.registry.retire("iris", 1),
            witness.registry.retire("iris", 3),
        ]
        witness.registry.is_down = True
        for event in events:
            await witness.routing.apply(event)
        assert witness.registry.visits == 1
        assert await _ask_for(witness, Reference("iris", 3)) == "registry_unavailable"

    run_virtually(outlive)


def test_what_changed_while_nobody_was_there_is_gone_through_at_the_next_beginning(tmp_path: Path) -> None:
    async def outlive() -> None:
        before = RoutingBench(last_known=lasting(tmp_path))
        before.routing.begin(before.registry.latest_sequence())
        for reference in (LIVE, Reference("iris", 2), Reference("iris", 3)):
            await before.routing.resolve(reference)
        after = RoutingBench(last_known=lasting(tmp_path))
        after.registry.move("iris", 2)
        after.registry.retire("iris", 3)
        after.routing.begin(after.registry.latest_sequence())
        after.registry.is_down = True
        assert await _ask_for(after, LIVE) == 2
        assert await _ask_for(after, Reference("iris", 2)) == 2
        assert await _ask_for(after, Reference("iris", 3)) == "registry_unavailable"

    run_virtually(outlive)


async def _recalled(folder: Path) -> int | str:
    """What a worker answers that starts while the registry is away."""
    starting = RoutingBench(last_known=lasting(folder))
    starting.registry.is_down = True
    return await _ask_for(starting, LIVE)


async def _ask_for(bench: RoutingBench, reference: Reference) -> int | str:
    try:
        return (await bench.routing.resolve(reference)).number
    except ServiceError as error:
        return error.code
