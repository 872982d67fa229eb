"""Threads that are there before there is work for them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from gateway.executors import Opened, start_threads


def test_an_executor_has_all_its_threads_before_it_has_work() -> None:
    with ThreadPoolExecutor(3, thread_name_prefix="ahead") as executor:
        start_threads(executor, 3)
        assert sum(thread.name.startswith("ahead") for thread in threading.enumerate()) == 3
        assert executor.submit(int, "7").result(30) == 7


def test_what_has_been_opened_starts_the_threads_of_all_its_pools() -> None:
    async def body() -> list[str]:
        async with Opened() as opened:
            opened.executor(2, "one")
            opened.executor(1, "other", niceness=4)
            opened.start_threads()
            return sorted(
                name for thread in threading.enumerate() if (name := thread.name).startswith(("one", "other"))
            )

    assert asyncio.run(body()) == ["one_0", "one_1", "other_0"]


def test_an_executor_that_gets_no_threads_is_left_as_it_is() -> None:
    executor = ThreadPoolExecutor(3)
    executor.shutdown()
    start_threads(executor, 3)
