"""Asking the store again and again, whatever it answers."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from gateway.serving.store_watch import StoreWatch
from registry.errors import StorageUnavailable


def test_what_the_store_said_last_is_what_is_known() -> None:
    answers: list[Exception | None] = [None, StorageUnavailable("away"), OSError("odd"), None]

    def ask() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    async def look_four_times() -> list[str | None]:
        with ThreadPoolExecutor(1) as executor:
            watch = StoreWatch(ask, executor=executor)
            found = []
            for _ in range(4):
                await watch.look()
                found.append(None if watch.error is None else watch.error.code)
            return found

    assert asyncio.run(look_four_times()) == [None, "storage_unavailable", "internal_error", None]


def test_a_watch_asks_until_it_is_closed() -> None:
    async def watch_until_asked_thrice() -> None:
        asked = asyncio.Semaphore(0)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as executor:
            watch = StoreWatch(lambda: loop.call_soon_threadsafe(asked.release), executor=executor, seconds=0)
            watch.start()
            for _ in range(3):
                await asked.acquire()
            await watch.close()

    asyncio.run(watch_until_asked_thrice())


def test_silence_is_an_answer_and_its_end_another() -> None:
    answering = threading.Event()

    async def watch_a_silent_store() -> list[str | None]:
        with ThreadPoolExecutor(1) as executor:
            watch = StoreWatch(answering.wait, executor=executor, patience_seconds=0)
            looking = asyncio.create_task(watch.look())
            while watch.error is None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
            silent = watch.error.code
            answering.set()
            await looking
            return [silent, None if watch.error is None else watch.error.code]

    assert asyncio.run(watch_a_silent_store()) == ["storage_unavailable", None]
