"""When free memory goes back to the system."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from structlog.testing import capture_logs

from gateway.serving.trimming import Trimming
from tests.support.virtual_time import settle


class Heap:
    """Counts how often it was trimmed, and says when it is."""

    def __init__(self) -> None:
        self.trims = 0
        self._loop = asyncio.get_running_loop()
        self._trimmed = asyncio.Semaphore(0)

    def give_back(self) -> None:
        self.trims += 1
        self._loop.call_soon_threadsafe(self._trimmed.release)

    async def wait(self) -> None:
        await asyncio.wait_for(self._trimmed.acquire(), 30)


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


def test_what_happens_during_a_trim_has_one_more_however_much_it_is() -> None:
    async def act() -> int:
        heap = Heap()
        with ThreadPoolExecutor(1) as executor:
            hold = threading.Event()
            executor.submit(hold.wait)  # a disk that hangs
            trimming = Trimming(heap.give_back, executor, seconds=0.0)
            for _ in range(20):
                trimming.ask()
                await settle()
            hold.set()
            await heap.wait()
            await heap.wait()
        return heap.trims

    assert asyncio.run(act()) == 2


def test_a_trim_that_fails_is_logged_and_another_is_made() -> None:
    async def act() -> int:
        heap = Heap()
        failures = [MemoryError("none left")]

        def give_back() -> None:
            heap.give_back()
            if failures:
                raise failures.pop()

        with ThreadPoolExecutor(1) as executor:
            trimming = Trimming(give_back, executor, seconds=0.0)
            for _ in range(2):
                trimming.ask()
                await heap.wait()
        return heap.trims

    with capture_logs() as logs:
        assert asyncio.run(act()) == 2
    assert [line["event"] for line in logs] == ["memory_not_returned"]


def test_a_worker_that_ends_in_between_hears_nothing_of_it() -> None:
    async def act() -> list[dict[str, object]]:
        troubles: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: troubles.append(context))
        executor = ThreadPoolExecutor(1)
        Trimming(Heap().give_back, executor, seconds=0.0).ask()
        executor.shutdown()
        await settle()
        return troubles

    assert asyncio.run(act()) == []
