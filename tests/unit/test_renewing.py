"""Plain sessions of models that somebody else has prepared."""

import asyncio
from collections.abc import Callable

from gateway.serving.renewing import Renewing
from gateway.serving.session_cache import SessionCache
from registry.records import Version
from tests.support.serving_models import make_version
from tests.support.sessions import MIB, Loader, PlainSession
from tests.support.virtual_time import ImmediateExecutor, run_virtually

A, B = (make_version(name, memory_bytes=MIB) for name in ("a", "b"))


class Bench:
    """A cache that holds two plain sessions, and somebody who looks every five seconds."""

    def __init__(self, is_prepared: Callable[[Version], bool]) -> None:
        self.loader = Loader()
        loop = asyncio.get_running_loop()
        self.cache: SessionCache[PlainSession] = SessionCache(
            budget_bytes=2 * MIB, load=self.loader, executor=ImmediateExecutor(), freed=lambda: None, clock=loop.time
        )
        self.renewing = Renewing(self.cache, is_prepared=is_prepared, executor=ImmediateExecutor())

    async def begin(self) -> None:
        for version in (A, B):
            await self.cache.preload(version, asyncio.get_running_loop().time() + 1)
        self.renewing.start()


def test_what_a_sibling_has_prepared_is_loaded_anew_and_nothing_else() -> None:
    async def test() -> None:
        bench = Bench(lambda version: version == A and "a:1" in bench.loader.measured)
        await bench.begin()
        await asyncio.sleep(60)
        assert bench.loader.loads == {"a:1": 1, "b:1": 1}
        bench.loader.measured["a:1"] = MIB // 2
        await asyncio.sleep(60)
        assert (bench.loader.loads, bench.cache.resident_bytes) == ({"a:1": 2, "b:1": 1}, MIB + MIB // 2)
        await bench.renewing.close()

    run_virtually(test)


def test_what_stays_plain_all_the_same_is_not_loaded_again_and_again() -> None:
    async def test() -> None:
        bench = Bench(lambda version: version == A)
        await bench.begin()
        await asyncio.sleep(300)
        assert bench.loader.loads == {"a:1": 2, "b:1": 1}
        await asyncio.sleep(600)
        assert bench.loader.loads == {"a:1": 3, "b:1": 1}
        await bench.renewing.close()

    run_virtually(test)


def test_a_session_in_use_is_loaded_anew_when_it_is_not() -> None:
    async def test() -> None:
        bench = Bench(lambda version: version == A)
        await bench.begin()
        lease = bench.cache.try_acquire(A)
        assert lease is not None
        await asyncio.sleep(60)
        assert bench.loader.loads == {"a:1": 1, "b:1": 1}
        lease.release()
        await asyncio.sleep(6)
        assert bench.loader.loads == {"a:1": 2, "b:1": 1}
        await bench.renewing.close()

    run_virtually(test)
