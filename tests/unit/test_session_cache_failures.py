import asyncio

import pytest

from gateway.serving.session_cache import Stats
from registry.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    InvalidRequest,
    LoadFailed,
    ServiceError,
    StorageUnavailable,
)
from tests.support.cache_bench import CacheBench
from tests.support.serving_models import make_version
from tests.support.sessions import MIB
from tests.support.virtual_time import run_virtually

A, B = (make_version(name, memory_bytes=MIB) for name in ("a", "b"))


def test_a_failed_load_is_remembered_with_a_growing_back_off() -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.loader.errors["a:1"] = LoadFailed("no")
        seen = []
        for _ in range(11):
            first, second = await bench.ask(A), await bench.ask(A)
            await bench.executor.step()
            assert {type(first.exception()), type(second.exception())} == {LoadFailed}
            assert first.exception() is not second.exception()
            with pytest.raises(LoadFailed) as caught:
                await bench.cache.acquire(A, bench.loop.time() + 1)
            assert caught.value.retry_after_seconds is not None
            seen.append(caught.value.retry_after_seconds)
            await asyncio.sleep(caught.value.retry_after_seconds)
        assert seen == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
        assert bench.loader.loads == {"a:1": 11}
        assert bench.cache.resident_bytes == 0
        assert bench.cache.stats == Stats(misses=33, load_failures=11)

    run_virtually(test)


def test_a_load_that_succeeds_forgets_the_failures() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        bench.loader.errors["a:1"] = LoadFailed("no")
        for pause_seconds in (1, 2):
            task = await bench.ask(A)
            await bench.executor.step()
            assert isinstance(task.exception(), LoadFailed)
            await asyncio.sleep(pause_seconds)
        del bench.loader.errors["a:1"]
        (await bench.load(A)).release()
        (await bench.load(B)).release()
        bench.loader.errors["a:1"] = LoadFailed("no")
        task = await bench.ask(A)
        await bench.executor.step()
        await bench.executor.step()
        error = task.exception()
        assert isinstance(error, LoadFailed)
        assert error.retry_after_seconds == 1

    run_virtually(test)


@pytest.mark.parametrize("kind", [ArtifactMissing, ArtifactCorrupt, StorageUnavailable])
def test_the_stores_own_errors_pass_through_and_are_remembered_briefly(kind: type[ServiceError]) -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.loader.errors["a:1"] = kind("what happened")
        for _ in range(3):
            task = await bench.ask(A)
            await bench.executor.step()
            error = task.exception()
            assert type(error) is kind
            with pytest.raises(kind) as caught:
                await bench.cache.acquire(A, bench.loop.time() + 1)
            assert (caught.value.detail, caught.value.retry_after_seconds) == ("what happened", 1)
            await asyncio.sleep(1)
        assert bench.loader.loads == {"a:1": 3}

    run_virtually(test)


@pytest.mark.parametrize("error", [KeyError("odd"), InvalidRequest("odd")], ids=lambda error: type(error).__name__)
def test_any_other_error_of_the_loader_is_a_failed_load_with_its_cause(error: Exception) -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.loader.errors["a:1"] = error
        task = await bench.ask(A)
        await bench.executor.step()
        answer = task.exception()
        assert type(answer) is LoadFailed
        assert answer.__cause__ is error

    run_virtually(test)
