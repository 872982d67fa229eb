"""Whether a worker takes the memory that its sessions account for, and no more.

1. What a worker should take is what it took before it had a session, and its sessions as the cache counts them. What it
   takes is its anonymous memory; pages of mapped files can be had again and belong to nobody.
2. What it has freed goes back to the system, where it takes noticeably more than when that was last done: large bodies
   and answers come and go, and the allocator keeps their pages, in each worker.
3. Where it takes more than it should by the margin even then, three times in a row, something is not given back: an
   allocator's arena that a large request has stretched, a leak.
4. Then the worker asks to be replaced. It goes on as before until somebody does that, and goes on asking.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

_PATIENCE = 3
_NOTICEABLE_BYTES = 4 * 1024 * 1024


class MemoryGuard:
    """One worker's looks at its own memory; belongs to one event loop.

    Args:
        accounted: what the sessions take, as the cache counts them.
        measure: what the process takes; called in ``executor``.
        give_back: returns free memory to the system; called in ``executor``.
        ask: asks to be replaced.
        margin_bytes: rule 3.
        executor: one thread.
        seconds: between two looks.
    """

    def __init__(
        self,
        *,
        accounted: Callable[[], int],
        measure: Callable[[], int],
        give_back: Callable[[], None],
        ask: Callable[[], None],
        margin_bytes: int,
        executor: Executor,
        seconds: float = 5.0,
    ) -> None:
        self.excess_bytes = 0
        """What the worker took beyond rule 1 at the last look; below zero if sessions take less than they count for."""
        self._accounted = accounted
        self._measure = measure
        self._give_back = give_back
        self._ask = ask
        self._margin_bytes = margin_bytes
        self._executor = executor
        self._seconds = seconds
        self._own_bytes = 0
        self._trimmed_bytes = 0
        """What the process took when its free memory had last gone back, or less since."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; to be called when no session is loaded."""
        self._own_bytes = self._trimmed_bytes = self._measure()
        self._task = asyncio.get_running_loop().create_task(self._keep_looking())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_looking(self) -> None:
        times = 0
        while True:
            await asyncio.sleep(self._seconds)
            times = times + 1 if await self._takes_too_much() else 0
            if times >= _PATIENCE:
                structlog.get_logger().warning(
                    "too_much_memory", accounted_bytes=self._accounted(), excess_bytes=self.excess_bytes
                )
                self._ask()

    async def _takes_too_much(self) -> bool:
        taken_bytes = await self._measured()
        if taken_bytes > self._trimmed_bytes + _NOTICEABLE_BYTES:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._give_back)
            taken_bytes = self._trimmed_bytes = await self._measured()
        self._trimmed_bytes = min(self._trimmed_bytes, taken_bytes)
        self.excess_bytes = taken_bytes - self._own_bytes - self._accounted()
        return self.excess_bytes > self._margin_bytes

    async def _measured(self) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._measure)
