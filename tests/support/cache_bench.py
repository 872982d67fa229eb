"""A session cache with everything around it under control."""

import asyncio

from gateway.serving.session_cache import Lease, SessionCache
from registry.records import Version
from tests.support.sessions import MIB, Loader, PlainSession
from tests.support.virtual_time import SteppedExecutor, settle


class CacheBench:
    """A cache with room for two small models, and everything around it under control."""

    def __init__(self, *, budget_bytes: int = 2 * MIB, max_queue: int = 8) -> None:
        self.loop = asyncio.get_running_loop()
        self.loader = Loader()
        self.executor = SteppedExecutor()
        self.freed = 0
        self.cache: SessionCache[PlainSession] = SessionCache(
            budget_bytes=budget_bytes,
            load=self.loader,
            executor=self.executor,
            max_queue=max_queue,
            clock=self.loop.time,
            expect=self.loader.expect,
            freed=self._count_freed,
        )

    def _count_freed(self) -> None:
        self.freed += 1

    async def ask(self, version: Version, *, seconds: float = 30) -> asyncio.Task[Lease[PlainSession]]:
        task = asyncio.ensure_future(self.cache.acquire(version, self.loop.time() + seconds))
        await settle()
        return task

    async def load(self, version: Version) -> Lease[PlainSession]:
        task = await self.ask(version)
        while not task.done():
            await self.executor.step()
        return task.result()
