"""Whether the artifact store answers, asked now and then.

1. It is what ``/health/ready`` and the metrics say. Models that are loaded or cached need no store. One that is neither
   is told so at once, instead of keeping a thread busy for as long as a silent store can.
2. A store that does not answer is asked again just as often, so that its return is noticed without a restart.
3. Silence is an answer after a few seconds; the question that got none is waited for before the next one is asked.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from registry.errors import InternalError, ServiceError, StorageUnavailable

_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0


class StoreWatch:
    """Asks the store; belongs to one event loop.

    Args:
        ask: returns if the store answers, raises StorageUnavailable or InsufficientStorage if not; blocks.
        executor: where it is asked.
        seconds: how long to wait between two questions.
        patience_seconds: rule 3.
    """

    def __init__(
        self,
        ask: Callable[[], object],
        *,
        executor: Executor,
        seconds: float = _SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._ask = ask
        self._executor = executor
        self._seconds = seconds
        self._patience_seconds = patience_seconds
        self._task: asyncio.Task[None] | None = None
        self.error: ServiceError | None = None
        """Why the store did not answer when it was last asked; None if it did."""

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Ask once, now, and return when the answer is known."""
        asking = asyncio.get_running_loop().run_in_executor(self._executor, self._ask)
        await asyncio.wait((asking,), timeout=self._patience_seconds)
        if not asking.done():
            self.error = StorageUnavailable("the artifact store does not answer", retry_after_seconds=5)
        try:
            await asking
        except ServiceError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a watch that ends would say the same for ever
            self.error = InternalError(f"asking the store failed: {type(error).__name__}")
        else:
            self.error = None

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._seconds)
