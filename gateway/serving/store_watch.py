"""Whether the artifact store answers, asked now and then.

1. Nothing waits for this: it is what ``/health/ready`` and the metrics say. Models that are loaded or cached need no
   store; one that is neither learns of the outage itself.
2. A store that does not answer is asked again just as often, so that its return is noticed without a restart.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from registry.errors import InternalError, ServiceError

_SECONDS = 5.0


class StoreWatch:
    """Asks the store; belongs to one event loop.

    Args:
        ask: returns if the store answers, raises StorageUnavailable or InsufficientStorage if not; blocks.
        executor: where it is asked.
        seconds: how long to wait between two questions.
    """

    def __init__(self, ask: Callable[[], object], *, executor: Executor, seconds: float = _SECONDS) -> None:
        self._ask = ask
        self._executor = executor
        self._seconds = seconds
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
        """Ask once, now."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._ask)
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
