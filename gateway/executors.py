"""The threads that wait for others, in pools that end with whoever has opened them.

1. A pool starts a thread when all that it has are busy. Whoever comes then waits for that, on a busy machine for long,
   and a moment that is rare makes the process larger for good. So a worker starts all of them before it serves.
2. A command starts a thread when it needs one.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from threading import Barrier
from typing import Final

from gateway.serving.priorities import give_way

_STARTING_SECONDS: Final = 5.0


class Opened(AsyncExitStack):
    """What has been opened, pools of threads among it."""

    def __init__(self) -> None:
        super().__init__()
        self._pools: list[tuple[ThreadPoolExecutor, int]] = []

    def executor(self, threads: int, name: str, *, niceness: int = 0) -> ThreadPoolExecutor:
        """Open a pool of at most so many threads, which give way so much."""
        begin = partial(give_way, niceness) if niceness else None
        pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=begin)
        self.callback(pool.shutdown, wait=True, cancel_futures=True)
        self._pools.append((pool, threads))
        return pool

    def start_threads(self) -> None:
        """Have every pool start its threads now."""
        for pool, threads in self._pools:
            start_threads(pool, threads)


def start_threads(executor: ThreadPoolExecutor, count: int) -> None:
    """Have an executor start its threads now.

    Args:
        executor: without threads yet.
        count: how many it may have.
    """
    all_here = Barrier(count, timeout=_STARTING_SECONDS)  # one that cannot be started must hold up nobody for good
    try:
        for _ in range(count):
            executor.submit(all_here.wait)
    except RuntimeError:  # the system has no more for us: those that there are do the work
        all_here.abort()
