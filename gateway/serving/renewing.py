"""Having sessions loaded anew whose models a sibling has prepared.

1. A model is prepared by one worker of the host, which then loads it anew. The others look every few seconds whether
   what they have loaded plainly is prepared by now. The look is at the disk, so in a thread.
2. A session that could not be had prepared after all (a damaged folder that cannot be removed) is left as it is for
   long: it must not be loaded again and again.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from gateway.serving.cache_entry import Key, key_of
from gateway.serving.session_cache import SessionCache
from registry.records import Version

_AGAIN_SECONDS = 600.0


class Renewing:
    """One worker's looks; belongs to one event loop.

    Args:
        cache: whose plain sessions are looked at.
        is_prepared: tells whether a version could be loaded prepared; blocks; never raises.
        executor: where it is called.
        seconds: between two looks.
    """

    def __init__(
        self,
        cache: SessionCache[Any],
        *,
        is_prepared: Callable[[Version], bool],
        executor: Executor,
        seconds: float = 5.0,
    ) -> None:
        self._cache = cache
        self._is_prepared = is_prepared
        self._executor = executor
        self._seconds = seconds
        self._renewed: dict[Key, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._keep_looking())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._seconds)
            plain = self._cache.plain()
            self._renewed = {key: until for key, until in self._renewed.items() if until > loop.time()}
            for version in await loop.run_in_executor(self._executor, self._find, plain):
                if key_of(version) not in self._renewed and self._cache.renew(version):
                    self._renewed[key_of(version)] = loop.time() + _AGAIN_SECONDS

    def _find(self, plain: Sequence[Version]) -> list[Version]:
        return [version for version in plain if self._is_prepared(version)]
