"""When the memory that loads and dropped sessions leave behind goes back to the system.

1. The allocator keeps what is freed, in pieces that fit the next session less and less: without trimming, a worker that
   loads and drops small sessions all the time takes three times the memory, and finds room in it ever more slowly.
2. Trimming takes milliseconds in which nobody in the process can allocate. So all that happens within a moment shares
   one, and no first answer waits for it, nor has to ask the system again for pages that its own load has just had.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress


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
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Have it done soon, unless it is going to be done anyway."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        with suppress(RuntimeError):  # the worker is ending
            self._executor.submit(self._give_back)
