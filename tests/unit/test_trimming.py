"""When free memory goes back to the system."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from gateway.serving.trimming import Trimming


class Heap:
    """Counts how often it was trimmed, and says when it is."""

    def __init__(self) -> None:
        self.trims = 0
        self._loop = asyncio.get_running_loop()
        self._trimmed = asyncio.Event()

    def give_back(self) -> None:
        self.trims += 1
        self._loop.call_soon_threadsafe(self._trimmed.set)

    async def wait(self) -> None:
        await asyncio.wait_for(self._trimmed.wait(), 30)
        self._trimmed.clear()


def test_all_that_happens_within_a_moment_shares_one_trim() -> None:
    async def act() -> int:
        heap = Heap()
        with ThreadPoolExecutor(1) as executor:
            trimming = Trimming(heap.give_back, executor, seconds=0.05)
            for _ in range(100):
                trimming.ask()
            await heap.wait()
        return heap.trims

    assert asyncio.run(act()) == 1


def test_what_happens_after_a_trim_has_another() -> None:
    async def act() -> int:
        heap = Heap()
        with ThreadPoolExecutor(1) as executor:
            trimming = Trimming(heap.give_back, executor, seconds=0.0)
            for _ in range(3):
                trimming.ask()
                await heap.wait()
        return heap.trims

    assert asyncio.run(act()) == 3


def test_a_worker_that_ends_in_between_trims_no_more() -> None:
    async def act() -> int:
        heap = Heap()
        executor = ThreadPoolExecutor(1)
        trimming = Trimming(heap.give_back, executor, seconds=0.0)
        trimming.ask()
        executor.shutdown()
        ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, ended.set_result, None)
        await ended
        return heap.trims

    assert asyncio.run(act()) == 0
