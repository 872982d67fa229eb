"""Threads that are there before there is work for them."""

import threading
from concurrent.futures import ThreadPoolExecutor

from gateway.engine import start_threads


def test_an_executor_has_all_its_threads_before_it_has_work() -> None:
    with ThreadPoolExecutor(3, thread_name_prefix="ahead") as executor:
        start_threads(executor, 3)
        assert sum(thread.name.startswith("ahead") for thread in threading.enumerate()) == 3
        assert executor.submit(int, "7").result(30) == 7


def test_an_executor_that_gets_no_threads_is_left_as_it_is() -> None:
    executor = ThreadPoolExecutor(3)
    executor.shutdown()
    start_threads(executor, 3)
