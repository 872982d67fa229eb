import asyncio

import pytest

from gateway.serving.run_queue import Place, RunQueue
from registry.errors import Overloaded
from tests.support.virtual_time import run_virtually, settle


def make_queue(*, places: int = 1, spare: int = 0, max_queue: int = 8) -> RunQueue:
    return RunQueue(places=places, spare=spare, max_queue=max_queue)


async def ask(queue: RunQueue, key: str) -> asyncio.Future[Place | None]:
    turn: asyncio.Future[Place | None] = asyncio.get_running_loop().create_future()
    place = queue.take(key)
    if place is None:
        queue.line_up(key, turn)
    else:
        turn.set_result(place)
    await settle()
    return turn


def test_versions_take_turns_and_each_is_first_come_first_served() -> None:
    async def test() -> None:
        queue = make_queue()
        place = (await ask(queue, "first")).result()
        tasks = [(name, await ask(queue, name[0])) for name in ("a1", "a2", "a3", "b1", "c1", "b2")]
        order = []
        while tasks:
            place.leave()
            place.leave()  # the second time does nothing
            await settle()
            (name, task) = next((name, task) for name, task in tasks if task.done())
            tasks.remove((name, task))
            assert not any(other.done() for _, other in tasks)
            order.append(name)
            place = task.result()
        assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]
        place.leave()
        assert queue.waiting_count == 0

    run_virtually(test)


def test_a_long_run_lends_its_place_while_there_are_spare_ones() -> None:
    async def test() -> None:
        queue = make_queue(spare=1)
        first = (await ask(queue, "endless")).result()
        second, third = await ask(queue, "endless"), await ask(queue, "other")
        assert not second.done()
        await asyncio.sleep(0.3)
        assert (first.is_lent, second.done(), third.done()) == (True, True, False)
        await asyncio.sleep(5)
        assert not third.done()
        first.leave()
        await asyncio.sleep(0.3)
        assert (second.result().is_lent, third.done()) == (True, True)
        third.result().leave()
        second.result().leave()
        await settle()
        again = [await ask(queue, "x") for _ in range(2)]
        assert [task.done() for task in again] == [True, False]
        again[0].result().leave()
        (await again[1]).leave()

    run_virtually(test)


def test_the_queue_of_each_version_is_bounded() -> None:
    async def test() -> None:
        queue = make_queue(max_queue=2)
        place = (await ask(queue, "a")).result()
        waiting = [await ask(queue, "a") for _ in range(2)]
        with pytest.raises(Overloaded) as caught:
            await ask(queue, "a")
        assert caught.value.retry_after_seconds == 1
        other = await ask(queue, "b")
        assert queue.waiting_count == 3
        assert [queue.is_waiting(key) for key in "abc"] == [True, True, False]
        place.leave()
        for task in (waiting[0], other, waiting[1]):
            (await task).leave()
        assert [queue.is_waiting(key) for key in "abc"] == [False, False, False]

    run_virtually(test)


def test_a_turn_that_is_resolved_otherwise_leaves_the_line() -> None:
    async def test() -> None:
        queue = make_queue()
        place = (await ask(queue, "a")).result()
        (await ask(queue, "b")).set_result(None)
        await settle()
        assert (queue.waiting_count, queue.is_waiting("b")) == (0, False)
        place.leave()
        (await ask(queue, "b")).result().leave()

    run_virtually(test)


def test_who_gives_up_takes_no_place_along() -> None:
    async def test() -> None:
        queue = make_queue()
        place = (await ask(queue, "a")).result()
        leaving, staying = await ask(queue, "a"), await ask(queue, "a")
        leaving.cancel()
        place.leave()
        staying.result().leave()
        await settle()
        assert queue.waiting_count == 0

    run_virtually(test)
