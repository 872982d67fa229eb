"""Copies of live requests, run by a version that answers nobody, and what is written down of them."""

import asyncio

import numpy as np
import pytest

from gateway.serving.shadowing import ShadowStats
from registry.shadow import OutputDifference, ShadowReport
from tests.support.sessions import MIB
from tests.support.shadow_scene import OTHER, Scene, alike, double, feed_of, trial_of
from tests.support.virtual_time import SteppedExecutor, run_virtually, settle

# --- comparing --------------------------------------------------------------------------------------------------------


def test_what_is_offered_is_run_by_the_shadow_compared_and_written_down() -> None:
    async def test() -> None:
        scene = Scene()
        scene.answer = lambda feed: {"label": feed["x"].astype(np.int64) + 1, "scores": 2 * feed["x"] + 0.5}
        scene.shadowing.start()
        scene.offer(scene.tap(), 1.0, 2.0)
        await asyncio.sleep(2.5)
        assert scene.asked == [(("label", "scores"), {"x": [1.0, 2.0]})]
        assert scene.registry.shadow_reports == [
            (
                trial_of(),
                ShadowReport(
                    compared=1,
                    outputs={
                        "label": OutputDifference(compared=1, rows=2, changed=2),
                        "scores": OutputDifference(compared=1, largest=0.5, total=1.0, pairs=2),
                    },
                ),
            )
        ]
        assert scene.shadowing.stats == ShadowStats(compared=1)
        await scene.shadowing.close()

    run_virtually(test)


def test_the_copy_is_compared_whatever_becomes_of_the_arrays() -> None:
    async def test() -> None:
        scene = Scene()
        feed = feed_of(1.0)
        arrays = list(double(feed).values())
        scene.tap().offer(feed, None, arrays)
        for array in (feed["x"], *arrays):
            array.fill(77)
        scene.shadowing.start()
        await asyncio.sleep(1)
        await scene.shadowing.close()
        assert scene.written() == alike(1)

    run_virtually(test)


def test_only_the_outputs_that_were_asked_for_are_compared() -> None:
    async def test() -> None:
        async with Scene() as scene:
            feed = feed_of(1.0)
            scene.tap().offer(feed, ("scores",), [double(feed)["scores"]])
            await asyncio.sleep(1)
        assert scene.asked == [(("scores",), {"x": [1.0]})]
        assert scene.written() == ShadowReport(
            compared=1, outputs={"scores": OutputDifference(compared=1, same=1, pairs=1)}
        )

    run_virtually(test)


def test_an_output_that_the_shadow_has_not_is_incomparable() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.offer(scene.tap(OTHER), 1.0)
            await asyncio.sleep(1)
        assert scene.asked == [(("label",), {"x": [1.0]})]
        assert scene.written("digits") == ShadowReport(
            compared=1,
            outputs={
                "label": OutputDifference(compared=1, same=1, rows=1),
                "scores": OutputDifference(compared=1, incomparable=1),
            },
        )

    run_virtually(test)


def test_a_shadow_without_any_of_the_outputs_is_not_run() -> None:
    async def test() -> None:
        async with Scene() as scene:
            feed = feed_of(1.0)
            scene.tap(OTHER).offer(feed, ("scores",), [double(feed)["scores"]])
            await asyncio.sleep(1)
        assert scene.asked == []
        assert scene.written("digits") == ShadowReport(
            compared=1, outputs={"scores": OutputDifference(compared=1, incomparable=1)}
        )

    run_virtually(test)


def test_trials_are_told_apart() -> None:
    async def test() -> None:
        async with Scene() as scene:
            taps = [scene.tap(), scene.tap(alias="blue"), scene.tap(trial=4)]
            for tap in (*taps, taps[0]):
                scene.offer(tap, 1.0)
            await asyncio.sleep(1)
        found = [scene.written(), scene.written(alias="blue"), scene.written(trial=4)]
        assert found == [alike(2), alike(1), alike(1)]

    run_virtually(test)


def test_of_no_share_nothing_is_copied() -> None:
    async def test() -> None:
        async with Scene() as scene:
            tap = scene.tap(share=0.0)
            scene.offer(tap, 1.0)
            feed = feed_of(1.0, 2.0)
            tap.offer_rows(feed, (1, 1), None, list(double(feed).values()))
            await asyncio.sleep(3)
        assert (scene.asked, scene.registry.shadow_reports) == ([], [])

    run_virtually(test)


def test_a_session_is_given_back_after_each_slice() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.offer(scene.tap(), 1.0)
            await asyncio.sleep(1)
        await asyncio.wait_for(scene.cache.drain(), 1)
        assert (scene.cache.resident_bytes, scene.loader.loads) == (0, {"iris:2": 1})

    run_virtually(test)


# --- requests that shared a run ---------------------------------------------------------------------------------------


def test_requests_that_shared_a_run_are_taken_apart_and_run_alone() -> None:
    async def test() -> None:
        async with Scene() as scene:
            feed = feed_of(1.0, 2.0, 3.0)
            scene.tap().offer_rows(feed, (1, 2), None, list(double(feed).values()))
            await asyncio.sleep(1)
        assert scene.asked == [(("label", "scores"), {"x": [1.0]}), (("label", "scores"), {"x": [2.0, 3.0]})]
        assert scene.written() == alike(1).plus(alike(1, rows=2))

    run_virtually(test)


def test_a_request_that_shared_a_run_with_nobody_is_offered_whole() -> None:
    async def test() -> None:
        async with Scene() as scene:
            feed = feed_of(1.0, 2.0)
            scene.tap().offer_rows(feed, (2,), ("scores",), [double(feed)["scores"]])
            await asyncio.sleep(1)
        assert scene.asked == [(("scores",), {"x": [1.0, 2.0]})]

    run_virtually(test)


def test_of_requests_that_shared_a_run_those_that_fit_are_kept() -> None:
    async def test() -> None:
        scene = Scene()
        feed = feed_of(*range(70))
        scene.tap().offer_rows(feed, (1,) * 70, None, list(double(feed).values()))
        scene.shadowing.start()
        await asyncio.sleep(10)
        await scene.shadowing.close()
        assert scene.written() == alike(64).plus(ShadowReport(skipped=6))
        assert [feed["x"] for _, feed in scene.asked] == [[float(number)] for number in range(64)]

    run_virtually(test)


# --- room and time ----------------------------------------------------------------------------------------------------


def test_what_finds_no_place_is_skipped_and_counted() -> None:
    async def test() -> None:
        scene = Scene()
        tap = scene.tap()
        for number in range(70):
            scene.offer(tap, float(number))
        scene.shadowing.start()
        await asyncio.sleep(10)
        assert scene.shadowing.stats == ShadowStats(compared=64, skipped=6)
        scene.offer(tap, 1.0)
        await asyncio.sleep(1)
        await scene.shadowing.close()
        assert scene.written() == alike(65).plus(ShadowReport(skipped=6))

    run_virtually(test)


def test_what_finds_no_memory_is_skipped_and_counted() -> None:
    async def test() -> None:
        scene = Scene()
        tap = scene.tap()
        label = np.zeros(1, np.int64)
        for _ in range(3):
            tap.offer({"x": np.zeros(3 * MIB, np.float32)}, ("label",), [label])
        scene.answer = lambda _: {"label": label}
        assert (scene.shadowing.free_places(tap.trial), scene.shadowing.stats) == (62, ShadowStats(skipped=1))
        await scene.shadowing.close()
        assert scene.written() == ShadowReport(skipped=1)

    run_virtually(test)


def test_memory_is_free_again_once_a_copy_has_been_compared() -> None:
    async def test() -> None:
        scene = Scene()
        label = np.zeros(1, np.int64)
        scene.answer = lambda _: {"label": label}
        tap = scene.tap()
        tap.offer({"x": np.zeros(5 * MIB, np.float32)}, ("label",), [label])
        scene.shadowing.start()
        await asyncio.sleep(1)
        tap.offer({"x": np.zeros(5 * MIB, np.float32)}, ("label",), [label])
        assert scene.shadowing.stats == ShadowStats(compared=1)
        await scene.shadowing.close()

    run_virtually(test)


def test_texts_take_what_is_in_them() -> None:
    async def test() -> None:
        scene = Scene()
        tap = scene.tap()
        text = np.array(["long" * (3 * MIB)], object)
        for _ in range(3):
            tap.offer({"x": text}, ("label",), [np.zeros(1, np.int64)])
        assert scene.shadowing.stats == ShadowStats(skipped=1)
        await scene.shadowing.close()

    run_virtually(test)


@pytest.mark.parametrize(
    ("is_busy", "seconds"), [(True, 9.9), (False, 0.2)], ids=["a hundredth", "a third, where nobody else runs"]
)
def test_after_a_slice_the_thread_rests_for_its_share_of_the_time(*, is_busy: bool, seconds: float) -> None:
    async def test() -> None:
        scene = Scene()
        scene.run_seconds, scene.is_busy = 0.1, is_busy
        scene.shadowing.start()
        tap = scene.tap()
        scene.offer(tap, 1.0)
        await settle()
        scene.offer(tap, 2.0)
        await asyncio.sleep(seconds - 0.05)
        assert len(scene.asked) == 1
        await asyncio.sleep(0.1)
        assert len(scene.asked) == 2
        await scene.shadowing.close()

    run_virtually(test)


def test_a_worker_that_makes_runs_now_and_then_is_busy() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.run_seconds = 0.01
            tap = scene.tap()
            for number in range(10):
                scene.worker_runs += 1
                scene.offer(tap, float(number))
                await asyncio.sleep(0.05)
            assert len(scene.asked) == 1
            await asyncio.sleep(2)
            assert len(scene.asked) == 10

    run_virtually(test)


def test_a_worker_with_a_long_run_under_way_is_busy() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.run_seconds, scene.is_running = 0.01, True
            tap = scene.tap()
            for number in range(5):
                scene.offer(tap, float(number))
            await asyncio.sleep(0.9)
            assert len(scene.asked) == 1
            scene.is_running = False
            await asyncio.sleep(0.5)
            assert len(scene.asked) == 5

    run_virtually(test)


def test_a_trial_that_rests_for_long_goes_on_as_soon_as_the_worker_is_idle() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.run_seconds, scene.is_busy = 0.5, True
            tap = scene.tap()
            for number in range(10):
                scene.offer(tap, float(number))
            await asyncio.sleep(2)
            assert len(scene.asked) == 1
            scene.is_busy = False
            await asyncio.sleep(25)
        assert scene.written() == alike(10)

    run_virtually(test)


def test_copies_that_wait_for_a_resting_trial_make_room_for_others_in_half_a_minute() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.is_busy, scene.run_seconds = True, 1.0
            label = np.zeros(1, np.int64)
            scene.answer = lambda _: {"label": label}
            tap, other = scene.tap(), scene.tap(OTHER)
            for _ in range(4):
                tap.offer({"x": np.zeros(2 * MIB, np.float32)}, ("label",), [label])
            await asyncio.sleep(31)
            other.offer({"x": np.zeros(2 * MIB, np.float32)}, ("label",), [label])
            await asyncio.sleep(2)
        assert (scene.written().skipped, scene.written("digits").compared) == (3, 1)

    run_virtually(test)


def test_in_a_busy_worker_trials_take_turns() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.is_busy, scene.run_seconds = True, 0.001
            taps = scene.tap(), scene.tap(OTHER)
            for number in range(60):
                for tap in taps:
                    scene.offer(tap, float(number))
            await asyncio.sleep(10)
        found = scene.written().compared, scene.written("digits").compared
        assert min(found) >= max(found) - 1 > 5

    run_virtually(test)


def test_in_a_busy_worker_slices_are_rare_however_many_trials_there_are() -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.is_busy = True
            for number in range(20):
                scene.offer(scene.tap(trial=number + 1), 1.0)
            await asyncio.sleep(6.6)
            assert len(scene.asked) <= 11

    run_virtually(test)


def test_a_run_that_does_not_end_in_ten_seconds_is_stopped_and_counted() -> None:
    async def test() -> None:
        running = SteppedExecutor()
        async with Scene(running=running) as scene:
            scene.offer(scene.tap(), 1.0)
            await asyncio.sleep(10.5)
            await running.step()
        assert scene.written() == ShadowReport(failures={"predict_timeout": 1})

    run_virtually(test)


def test_what_comes_while_others_are_run_is_compared_after_them() -> None:
    async def test() -> None:
        running = SteppedExecutor()
        async with Scene(running=running) as scene:
            tap = scene.tap()
            scene.offer(tap, 1.0)
            await settle()
            scene.offer(tap, 2.0)
            for _ in range(2):
                await running.step()
                await asyncio.sleep(1)
        assert [feed["x"] for _, feed in scene.asked] == [[1.0], [2.0]]
        assert scene.written() == alike(2)

    run_virtually(test)
