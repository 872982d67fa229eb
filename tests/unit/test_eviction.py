"""Who goes when room is needed, who stays for a while, and who stays for good."""

import asyncio
import gc
from typing import Any

import pytest

from gateway.serving.cache_entry import Entry
from gateway.serving.eviction import MAX_USES, REMEMBERED, Ranking
from gateway.serving.lifecycle import State
from gateway.serving.session_cache import Stats
from registry.errors import InsufficientMemory
from registry.records import Version
from tests.support.cache_bench import CacheBench
from tests.support.serving_models import make_version
from tests.support.sessions import MIB
from tests.support.virtual_time import run_virtually, settle

A, B, C, D = (make_version(name, memory_bytes=MIB) for name in ("a", "b", "c", "d"))
BIG = make_version("big", memory_bytes=2 * MIB)


async def load(bench: CacheBench, *versions: Version) -> None:
    """Have each loaded and given back, one after another."""
    for version in versions:
        (await bench.load(version)).release()


async def load_after_stays(bench: CacheBench, *versions: Version) -> None:
    """The same, each when nobody is young any more."""
    for version in versions:
        await asyncio.sleep(2)
        await load(bench, version)


def use(bench: CacheBench, version: Version, times: int) -> None:
    for _ in range(times):
        assert bench.cache.peek(version) is not None


async def work(bench: CacheBench) -> None:
    """Let time pass until there is something to load or to drop."""
    while not bench.executor.pending:  # noqa: ASYNC110  virtual time: nobody else could tell
        await asyncio.sleep(0.01)


def test_what_takes_longer_to_load_again_stays() -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.loader.seconds["a:1"] = 0.2
        await load_after_stays(bench, A, B, C)
        assert bench.cache.resident() == ("a:1", "c:1")

    run_virtually(test)


def test_what_takes_less_memory_stays() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=3 * MIB)
        await load(bench, A, BIG, C)
        assert bench.cache.resident() == ("a:1", "c:1")

    run_virtually(test)


@pytest.mark.parametrize("way", ["peek", "try_acquire"])
def test_what_is_used_more_often_stays(way: str) -> None:
    async def test() -> None:
        bench = CacheBench()
        await load(bench, A, B)
        if way == "peek":
            assert bench.cache.peek(A) is not None
        else:
            lease = bench.cache.try_acquire(A)
            assert lease is not None
            lease.release()
        await load(bench, C)
        assert bench.cache.resident() == ("a:1", "c:1")

    run_virtually(test)


def test_a_scan_of_cold_models_does_not_flush_what_is_in_use() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=8 * MIB)
        hot = [make_version(f"hot-{number}", memory_bytes=MIB) for number in range(5)]
        await load(bench, *hot)
        for version in hot:
            use(bench, version, 20)
        for number in range(1000):
            await load(bench, make_version(f"cold-{number}", memory_bytes=MIB))
            if number % 5 == 0:
                use(bench, hot[number // 5 % 5], 1)
        assert bench.cache.resident()[:5] == tuple(f"hot-{number}:1" for number in range(5))
        assert bench.cache.stats == Stats(hits=300, misses=1005, loads=1005, evictions=997)

    run_virtually(test)


def test_what_was_used_a_thousand_times_and_is_not_any_more_gives_way() -> None:
    async def test() -> None:
        bench = CacheBench()
        await load(bench, A)
        use(bench, A, 1000)
        for number in range(20):
            await load(bench, make_version(f"new-{number}", memory_bytes=MIB))
        assert bench.cache.resident() == ("new-18:1", "new-19:1")

    run_virtually(test)


def test_what_had_bad_luck_is_in_use_again_as_soon_as_it_is_loaded_again() -> None:
    async def test() -> None:
        bench = CacheBench()
        await load(bench, A)
        use(bench, A, 3)
        await load(bench, *(make_version(f"new-{number}", memory_bytes=MIB) for number in range(5)))
        assert bench.cache.resident() == ("new-3:1", "new-4:1")
        await load(bench, A, C, D)
        assert bench.cache.resident() == ("a:1", "d:1")

    run_virtually(test)


def test_uses_are_remembered_of_the_last_that_made_room_and_of_no_more() -> None:
    ranking: Ranking[Any] = Ranking()
    for number in range(REMEMBERED + 1):
        entry = make_entry(number)
        entry.uses = 1000
        ranking.remove(entry)
    again = [make_entry(0), make_entry(1), make_entry(REMEMBERED)]
    for entry in again:
        ranking.add(entry)
    assert [entry.uses for entry in again] == [0, MAX_USES * 3 // 4, MAX_USES * 3 // 4]


def make_entry(number: int) -> Entry[Any]:
    return Entry((f"model-{number}", 1), A, MIB)


def test_few_of_those_that_have_gone_are_kept_and_all_that_are_loaded() -> None:
    ranking: Ranking[Any] = Ranking()
    loaded = [make_entry(number) for number in range(50)]
    gone = [make_entry(number) for number in range(50, 1050)]
    for entry in (*loaded[:25], *gone, *loaded[25:]):
        entry.state = State.READY
        ranking.add(entry)
        if entry.key not in {one.key for one in loaded}:
            entry.state = State.CLOSED
    kept = {id(one) for one in gc.get_referents(ranking._heap)}
    assert len(kept) <= 128
    everyone = ranking.choose(50 * MIB, lambda _: True)
    assert {entry.key for entry in everyone} == {entry.key for entry in loaded}


def test_a_session_that_is_loaded_anew_keeps_its_uses() -> None:
    async def test() -> None:
        bench = CacheBench()
        await load(bench, A, B)
        use(bench, A, 3)
        use(bench, B, 1)
        bench.loader.measured["a:1"] = MIB
        bench.cache.renew(A)
        for _ in range(2):
            await bench.executor.step()
        await load(bench, C)
        assert bench.cache.resident() == ("a:1", "c:1")
        assert bench.cache.stats == Stats(hits=4, misses=3, loads=4, prepared_loads=1, evictions=1, renewals=1)

    run_virtually(test)


def test_where_one_makes_room_enough_the_cheaper_ones_stay() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=3 * MIB)
        await load(bench, A, BIG)
        use(bench, BIG, 3)
        await load(bench, make_version("other", memory_bytes=2 * MIB))
        assert bench.cache.resident() == ("a:1", "other:1")

    run_virtually(test)


def test_how_long_a_session_was_loaded_is_counted_when_it_makes_room() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        await load(bench, A)
        await asyncio.sleep(60)
        await load(bench, B)
        assert bench.cache.stats == Stats(misses=2, loads=2, evictions=1, evicted_seconds_total=60.0)

    run_virtually(test)


def test_what_has_just_been_loaded_is_of_use_for_four_times_its_load() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        bench.loader.seconds["a:1"] = 0.1
        await load(bench, A)
        began = bench.loop.time()
        waiting = await bench.ask(B)
        assert bench.cache.resident() == ("a:1",)
        await work(bench)
        assert bench.loop.time() - began == pytest.approx(0.4, abs=0.02)
        for _ in range(2):
            await bench.executor.step()
        assert waiting.result().session.version == B

    run_virtually(test)


def test_no_load_is_so_long_that_others_wait_for_more_than_two_seconds() -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.loader.seconds |= {"a:1": 100.0, "b:1": 100.0}
        await load(bench, A, B)
        began = bench.loop.time()
        await bench.ask(BIG)
        await work(bench)
        assert bench.loop.time() - began == pytest.approx(2, abs=0.02)
        for _ in range(3):
            await bench.executor.step()
        assert bench.cache.resident() == ("big:1",)

    run_virtually(test)


def test_a_young_session_in_use_does_not_keep_another_out_once_it_has_settled() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        bench.loader.seconds["a:1"] = 1.0
        lease = await bench.load(A)
        waiting = await bench.ask(B)
        await asyncio.sleep(1)
        assert bench.cache.resident() == ("a:1",)
        await asyncio.sleep(1.1)
        assert bench.cache.resident() == ()
        lease.release()
        for _ in range(2):
            await bench.executor.step()
        assert waiting.result().session.version == B

    run_virtually(test)


def test_models_that_do_not_fit_together_take_turns_and_nobody_is_left_out() -> None:
    async def test() -> None:
        bench = CacheBench(budget_bytes=MIB)
        versions = [A, B, C, D]
        bench.loader.seconds |= {f"{version.model}:1": 1.0 for version in versions}
        waiting = [await bench.ask(version) for version in versions]
        while not all(task.done() for task in waiting):
            for task in waiting:
                if task.done():
                    task.result().release()
            await settle()
            await (bench.executor.step() if bench.executor.pending else asyncio.sleep(0.1))
        assert [task.result().session.version for task in waiting] == versions

    run_virtually(test)


def test_what_is_pinned_makes_room_for_nobody() -> None:
    async def test() -> None:
        bench = CacheBench()
        await load(bench, A, B)
        use(bench, B, 5)
        bench.cache.pin([A])
        await load(bench, C, D)
        assert bench.cache.resident() == ("a:1", "d:1")
        bench.cache.pin([D])
        await load(bench, C)
        assert bench.cache.resident() == ("d:1", "c:1")

    run_virtually(test)


def test_what_cannot_fit_beside_pinned_models_is_refused_at_once() -> None:
    async def test() -> None:
        bench = CacheBench()
        await load(bench, A)
        bench.cache.pin([A])
        with pytest.raises(InsufficientMemory) as caught:
            await bench.cache.acquire(BIG, bench.loop.time() + 5)
        assert caught.value.retry_after_seconds is None
        assert bench.cache.resident() == ("a:1",)

    run_virtually(test)


def test_who_waits_for_room_gets_it_when_it_is_pinned_no_more() -> None:
    async def test() -> None:
        bench = CacheBench()
        lease = await bench.load(A)
        bench.cache.pin([B])
        await load(bench, B)
        waiting = await bench.ask(C)
        assert bench.cache.resident() == ("a:1", "b:1")
        bench.cache.pin([])
        for _ in range(2):
            await bench.executor.step()
        assert waiting.result().session.version == C
        lease.release()

    run_virtually(test)


def test_what_cannot_fit_beside_a_pin_that_is_being_loaded_is_refused_at_once() -> None:
    async def test() -> None:
        bench = CacheBench()
        bench.cache.pin([A])
        pinning = await bench.ask(A)
        with pytest.raises(InsufficientMemory) as caught:
            await bench.cache.acquire(BIG, bench.loop.time() + 5)
        assert caught.value.retry_after_seconds is None
        await bench.executor.step()
        assert pinning.result().session.version == A

    run_virtually(test)


def test_who_waits_and_cannot_fit_any_more_holds_up_nobody() -> None:
    async def test() -> None:
        bench = CacheBench()
        leases = [await bench.load(A), await bench.load(B)]
        big, small = await bench.ask(BIG), await bench.ask(C)
        bench.cache.pin([A])
        await settle()
        assert isinstance(big.exception(), InsufficientMemory)
        leases[1].release()
        while not small.done():
            await bench.executor.step()
            await asyncio.sleep(0.1)
        assert small.result().session.version == C

    run_virtually(test)
