import asyncio

import pytest

from gateway.serving.session_cache import Stats
from registry.errors import (
    DeadlinePassed,
    InsufficientMemory,
    Overloaded,
)
from tests.support.cache_bench import CacheBench
from tests.support.serving_models import make_version
from tests.support.sessions import MIB
from tests.support.virtual_time import run_virtually, settle

A, B, C = (make_version(name, memory_bytes=MIB) for name in ("a", "b", "c"))
BIG = make_version("big", memory_bytes=2 * MIB)


def test_a_cold_version_is_loaded_once_for_everybody_who_asks() -> None:
    async def test() -> None:
        bench = CacheBench()
        tasks = [await bench.ask(A) for _ in range(5)]
        assert bench.cache.try_acquire(A) is None
        await bench.executor.step()
        sessions = {task.result().session for task in tasks}
        assert len(sessions) == 1
        assert bench.loader.loads == {"a:1": 1}
        assert bench.cache.stats == Stats(misses=5, loads=1)

    run_virtually(test)


def test_a_loaded_version_is_leased_at_once() -> None:
    async def test() -> None:
        bench = CacheBench()
        first = await bench.load(A)
        second = bench.cache.try_acquire(A)
        assert second is not None
        assert second.session is first.session
        assert bench.cache.resident() == ("a:1",)
        assert bench.cache.resident_bytes == MIB
        assert bench.cache.is_resident(A)
        assert bench.cache.stats == Stats(hits=1, misses=1, loads=1)

    run_virtually(test)


def test_a_model_that_fits_only_when_it_is_prepared_is_loaded() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        with pytest.raises(InsufficientMemory):
            await bench.load(BIG)
        bench.loader.measured["big:1"] = MIB // 2
        (await bench.load(BIG)).release()
        assert bench.cache.resident() == ("big:1",)

    run_virtually(test)


def test_a_session_counts_for_what_it_says_that_it_takes() -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.loader.measured["big:1"] = MIB // 2
        (await bench.load(BIG)).release()
        assert bench.cache.resident_bytes == MIB // 2
        (await bench.load(A)).release()
        assert bench.cache.resident() == ("big:1", "a:1")
        (await bench.load(B)).release()
        assert (bench.cache.resident(), bench.cache.resident_bytes) == (("big:1", "b:1"), MIB + MIB // 2)

    run_virtually(test)


def test_an_idle_session_whose_model_has_been_prepared_is_loaded_anew() -> None:
    async def test() -> None:
        bench = CacheBench()
        (await bench.load(A)).release()
        bench.loader.measured["a:1"] = MIB // 2
        bench.cache.renew(A)
        asking = await bench.ask(A)
        while not asking.done():
            await bench.executor.step()
        assert (bench.cache.resident(), bench.cache.resident_bytes) == (("a:1",), MIB // 2)
        bench.cache.renew(A)
        assert bench.loader.loads == {"a:1": 2}

    run_virtually(test)


def test_a_session_that_is_leased_or_absent_is_not_loaded_anew() -> None:
    async def test() -> None:
        bench = CacheBench()
        await bench.load(A)
        for version in (A, B):
            bench.cache.renew(version)
        assert (bench.cache.resident(), bench.loader.loads) == (("a:1",), {"a:1": 1})

    run_virtually(test)


def test_where_a_session_takes_more_than_was_expected_idle_ones_go_for_it() -> None:
    async def test() -> None:
        bench = CacheBench()
        (await bench.load(A)).release()
        loading = await bench.ask(B)
        bench.loader.measured["b:1"] = 2 * MIB
        for _ in range(2):
            await bench.executor.step()
        assert (bench.cache.resident(), bench.cache.resident_bytes) == (("b:1",), 2 * MIB)
        loading.result().release()
        (await bench.load(A)).release()
        assert (bench.cache.resident(), bench.cache.resident_bytes) == (("a:1",), MIB)

    run_virtually(test)


def test_a_session_that_takes_what_was_expected_again_counts_for_that() -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.loader.measured["a:1"] = MIB // 2
        (await bench.load(A)).release()
        del bench.loader.measured["a:1"]
        for version in (BIG, A):
            (await bench.load(version)).release()
        assert (bench.cache.resident(), bench.cache.resident_bytes) == (("a:1",), MIB)

    run_virtually(test)


def test_the_least_recently_used_idle_session_is_dropped_for_another() -> None:
    async def test() -> None:
        bench = CacheBench()
        for version in (A, B):
            (await bench.load(version)).release()
        await bench.cache.preload(A, bench.loop.time() + 1)
        lease = await bench.load(C)
        assert bench.cache.resident() == ("a:1", "c:1")
        assert lease.session.version == C
        assert bench.cache.stats == Stats(hits=1, misses=3, loads=3, evictions=1)

    run_virtually(test)


def test_memory_counts_until_the_session_has_been_dropped() -> None:
    async def test() -> None:
        bench = CacheBench()
        for version in (A, B):
            (await bench.load(version)).release()
        await bench.ask(C)
        assert bench.cache.resident() == ("b:1",)
        assert bench.cache.resident_bytes == 2 * MIB
        assert bench.loader.loads == {"a:1": 1, "b:1": 1}
        await bench.executor.step()
        await bench.executor.step()
        assert bench.loader.loads == {"a:1": 1, "b:1": 1, "c:1": 1}

    run_virtually(test)


def test_each_load_and_each_drop_leaves_memory_that_may_go_back() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        seen = [bench.freed]
        (await bench.load(A)).release()
        seen.append(bench.freed)
        task = await bench.ask(B)
        await bench.executor.step()
        seen.append(bench.freed)
        await bench.executor.step()
        task.result().release()
        assert [*seen, bench.freed] == [0, 1, 2, 3]

    run_virtually(test)


def test_evicting_waits_for_the_last_lease() -> None:
    async def test() -> None:
        bench = CacheBench()
        lease_a, lease_b = await bench.load(A), await bench.load(B)
        second = bench.cache.try_acquire(A)
        assert second is not None
        waiting = await bench.ask(C, seconds=0.2)
        lease_a.release()
        lease_a.release()  # the second time does nothing
        await settle()
        assert not bench.executor.pending
        second.release()
        await bench.executor.step()
        assert second.session.is_closed
        assert not lease_b.session.is_closed
        await bench.executor.step()
        assert waiting.result().session.version == C

    run_virtually(test)


def test_a_load_does_not_block_another_model() -> None:
    async def test() -> None:
        bench = CacheBench()
        lease = await bench.load(A)
        loading = await bench.ask(B)
        assert bench.cache.try_acquire(A) is not None
        assert not loading.done()
        lease.release()
        await bench.executor.step()

    run_virtually(test)


def test_everybody_who_waited_gets_the_session_before_it_can_be_dropped() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        first, second = await bench.ask(A), await bench.ask(A)
        other = await bench.ask(B)
        await bench.executor.step()
        leases = [first.result(), second.result()]
        assert [lease.session.is_closed for lease in leases] == [False, False]
        for lease in leases:
            lease.release()
        await bench.executor.step()
        await bench.executor.step()
        assert other.result().session.version == B

    run_virtually(test)


def test_who_asked_first_gets_room_first_even_if_another_would_fit() -> None:
    async def test() -> None:
        bench = CacheBench()
        lease = await bench.load(A)
        big, small = await bench.ask(BIG, seconds=0.2), await bench.ask(B)
        assert not bench.executor.pending
        lease.release()
        for _ in range(2):
            await bench.executor.step()
        assert big.result().session.version == BIG
        assert not small.done()
        big.result().release()
        for _ in range(2):
            await bench.executor.step()
        assert small.result().session.version == B

    run_virtually(test)


def test_nobody_is_dropped_where_that_would_not_be_enough() -> None:
    async def test() -> None:
        bench = CacheBench()
        await bench.load(A)
        (await bench.load(B)).release()
        big = await bench.ask(BIG, seconds=0.1)
        assert bench.cache.resident() == ("a:1", "b:1")
        await asyncio.wait([big])
        assert isinstance(big.exception(), InsufficientMemory)
        assert bench.cache.resident() == ("a:1", "b:1")

    run_virtually(test)


def test_a_model_that_is_never_idle_cannot_keep_another_out() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        lease = await bench.load(A)
        waiting = await bench.ask(B)
        await asyncio.sleep(0.3)
        assert bench.cache.try_acquire(A) is None
        again = await bench.ask(A)
        assert not lease.session.is_closed
        lease.release()
        for _ in range(2):
            await bench.executor.step()
        waiting.result().release()
        for _ in range(2):
            await bench.executor.step()
        assert again.result().session is not lease.session

    run_virtually(test)


def test_room_that_does_not_come_until_the_deadline_is_insufficient_memory() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        await bench.load(A)
        began = bench.loop.time()
        with pytest.raises(InsufficientMemory) as caught:
            await bench.cache.acquire(B, began + 5)
        assert bench.loop.time() == began + 5
        assert caught.value.retry_after_seconds == 1
        assert bench.loader.loads == {"a:1": 1}

    run_virtually(test)


def test_a_model_larger_than_the_budget_is_refused_at_once_and_drops_nobody() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        (await bench.load(A)).release()
        with pytest.raises(InsufficientMemory) as caught:
            await bench.cache.acquire(BIG, bench.loop.time() + 5)
        assert caught.value.retry_after_seconds is None
        assert bench.cache.resident() == ("a:1",)

    run_virtually(test)


def test_a_load_that_takes_until_the_deadline_goes_on_for_the_others() -> None:
    async def test() -> None:
        bench = CacheBench()
        patient = await bench.ask(A, seconds=60)
        with pytest.raises(DeadlinePassed):
            await bench.cache.acquire(A, bench.loop.time() + 1)
        await bench.executor.step()
        assert patient.result().session.version == A
        patient.result().release()
        lease = await bench.load(B)
        other = await bench.ask(C)
        for _ in range(2):
            await bench.executor.step()
        assert other.result().session.version == C  # the one that gave up held no lease
        assert lease.session.version == B

    run_virtually(test)


@pytest.mark.parametrize("when", ["in line", "while loading", "just handed over"])
def test_a_caller_that_leaves_leaves_no_trace(when: str) -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        if when == "in line":
            lease = await bench.load(B)
            task = await bench.ask(A)
            task.cancel()
            await settle()
            lease.release()
        elif when == "while loading":
            task = await bench.ask(A)
            task.cancel()
            await bench.executor.step()
        else:
            task = await bench.ask(A)
            bench.executor.pending.popleft()()
            while not bench.cache.is_resident(A):  # noqa: ASYNC110  the point is to stop in the very tick
                await asyncio.sleep(0)
            task.cancel()
        await settle()
        assert task.cancelled()
        assert (await bench.load(C)).session.version == C

    run_virtually(test)


def test_the_line_moves_on_when_its_first_leaves() -> None:
    async def test() -> None:
        bench = CacheBench()
        await bench.load(A)
        big, small = await bench.ask(BIG, seconds=0.1), await bench.ask(B)
        await asyncio.wait([big])
        assert isinstance(big.exception(), InsufficientMemory)
        await settle()
        await bench.executor.step()
        assert small.result().session.version == B

    run_virtually(test)


def test_too_many_waiting_for_one_version_is_overload_and_others_are_served() -> None:
    async def test() -> None:
        bench = CacheBench(max_queue=2)
        waiting = [await bench.ask(A) for _ in range(2)]
        with pytest.raises(Overloaded) as caught:
            await bench.cache.acquire(A, bench.loop.time() + 1)
        assert caught.value.retry_after_seconds == 1
        other = await bench.ask(B)
        for _ in range(2):
            await bench.executor.step()
        assert [task.result().session.version for task in (*waiting, other)] == [A, A, B]

    run_virtually(test)


def test_draining_waits_for_leases_and_loads_and_refuses_all_others() -> None:
    async def test() -> None:
        bench = CacheBench()
        lease = await bench.load(A)
        loading, in_line = await bench.ask(B), await bench.ask(C)
        draining = asyncio.ensure_future(bench.cache.drain())
        await settle()
        for task in (loading, in_line):
            assert isinstance(task.exception(), Overloaded)
        for version in (A, C):
            with pytest.raises(Overloaded):
                await bench.cache.acquire(version, bench.loop.time() + 1)
        for _ in range(2):
            await bench.executor.step()
        assert not draining.done()
        lease.release()
        await bench.executor.step()
        assert draining.done()
        assert (bench.cache.resident(), bench.cache.resident_bytes) == ((), 0)
        assert lease.session.is_closed

    run_virtually(test)
