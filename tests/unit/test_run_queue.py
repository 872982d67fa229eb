import asyncio

import pytest

from gateway.serving.run_queue import Place, RunQueue
from registry.errors import DeadlinePassed, Overloaded
from tests.support.virtual_time import run_virtually, settle


def make_queue(*, places: int = 1, spare: int = 0, max_queue: int = 8) -> RunQueue:
    clock = asyncio.get_running_loop().time
    return RunQueue(places=places, spare=spare, max_queue=max_queue, clock=clock)


async def ask(queue: RunQueue, key: str, *, seconds: float = 60) -> asyncio.Task[Place | None]:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(queue.enter(key, loop.time() + seconds, loop.create_future()))
    await settle()
    return task


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
            await (await ask(queue, "a", seconds=1))
        assert caught.value.retry_after_seconds == 1
        other = await ask(queue, "b")
        assert queue.waiting_count == 3
        assert [queue.is_waiting(key) for key in "abc"] == [True, True, False]
        place.leave()
        for task in (waiting[0], other, waiting[1]):
            (await task).leave()
        assert [queue.is_waiting(key) for key in "abc"] == [False, False, False]

    run_virtually(test)


def test_a_turn_that_does_not_come_in_time_is_a_deadline_passed() -> None:
    async def test() -> None:
        queue = make_queue()
        place = (await ask(queue, "a")).result()
        with pytest.raises(DeadlinePassed):
            await (await ask(queue, "b", seconds=3))
        assert queue.waiting_count == 0
        place.leave()
        place = await (await ask(queue, "b", seconds=3))
        assert place is not None
        place.leave()

    run_virtually(test)


@pytest.mark.parametrize("when", ["while waiting", "just handed over"])
def test_who_leaves_takes_no_place_along(when: str) -> None:
    async def test() -> None:
        queue = make_queue()
        place = (await ask(queue, "a")).result()
        leaving, staying = await ask(queue, "a"), await ask(queue, "a")
        if when == "just handed over":
            place.leave()
            leaving.cancel()
        else:
            leaving.cancel()
            await settle()
            place.leave()
        await settle()
        assert leaving.cancelled()
        staying.result().leave()
        assert queue.waiting_count == 0

    run_virtually(test)
