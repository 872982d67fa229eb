"""The version that an alias leaves answers until the next one is loaded, if there is room for both."""

import asyncio

from tests.support.cache_bench import CacheBench
from tests.support.serving_models import make_version
from tests.support.sessions import MIB
from tests.support.virtual_time import run_virtually, settle

OLD, NEW, IDLE = (
    make_version(name, number, memory_bytes=MIB) for name, number in (("iris", 1), ("iris", 2), ("other", 1))
)


async def succeed(bench: CacheBench) -> "asyncio.Task[None]":
    task = asyncio.ensure_future(bench.cache.succeed(OLD, NEW, bench.loop.time() + 60))
    await settle()
    return task


def test_what_is_idle_makes_room_and_not_the_version_that_answers() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=2 * MIB)
        for version in (OLD, IDLE):
            (await bench.load(version)).release()
        await asyncio.sleep(10)
        (await bench.ask(IDLE)).result().release()  # used last, and more often
        (await bench.ask(IDLE)).result().release()
        succession = await succeed(bench)
        while not succession.done():
            assert bench.cache.is_resident(OLD)
            await bench.executor.step()
        assert bench.cache.resident() == ("iris:1", "iris:2")

    run_virtually(test)


def test_where_both_do_not_fit_nothing_is_loaded_and_nothing_waited_for() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        (await bench.load(OLD)).release()
        assert (await succeed(bench)).done()
        assert bench.cache.resident() == ("iris:1",)

    run_virtually(test)


def test_nothing_is_loaded_beside_what_is_not_loaded() -> None:
    async def test() -> None:
        bench = CacheBench()
        assert (await succeed(bench)).done()
        assert bench.cache.resident() == ()

    run_virtually(test)


def test_when_its_successor_is_there_it_makes_room_like_any_other() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=2 * MIB)
        (await bench.load(OLD)).release()
        succession = await succeed(bench)
        while not succession.done():
            await bench.executor.step()
        await asyncio.sleep(10)
        (await bench.load(IDLE)).release()
        assert len(bench.cache.resident()) == 2

    run_virtually(test)


def test_a_successor_that_is_given_up_leaves_no_trace() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=2 * MIB)
        for version in (OLD, IDLE):
            (await bench.load(version)).release()
        await asyncio.sleep(10)
        succession = await succeed(bench)
        succession.cancel()
        await settle()
        while bench.executor.pending:
            await bench.executor.step()
        await asyncio.sleep(10)
        (await bench.load(IDLE)).release()
        assert "other:1" in bench.cache.resident()

    run_virtually(test)
