import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.serving.batching import BatchRules
from gateway.serving.deadlines import Watchdog
from gateway.serving.predictor import Predictor
from gateway.serving.runtime import Session
from gateway.serving.session_cache import SessionCache, Stats
from registry.errors import DeadlinePassed, Overloaded, RunFailed
from registry.records import Version
from registry.tensor import DTYPES, TensorSpec
from tests.support.serving_models import make_version, write_model

ROW = {"x": np.array([[1, 2, 3, 4]], np.float32)}
CLASSIFIER = make_version("classifier")
UNMEASURED = make_version("classifier", run_seconds=None)
TRIPS = TensorSpec(name="trips", dtype=DTYPES["int64"], shape=())
LOOP = make_version("counting_loop", inputs=[TRIPS], outputs=["y"], is_bounded=False)
GATHER = make_version("gather", inputs=[TensorSpec(name="index", dtype=DTYPES["int64"], shape=("n",))], outputs=["y"])
FOR_EVER = {"trips": np.array(2**62)}
THRICE = {"trips": np.array(3)}


class Rig:
    """A predictor with real sessions, real threads and a real clock."""

    def __init__(self, folder: Path, executor: ThreadPoolExecutor, watchdog: Watchdog, **sizes: int) -> None:
        self.threads = executor
        self.cache: SessionCache[Session] = SessionCache(
            budget_bytes=1 << 30,
            load=lambda version: Session.load(write_model(folder, version.model)),
            executor=executor,
            freed=lambda: None,
        )
        self.predictor = Predictor(
            self.cache,
            executor=executor,
            watchdog=watchdog,
            places=sizes.get("places", 1),
            spare=sizes.get("spare", 0),
            rules=BatchRules("here", lambda version: version.inspection.batch),
            max_queue=sizes.get("max_queue", 8),
        )

    async def predict(self, version: Version, feed: dict[str, Any], *, seconds: float = 60, **more: Any) -> list[Any]:
        arrays = await self.predictor.predict(version, feed, more.get("outputs"), deadline=time.monotonic() + seconds)
        return [array.tolist() for array in arrays]

    def try_now(self, version: Version, feed: dict[str, Any], *, seconds: float = 60) -> list[Any] | None:
        return self.predictor.try_predict_now(version, feed, None, time.monotonic() + seconds)

    async def all_leases_end(self) -> None:
        await asyncio.wait_for(self.cache.drain(), 30)
        assert self.cache.resident_bytes == 0


@asynccontextmanager
async def rig(folder: Path, **sizes: int) -> AsyncIterator[Rig]:
    watchdog = Watchdog(on_stuck=lambda _: None, poll_seconds=0.01, grace_seconds=60)
    watchdog.start()
    try:
        with ThreadPoolExecutor(4) as executor:
            made = Rig(folder, executor, watchdog, **sizes)
            yield made
            await made.all_leases_end()
    finally:
        watchdog.close()


Test = Callable[[Rig], Coroutine[Any, Any, None]]


def run(folder: Path, test: Test, **sizes: int) -> None:
    async def body() -> None:
        async with rig(folder, **sizes) as made:
            await test(made)

    asyncio.run(body())


async def is_running(made: Rig) -> None:
    """Return when a run holds the only place: the next one would have to wait."""
    while made.predictor._queue._free:  # noqa: ASYNC110  what is waited for happens in another thread
        await asyncio.sleep(0)


def test_all_outputs_come_in_the_signatures_order_unless_asked_for(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        label, probabilities = await made.predict(CLASSIFIER, ROW)
        assert (label, len(probabilities[0])) == ([2], 3)
        assert await made.predict(CLASSIFIER, ROW, outputs=("probabilities", "label")) == [probabilities, label]
        assert await made.predict(CLASSIFIER, ROW, outputs=("label",)) == [label]

    run(tmp_path, test)


def test_a_short_run_of_a_loaded_version_is_made_at_once(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        assert made.try_now(CLASSIFIER, ROW) is None
        wanted = await made.predict(CLASSIFIER, ROW)
        answer = made.try_now(CLASSIFIER, ROW)
        assert answer is not None
        assert [array.tolist() for array in answer] == wanted
        assert (made.cache.stats.hits, made.cache.stats.misses) == (1, 1)

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("version", "feed"),
    [(LOOP, THRICE), (make_version("classifier", run_seconds=0.5), ROW), (UNMEASURED, ROW)],
    ids=["a loop", "a long run", "never measured"],
)
def test_a_run_that_may_be_long_is_not_made_on_the_loop(tmp_path: Path, version: Version, feed: dict[str, Any]) -> None:
    async def test(made: Rig) -> None:
        await made.cache.preload(version, time.monotonic() + 60)
        assert made.try_now(version, feed) is None
        assert len(await made.predict(version, feed)) == len(version.signature.outputs)

    run(tmp_path, test)


def test_an_answered_request_leaves_nothing_for_the_garbage_collector(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        row = ROW["x"].copy()
        is_gone = weakref.ref(row)
        gc.disable()
        try:
            await made.predict(UNMEASURED, {"x": row})
            del row
            while is_gone() is not None:  # noqa: ASYNC110  the executor's thread holds it for a moment
                await asyncio.sleep(0)
        finally:
            gc.enable()

    run(tmp_path, test)


def test_a_caller_that_leaves_leaves_nothing_for_the_garbage_collector(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        await made.cache.preload(LOOP, time.monotonic() + 60)
        trips = np.array(2**62)
        is_gone = weakref.ref(trips)
        gc.disable()
        try:
            request = made.predictor.begin(LOOP, {"trips": trips}, None, time.monotonic() + 60)
            assert request is not None
            request.answer.add_done_callback(partial(lambda _request, _answer: None, request))
            request.give_up()
            del request, trips
            while is_gone() is not None:  # noqa: ASYNC110  the run ends in another thread
                await asyncio.sleep(0)
        finally:
            gc.enable()

    run(tmp_path, test)


def test_a_version_that_turns_out_to_be_quick_moves_to_the_loop(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        for _ in range(200):
            await made.predict(UNMEASURED, ROW)
            if made.try_now(UNMEASURED, ROW) is not None:
                return
        pytest.fail("200 runs of some microseconds were not predicted to be short")

    run(tmp_path, test)


def test_an_endless_run_is_answered_at_its_deadline_and_ends(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        with pytest.raises(DeadlinePassed):
            await made.predict(LOOP, FOR_EVER, seconds=0.1)
        assert await made.predict(LOOP, THRICE) == [[8.0]]

    run(tmp_path, test)


def test_a_run_on_the_event_loop_is_ended_by_the_watchdog(tmp_path: Path) -> None:
    lying = make_version("counting_loop", inputs=[TRIPS], outputs=["y"])

    async def test(made: Rig) -> None:
        await made.cache.preload(lying, time.monotonic() + 60)
        with pytest.raises(DeadlinePassed):
            made.try_now(lying, FOR_EVER, seconds=0.1)

    run(tmp_path, test)


def test_no_run_begins_after_its_deadline(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        await made.cache.preload(CLASSIFIER, time.monotonic() + 60)
        with pytest.raises(DeadlinePassed):
            made.try_now(CLASSIFIER, ROW, seconds=0)

    run(tmp_path, test)


def test_a_caller_that_leaves_ends_its_run_and_frees_its_place(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        endless = asyncio.ensure_future(made.predict(LOOP, FOR_EVER))
        await is_running(made)
        endless.cancel()
        assert await made.predict(LOOP, THRICE) == [[8.0]]
        assert endless.cancelled()

    run(tmp_path, test)


def test_a_full_queue_is_overload_and_what_waits_is_served_later(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        endless = asyncio.ensure_future(made.predict(LOOP, FOR_EVER))
        await is_running(made)
        waiting = asyncio.ensure_future(made.predict(LOOP, THRICE))
        while made.predictor.waiting_count == 0:  # noqa: ASYNC110  a few ticks of this very loop
            await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await made.predict(LOOP, THRICE)
        endless.cancel()
        assert await waiting == [[8.0]]

    run(tmp_path, test, max_queue=1)


def test_a_turn_that_does_not_come_in_time_is_a_deadline_passed(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        endless = asyncio.ensure_future(made.predict(LOOP, FOR_EVER))
        await is_running(made)
        with pytest.raises(DeadlinePassed, match="waited in the queue"):
            await made.predict(LOOP, THRICE, seconds=0.1)
        assert made.predictor.waiting_count == 0
        endless.cancel()

    run(tmp_path, test)


def test_who_gives_up_when_the_turn_has_just_come_takes_no_place_along(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        await made.cache.preload(LOOP, time.monotonic() + 60)
        place = made.predictor._queue.take("somebody else")
        assert place is not None
        request = made.predictor.begin(LOOP, THRICE, None, time.monotonic() + 60)
        assert request is not None
        place.leave()
        request.give_up()
        assert await made.predict(LOOP, THRICE) == [[8.0]]

    run(tmp_path, test)


def test_what_is_begun_is_answered_later(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        assert made.predictor.begin(LOOP, THRICE, None, time.monotonic() + 60) is None
        await made.cache.preload(LOOP, time.monotonic() + 60)
        request = made.predictor.begin(LOOP, THRICE, None, time.monotonic() + 60)
        assert request is not None
        assert [array.tolist() for array in await request.answer] == [[8.0]]
        request.give_up()

    run(tmp_path, test)


def test_an_endless_run_does_not_keep_others_from_running(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        endless = asyncio.ensure_future(made.predict(LOOP, FOR_EVER))
        await is_running(made)
        assert await made.predict(LOOP, THRICE) == [[8.0]]
        assert not endless.done()
        endless.cancel()

    run(tmp_path, test, spare=1)


@pytest.mark.parametrize("bounded", [True, False], ids=["on the loop", "in the executor"])
def test_a_failed_run_gives_everything_back(tmp_path: Path, bounded: bool) -> None:  # noqa: FBT001  a table of two
    version = make_version("gather", inputs=GATHER.signature.inputs, outputs=["y"], is_bounded=bounded)

    async def test(made: Rig) -> None:
        for _ in range(3):
            with pytest.raises(RunFailed):
                await made.predict(version, {"index": np.array([9])})
        assert await made.predict(version, {"index": np.array([1])}) == [[20.0]]
        assert made.cache.stats == Stats(
            hits=3, misses=1, loads=1, load_seconds_total=made.cache.stats.load_seconds_total
        )

    run(tmp_path, test)


def test_many_callers_get_their_own_answers(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        feeds = [{"trips": np.array(count)} for count in range(60)]
        answers = await asyncio.gather(*(made.predict(LOOP, feed) for feed in feeds))
        assert answers == [[[2.0**count]] for count in range(60)]

    run(tmp_path, test, places=2, spare=2, max_queue=60)


def test_who_joins_a_queue_does_not_overtake_it_on_the_loop(tmp_path: Path) -> None:
    async def test(made: Rig) -> None:
        quick, slow = (
            make_version("gather", inputs=GATHER.signature.inputs, outputs=["y"]),
            {"index": np.zeros(1000, int)},
        )
        await made.cache.preload(quick, time.monotonic() + 60)
        endless = asyncio.ensure_future(made.predict(LOOP, FOR_EVER))
        await is_running(made)
        waiting = asyncio.ensure_future(made.predict(quick, slow))
        while made.predictor.waiting_count == 0:  # noqa: ASYNC110  a few ticks of this very loop
            await asyncio.sleep(0)
        assert made.try_now(quick, {"index": np.array([1])}) is None
        endless.cancel()
        assert await waiting == [[10.0] * 1000]
        assert made.try_now(quick, {"index": np.array([1])}) is not None

    run(tmp_path, test)
