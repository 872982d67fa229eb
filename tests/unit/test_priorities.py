"""Threads that give way, whatever way the gateway gives already."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from gateway.serving.priorities import give_way


def niceness_after(*steps: int) -> int:
    """The niceness of a thread that has given way by these."""

    def work() -> int:
        for step in steps:
            give_way(step)
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_a_thread_gives_way_and_never_takes_that_back() -> None:
    assert [niceness_after(4), niceness_after(4, 10), niceness_after(10, 4)] == [4, 10, 10]
