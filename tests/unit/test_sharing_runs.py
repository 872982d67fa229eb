import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.serving.batching import BatchRules
from gateway.serving.deadlines import Watchdog
from gateway.serving.predictor import Predictor, RunStats
from gateway.serving.runtime import Session
from gateway.serving.session_cache import SessionCache
from registry.batching import Batching, Level
from registry.errors import RunFailed, ServiceError
from registry.records import Version
from registry.tensor import DTYPES, TensorSpec
from tests.support.serving_models import make_version, report_on, write_model

LONG = make_version("classifier", run_seconds=0.5, batch=report_on())
SHORT = make_version("classifier", run_seconds=1e-5, batch=report_on(run_seconds={1: 1e-5, 2: 1e-5, 4: 1e-5}))
ALONE = make_version("classifier", 2, run_seconds=0.5)
INDEX = TensorSpec(name="index", dtype=DTYPES["int64"], shape=("n",))
GATHER = make_version("gather", inputs=[INDEX], outputs=["y"], run_seconds=0.5, batch=report_on(shapes=((),)))

Feed = dict[str, Any]
Answer = list[Any]


def row(*values: float) -> Feed:
    return {"x": np.array([values], np.float32)}


ROWS = [row(place, 1, -place, 0.5) for place in range(6)]


class Rig:
    """A predictor with real sessions and one place to run in."""

    def __init__(self, folder: Path, executor: ThreadPoolExecutor, watchdog: Watchdog) -> None:
        self.differed: list[Version] = []
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
            places=1,
            spare=0,
            rules=BatchRules("here", lambda version: version.inspection.batch),
            on_difference=self.differed.append,
        )

    async def ask(self, *requests: tuple[Any, ...], leaving: int | None = None) -> list["asyncio.Task[Answer]"]:
        """Return requests (version, feed, perhaps outputs) that have all waited for the one place, and are answered.

        Args:
            requests: what is asked for; the versions are loaded.
            leaving: which of them gives up while it waits.
        """
        deadline = time.monotonic() + 60
        place = self.predictor._queue.take("somebody else")
        assert place is not None
        tasks = []
        for version, feed, *more in requests:
            outputs = more[0] if more else None
            tasks.append(asyncio.ensure_future(self.predictor.predict(version, feed, outputs, deadline=deadline)))
            await asyncio.sleep(0)
        assert self.predictor.waiting_count == len(requests)
        self.predictor.stats = RunStats()
        if leaving is not None:
            tasks[leaving].cancel()
            await asyncio.sleep(0)
        place.leave()
        await asyncio.wait(tasks)
        return tasks

    async def alone(self, version: Version, feed: Feed) -> list[bytes]:
        deadline = time.monotonic() + 60
        return bits(await self.predictor.predict(version, feed, None, deadline=deadline, is_sociable=False))


def bits(arrays: Answer) -> list[bytes]:
    return [array.tobytes() for array in arrays]


Test = Callable[[Rig], Coroutine[Any, Any, None]]


def run(folder: Path, test: Test) -> None:
    async def body() -> None:
        watchdog = Watchdog(on_stuck=lambda _: None, poll_seconds=0.01, grace_seconds=60)
        watchdog.start()
        try:
            with ThreadPoolExecutor(2) as executor:
                rig = Rig(folder, executor, watchdog)
                await test(rig)
                await asyncio.wait_for(rig.cache.drain(), 30)
        finally:
            watchdog.close()

    asyncio.run(body())


def test_who_waits_for_a_place_runs_together_and_gets_what_it_would_get_alone(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        wanted = [await rig.alone(LONG, feed) for feed in ROWS]
        tasks = await rig.ask(*[(LONG, feed) for feed in ROWS])
        assert [bits(task.result()) for task in tasks] == wanted
        assert rig.predictor.stats == RunStats(runs=1, shared_runs=1, shared_requests=6)

    run(tmp_path, test)


def test_requests_for_other_outputs_or_other_versions_never_share(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.alone(LONG, ROWS[0])
        await rig.alone(ALONE, ROWS[0])
        tasks = await rig.ask((LONG, ROWS[0]), (LONG, ROWS[2], ("label",)), (ALONE, ROWS[3]), (ALONE, ROWS[4]))
        assert [len(task.result()) for task in tasks] == [2, 1, 2, 2]
        assert rig.predictor.stats == RunStats(runs=4)

    run(tmp_path, test)


def test_a_batch_has_no_more_rows_than_the_rule_allows(tmp_path: Path) -> None:
    version = make_version("classifier", run_seconds=0.5, batch=report_on(run_seconds={1: 0.5, 2: 0.5, 4: 0.5}))

    async def test(rig: Rig) -> None:
        await rig.alone(version, ROWS[0])
        two = {"x": np.concatenate([ROWS[0]["x"], ROWS[1]["x"]])}
        tasks = await rig.ask(*[(version, feed) for feed in (ROWS[0], two, ROWS[1], two, ROWS[2])])
        assert [len(task.result()[0]) for task in tasks] == [1, 2, 1, 2, 1]
        assert rig.predictor.stats == RunStats(runs=2, shared_runs=2, shared_requests=5)

    run(tmp_path, test)


def test_one_bad_row_fails_only_its_own_caller(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        good, bad = {"index": np.array([1])}, {"index": np.array([10**6])}
        wanted = await rig.alone(GATHER, good)
        tasks = await rig.ask(*[(GATHER, feed) for feed in (good, good, bad, good)])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(outcomes.pop(2), RunFailed)
        assert [bits(outcome) for outcome in outcomes if not isinstance(outcome, BaseException)] == [wanted] * 3

    run(tmp_path, test)


def test_a_caller_that_has_gone_is_dropped_before_the_run(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        await rig.alone(LONG, ROWS[0])
        tasks = await rig.ask(*[(LONG, feed) for feed in ROWS[:3]], leaving=1)
        assert [task.cancelled() for task in tasks] == [False, True, False]
        assert rig.predictor.stats == RunStats(runs=1, shared_runs=1, shared_requests=2)

    run(tmp_path, test)


@pytest.mark.parametrize("is_short", [True, False], ids=["on the loop", "in the executor"])
def test_a_stable_version_runs_a_single_row_as_two(tmp_path: Path, *, is_short: bool) -> None:
    seconds = 1e-5 if is_short else 0.5
    report = report_on(Level.STABLE, run_seconds={1: seconds, 2: seconds})
    version = make_version("row_count", outputs=["y"], run_seconds=seconds, batch=report, batching=Batching.STABLE)
    other = make_version("row_count", 2, outputs=["y"], run_seconds=seconds)

    async def test(rig: Rig) -> None:
        deadline = time.monotonic() + 60
        padded = await rig.predictor.predict(version, ROWS[1], None, deadline=deadline)
        plain = await rig.predictor.predict(other, ROWS[1], None, deadline=deadline)
        assert (padded[0].tolist(), plain[0].tolist()) == ([2.0], [1.0])

    run(tmp_path, test)


def test_a_shared_run_that_differs_from_the_run_alone_ends_the_sharing(tmp_path: Path) -> None:
    version = make_version("row_count", outputs=["y"], run_seconds=0.5, batch=report_on())

    async def test(rig: Rig) -> None:
        await rig.alone(version, ROWS[0])
        await rig.ask(*[(version, feed) for feed in ROWS[:3]])
        async with asyncio.timeout(30):
            while not rig.differed:  # noqa: ASYNC110  the check waits until nothing runs
                await asyncio.sleep(0.01)
        assert (rig.differed, rig.predictor.rule(version).is_off) == ([version], True)

    run(tmp_path, test)


def test_a_shared_run_that_does_not_give_a_row_for_each_row_is_made_again_alone(tmp_path: Path) -> None:
    version = make_version("mean_of_rows", outputs=["y"], run_seconds=0.5, batch=report_on())

    async def test(rig: Rig) -> None:
        wanted = [await rig.alone(version, feed) for feed in ROWS[:3]]
        tasks = await rig.ask(*[(version, feed) for feed in ROWS[:3]])
        assert [bits(task.result()) for task in tasks] == wanted
        assert (rig.differed, rig.predictor.rule(version).is_off) == ([version], True)

    run(tmp_path, test)


def test_requests_of_one_tick_share_a_run_at_once(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        wanted = [await rig.alone(SHORT, feed) for feed in ROWS[:3]]
        feed = {"x": np.concatenate([one["x"] for one in ROWS[:3]])}
        arrays = rig.predictor.try_share_now(SHORT, feed, [1, 2], None, time.monotonic() + 60)
        assert arrays is not None
        assert [b"".join(rows) for rows in zip(*wanted, strict=True)] == bits(arrays)

    run(tmp_path, test)


def test_a_failure_of_the_run_is_a_failure_of_every_request_that_fails_alone(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        bad = {"index": np.array([10**6])}
        await rig.alone(GATHER, {"index": np.array([1])})
        tasks = await rig.ask(*[(GATHER, bad)] * 3)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RunFailed] * 3
        assert len({id(outcome) for outcome in outcomes if isinstance(outcome, ServiceError)}) == 3

    run(tmp_path, test)
