"""When the memory that loads and dropped sessions leave behind goes back to the system.

1. The allocator keeps what is freed, in pieces that fit the next session less and less: without trimming, a worker that
   loads and drops small sessions all the time takes three times the memory, and finds room in it ever more slowly.
2. Trimming takes milliseconds, and for some of them who allocates has to wait. So all that happens within a quarter of
   a second shares one.
3. It is no part of a load: the first answer would wait for it, and then ask the system again for the pages that its
   own load has just had.
4. There is at most one at a time, and one to come. What happens meanwhile has that one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

import structlog


class Trimming:
    """Gives free memory back soon after it has been asked to; belongs to one event loop.

    Args:
        give_back: returns free memory to the system; blocks; called in ``executor``.
        executor: one thread.
        seconds: how long after the first of several requests.
    """

    def __init__(self, give_back: Callable[[], None], executor: Executor, seconds: float = 0.25) -> None:
        self._give_back = give_back
        self._executor = executor
        self._seconds = seconds
        self._is_due = False
        self._is_under_way = False

    def ask(self) -> None:
        """Have it done soon, unless it is going to be done anyway."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(self._seconds, self._begin)

    def _begin(self) -> None:
        if self._is_under_way:  # a disk that hangs holds the executor: what is due stays due, once
            asyncio.get_running_loop().call_later(self._seconds, self._begin)
            return
        self._is_due = False
        with suppress(RuntimeError):  # the worker is ending
            future = asyncio.get_running_loop().run_in_executor(self._executor, self._give_back)
            self._is_under_way = True
            future.add_done_callback(self._ended)

    def _ended(self, future: "asyncio.Future[None]") -> None:
        self._is_under_way = False
        if not future.cancelled() and (error := future.exception()) is not None:
            structlog.get_logger().error("memory_not_returned", exc_info=error)
