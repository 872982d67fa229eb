"""A shadow that fails, a registry that does not answer, a worker that ends."""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gateway.serving.runtime import Array
from gateway.serving.shadowing import ShadowStats
from registry.errors import DeadlinePassed, LoadFailed, RunFailed, ServiceError
from registry.records import Trial
from registry.shadow import ShadowReport
from tests.support.serving_models import make_version
from tests.support.sessions import MIB
from tests.support.shadow_scene import OTHER, Feed, Scene, alike, double, feed_of, trial_of
from tests.support.virtual_time import SteppedExecutor, run_virtually, settle

# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_shadow_that_does_not_load_is_counted_by_its_code_and_what_answers_stays_as_it_is() -> None:
    async def test() -> None:
        scene = Scene()
        live = make_version("iris", 1)
        lease = await scene.cache.acquire(live, scene.clock() + 1)
        scene.loader.errors["iris:2"] = LoadFailed("broken")
        scene.shadowing.start()
        tap = scene.tap()
        scene.offer(tap, 1.0)
        scene.offer(tap, 2.0)
        await asyncio.sleep(3)
        await scene.shadowing.close()
        assert scene.written() == ShadowReport(failures={"model_load_failed": 2})
        assert scene.shadowing.stats == ShadowStats(failed=2)
        assert (scene.cache.resident(), lease.session.is_closed) == (("iris:1",), False)

    run_virtually(test)


def test_a_shadow_drops_nobody_to_be_loaded_even_if_nobody_is_at_work() -> None:
    async def test() -> None:
        scene = Scene()
        live = make_version("iris", 1, memory_bytes=2 * MIB)
        (await scene.cache.acquire(live, scene.clock() + 1)).release()
        await asyncio.sleep(10)
        scene.shadowing.start()
        scene.offer(scene.tap(), 1.0)
        await asyncio.sleep(3)
        await scene.shadowing.close()
        assert scene.written() == ShadowReport(skipped=1)
        assert scene.cache.resident() == ("iris:1",)

    run_virtually(test)


def test_a_shadow_that_fails_holds_up_no_other_and_is_tried_again_a_second_later() -> None:
    async def test() -> None:
        scene = Scene()
        scene.loader.errors["digits:2"] = LoadFailed("broken")
        scene.shadowing.start()
        other = scene.tap(OTHER)
        scene.offer(other, 1.0)
        scene.offer(scene.tap(), 2.0)
        await asyncio.sleep(0.1)
        assert len(scene.asked) == 1
        del scene.loader.errors["digits:2"]
        scene.offer(other, 3.0)
        await asyncio.sleep(0.5)
        assert len(scene.asked) == 1
        await asyncio.sleep(1)
        assert len(scene.asked) == 2
        await scene.shadowing.close()

    run_virtually(test)


def test_a_run_that_cannot_be_stopped_is_left_to_itself() -> None:
    async def test() -> None:
        running = SteppedExecutor()
        async with Scene(running=running) as scene:
            tap = scene.tap()
            scene.offer(tap, 1.0)
            await asyncio.sleep(12)
            scene.offer(tap, 2.0)
            other = scene.tap(OTHER)
            scene.offer(other, 3.0)
            await settle()
            assert len(running.pending) == 2  # the one that is stuck, and the other shadow's
            running.pending.popleft()
            await running.step()
        assert scene.written() == ShadowReport(skipped=1, failures={"predict_timeout": 1})
        assert scene.written("digits").compared == 1

    run_virtually(test)


def test_copies_are_thrown_away_after_half_a_minute() -> None:
    async def test() -> None:
        scene = Scene()
        scene.offer(scene.tap(), 1.0)
        await asyncio.sleep(31)
        scene.shadowing.start()
        await asyncio.sleep(1)
        await scene.shadowing.close()
        assert (scene.asked, scene.written()) == ([], ShadowReport(skipped=1))

    run_virtually(test)


@pytest.mark.parametrize(
    ("error", "code"),
    [(RunFailed("not with these inputs"), "model_execution_failed"), (DeadlinePassed("stopped"), "predict_timeout")],
    ids=["refused", "stopped"],
)
def test_a_run_that_fails_is_counted_by_its_code_and_the_next_one_is_compared(error: ServiceError, code: str) -> None:
    def answer(feed: Feed) -> Mapping[str, Array]:
        if feed["x"][0] == 1.0:
            raise error
        return double(feed)

    async def test() -> None:
        scene = Scene()
        scene.answer = answer
        scene.shadowing.start()
        tap = scene.tap()
        for value in (1.0, 2.0):
            scene.offer(tap, value)
        await asyncio.sleep(1)
        await scene.shadowing.close()
        assert scene.written() == alike(1).plus(ShadowReport(failures={code: 1}))
        assert scene.shadowing.stats == ShadowStats(compared=1, failed=1)

    run_virtually(test)


def test_a_bug_in_one_run_is_counted_and_costs_no_other() -> None:
    def answer(feed: Feed) -> Mapping[str, Array]:
        if feed["x"][0] == 2.0:
            raise ZeroDivisionError
        return double(feed)

    async def test() -> None:
        scene = Scene()
        scene.answer = answer
        tap = scene.tap()
        for value in (1.0, 2.0, 3.0, 4.0):
            scene.offer(tap, value)
        scene.shadowing.start()
        await asyncio.sleep(5)
        await scene.shadowing.close()
        assert scene.written() == alike(3).plus(ShadowReport(failures={"internal_error": 1}))

    run_virtually(test)


# --- writing down -----------------------------------------------------------------------------------------------------


def test_what_is_found_is_written_every_two_seconds_and_nothing_where_nothing_is_found() -> None:
    async def test() -> None:
        async with Scene() as scene:
            tap = scene.tap()
            for _ in range(3):
                scene.offer(tap, 1.0)
            await asyncio.sleep(1.9)
            assert scene.registry.shadow_reports == []
            await asyncio.sleep(0.2)
            assert scene.registry.shadow_reports == [(trial_of(), alike(3))]
            await asyncio.sleep(60)
            assert (len(scene.registry.shadow_reports), scene.registry.visits) == (1, 1)

    run_virtually(test)


def test_reports_outlive_a_registry_that_does_not_answer() -> None:
    async def test() -> None:
        scene = Scene()
        scene.registry.is_down = True
        scene.shadowing.start()
        tap = scene.tap()
        for _ in range(3):
            scene.offer(tap, 1.0)
            await asyncio.sleep(2.5)
        assert scene.registry.shadow_reports == []
        scene.registry.is_down = False
        await asyncio.sleep(2)
        assert scene.registry.shadow_reports == [(trial_of(), alike(3))]
        await scene.shadowing.close()

    run_virtually(test)


def test_one_report_that_cannot_be_written_holds_up_no_other() -> None:
    async def test() -> None:
        scene = Scene()
        write = scene.registry.add_shadow_report

        def refuse(trial: Trial, report: ShadowReport) -> None:
            if trial.model == "iris":
                raise KeyError(trial)
            write(trial, report)

        scene.registry.add_shadow_report = refuse
        scene.shadowing.start()
        scene.offer(scene.tap(), 1.0)
        scene.tap(OTHER).offer(feed_of(1.0), ("label",), [np.ones(1, np.int64)])
        await asyncio.sleep(2.5)
        assert [trial.model for trial, _ in scene.registry.shadow_reports] == ["digits"]
        scene.registry.add_shadow_report = write
        await scene.shadowing.close()
        assert scene.written() == alike(1)

    run_virtually(test)


def test_closing_writes_down_what_has_been_found_and_compares_no_more() -> None:
    async def test() -> None:
        running = SteppedExecutor()
        async with Scene(running=running) as scene:
            tap = scene.tap()
            scene.offer(tap, 1.0)
            await settle()
            await running.step()
            scene.offer(tap, 2.0)
        scene.offer(tap, 3.0)
        assert scene.registry.shadow_reports == [(trial_of(), alike(1))]
        assert len(asyncio.all_tasks()) == 1

    run_virtually(test)


def test_what_is_skipped_while_a_report_is_written_is_written_when_all_is_closed() -> None:
    async def test() -> None:
        writing = SteppedExecutor()
        scene = Scene(writing=writing)
        scene.shadowing.start()
        tap = scene.tap()
        scene.offer(tap, 1.0)
        await asyncio.sleep(2.1)
        scene.shadowing.skip(tap, 5)
        closing = asyncio.ensure_future(scene.shadowing.close())
        await settle()
        while not closing.done():
            await writing.step()
        assert scene.written() == alike(1).plus(ShadowReport(skipped=5))

    run_virtually(test)


def test_what_was_never_begun_can_be_closed() -> None:
    async def test() -> None:
        scene = Scene()
        await scene.shadowing.close()
        assert scene.registry.visits == 0

    run_virtually(test)


def test_closing_stops_the_run_that_is_under_way() -> None:
    begun, never = threading.Event(), threading.Event()

    async def test() -> None:
        with ThreadPoolExecutor(1) as running:
            scene = Scene(running=running)
            stopped: list[bool] = []

            def answer(feed: Feed) -> Mapping[str, Array]:
                begun.set()
                for _ in range(10_000):
                    if scene.cancellations[-1].is_cancelled:
                        break
                    never.wait(0.001)
                stopped.append(scene.cancellations[-1].is_cancelled)
                return double(feed)

            scene.answer = answer
            scene.shadowing.start()
            scene.offer(scene.tap(), 1.0)
            await asyncio.to_thread(begun.wait)
            await scene.shadowing.close()
        assert stopped == [True]

    asyncio.run(test())
