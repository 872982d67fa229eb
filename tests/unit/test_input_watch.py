"""One worker's look at what it is sent: each second, a slice at a time, and never the numbers of few."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest

from gateway.input_board import HOUR_SECONDS, InputBoard, is_about_inputs
from gateway.input_findings import ColumnFound, VersionFound, gather
from gateway.metrics import Metrics
from gateway.serving.input_samples import MOST_REQUESTS
from gateway.serving.input_watch import InputWatch
from registry.errors import RegistryUnavailable
from registry.examples import Example, Examples
from registry.input_statistics import InputPlan, Moments, Reference
from registry.records import Version
from tests.support.serving_models import make_version
from tests.support.signatures import tensor
from tests.support.virtual_time import ImmediateExecutor, SteppedExecutor, run_virtually, settle

ROWS = (tensor("x", "float32", ("n", 2)),)
TEXT = (tensor("words", "string", ("n",)),)
PAIR = np.array([[1, 10]], np.float32)
WALL = 1_700_000_000.0


def golden(**inputs: Any) -> Examples:
    return Examples((Example(name="first", inputs=inputs, outputs={"label": np.zeros(1, np.float32)}),))


class Scene:
    """A worker's look at one version; begun and closed by ``async with``."""

    def __init__(
        self, inputs: Any = ROWS, *, examples: Examples | None = None, running: Executor | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.version = make_version(inputs=inputs)
        self.metrics = Metrics()
        self.reads: list[str] = []
        self.read_error: Exception | None = None
        self.examples = Examples(())
        self.late_seconds = 0.0
        self.seconds_a_look = 0.0
        """How much time passes whenever somebody looks at the clock."""
        self.watch = InputWatch(
            InputBoard(self.metrics.counts),
            self.read,
            running=running or ImmediateExecutor(),
            reading=ImmediateExecutor(),
            clock=self.clock,
            wall_clock=lambda: WALL,
        )
        if examples is not None:
            self.record(examples)

    async def __aenter__(self) -> Self:
        self.watch.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.watch.close()

    def clock(self) -> float:
        self.late_seconds += self.seconds_a_look
        return self.loop.time() + self.late_seconds

    def record(self, examples: Examples) -> None:
        """Give the version these examples from now on."""
        self.examples = examples
        self.version = replace(self.version, examples=examples.facts)

    def read(self, version: Version, plan: InputPlan) -> Reference | None:
        self.reads.append(f"{version.model}:{version.number}")
        if self.read_error is not None:
            raise self.read_error
        return Reference.of(self.examples, plan)

    def offer(self, count: int = 1, **feed: Any) -> None:
        tap = self.watch.tap_of(self.version)
        assert tap is not None
        for _ in range(count):
            tap.offer(feed, None, [])

    def found(self) -> VersionFound:
        return gather(self.metrics.find(is_about_inputs), self.clock()).get(("iris", "1"), VersionFound())

    def columns(self) -> dict[tuple[str, int], ColumnFound]:
        return {key: column for key, column in self.found().columns.items() if column.live.count}


def a_test(test: Callable[[], Any]) -> Callable[[], None]:
    """Have it run in virtual time."""

    def run() -> None:
        run_virtually(test)

    run.__name__ = test.__name__
    return run


@a_test
async def test_what_is_offered_is_on_the_board_a_second_later() -> None:
    async with Scene() as scene:
        scene.offer(20, x=PAIR)
        await asyncio.sleep(1.5)
    first, second = (Moments(requests=20, count=20, finite=20, mean=mean) for mean in (1.0, 10.0))
    assert scene.found() == VersionFound(
        looked_at=20,
        since=WALL,
        columns={
            ("x", 0): ColumnFound(live=first, recent=first),
            ("x", 1): ColumnFound(live=second, recent=second),
        },
    )


@a_test
async def test_before_twenty_requests_only_their_number_is_known() -> None:
    async with Scene() as scene:
        scene.offer(19, x=PAIR)
        await asyncio.sleep(5)
    assert (scene.found().looked_at, scene.columns()) == (19, {})


@a_test
async def test_who_looks_twice_never_sees_what_a_single_request_has_brought() -> None:
    seen = []
    async with Scene() as scene:
        for _ in range(6):
            scene.offer(9, x=PAIR)
            await asyncio.sleep(1)
            seen.append((scene.found().looked_at, scene.columns().get(("x", 0), ColumnFound()).live.requests))
        await asyncio.sleep(1)
    assert {requests for _, requests in seen} == {0, 27, 54}
    assert seen[0] == (9, 0)
    assert scene.columns()["x", 0].live.requests == 54


@a_test
async def test_requests_without_a_row_are_none_of_the_twenty() -> None:
    async with Scene() as scene:
        scene.offer(19, x=np.zeros((0, 2), np.float32))
        scene.offer(1, x=PAIR)
        await asyncio.sleep(3)
    assert (scene.found().looked_at, scene.columns()) == (20, {})


@a_test
async def test_a_number_that_fewer_than_twenty_requests_bring_is_not_told_of_a_column_that_all_bring() -> None:
    sparse = np.array([[1.0, np.nan]], np.float32)
    async with Scene() as scene:
        scene.offer(20, x=PAIR)
        await asyncio.sleep(2)
        scene.offer(19, x=sparse)
        scene.offer(1, x=np.array([[1.0, 1234.5]], np.float32))
        await asyncio.sleep(3)
    told = {column: (found.live.requests, found.live.mean) for (_, column), found in scene.columns().items()}
    assert told == {0: (40, 1.0), 1: (20, 10.0)}


@a_test
async def test_what_nobody_has_completed_for_an_hour_is_told_no_more() -> None:
    async with Scene() as scene:
        scene.offer(19, x=PAIR)
        await asyncio.sleep(HOUR_SECONDS + 10)
        scene.offer(19, x=PAIR)
        await asyncio.sleep(3)
        before = scene.columns()
        scene.offer(1, x=PAIR)
        await asyncio.sleep(3)
    assert (before, scene.columns()["x", 0].live.requests) == ({}, 20)


@a_test
async def test_an_input_that_few_requests_bring_is_not_told_beside_one_that_all_bring() -> None:
    async with Scene((tensor("x", "float32", ("n", 1)), tensor("rare", "float32", ("n", 1), optional=True))) as scene:
        row = np.ones((1, 1), np.float32)
        scene.offer(30, x=row)
        scene.offer(5, x=row, rare=row)
        await asyncio.sleep(3)
    assert {name for name, _ in scene.columns()} == {"x"}


@a_test
async def test_requests_beyond_those_of_a_second_are_counted() -> None:
    async with Scene() as scene:
        scene.offer(MOST_REQUESTS + 5, x=PAIR)
        await asyncio.sleep(3)
    assert (scene.found().looked_at, scene.found().skipped) == (MOST_REQUESTS, 5)


@a_test
async def test_what_is_not_summed_up_in_time_is_skipped_and_nothing_of_it_stays() -> None:
    running = SteppedExecutor()
    async with Scene((*ROWS, *TEXT), running=running) as scene:
        scene.seconds_a_look = 0.0004  # a slice is over after one input
        scene.offer(20, x=PAIR, words=np.array(["a"], object))
        await settle()
        await running.step()
        scene.late_seconds += 1.0
        while not scene.found().skipped:
            await asyncio.sleep(0.1)
            while running.pending:
                await running.step()
        assert (scene.found().looked_at, scene.found().skipped) == (0, 20)
        assert scene.watch._samples.size_bytes == 0


@a_test
async def test_a_mistake_about_one_input_is_none_about_the_others() -> None:
    async with Scene((*ROWS, tensor("y", "float32", ("n",)))) as scene:
        scene.offer(20, x=PAIR, y=np.zeros(1, [("no", "f4"), ("number", "f4")]))
        await asyncio.sleep(2)
        scene.offer(20, x=PAIR, y=np.array([2.0], np.float32))
        await asyncio.sleep(2)
    assert scene.columns()["x", 0].live.requests == 40


@a_test
async def test_a_version_without_tensors_has_no_tap() -> None:
    scene = Scene(())
    assert scene.watch.tap_of(scene.version) is None


# --- references -------------------------------------------------------------------------------------------------------


@a_test
async def test_the_examples_are_read_once_when_the_version_is_first_looked_at() -> None:
    async with Scene(examples=golden(x=np.array([[0, 0], [2, 4]], np.float32))) as scene:
        assert scene.reads == []
        for _ in range(3):
            scene.offer(20, x=PAIR)
            await asyncio.sleep(1)
        await asyncio.sleep(1)
    assert scene.reads == ["iris:1"]
    found = scene.columns()["x", 1]
    assert found.reference == Moments(requests=1, count=2, finite=2, mean=2.0, squares=8.0)
    assert found.shift == 4.0


@a_test
async def test_they_are_read_again_when_they_have_changed() -> None:
    async with Scene(examples=golden(x=np.array([[0, 0], [2, 4]], np.float32))) as scene:
        scene.offer(20, x=PAIR)
        await asyncio.sleep(2)
        scene.record(golden(x=np.array([[10, 0], [10, 4]], np.float32)))
        await asyncio.sleep(10)
        scene.offer(20, x=PAIR)
        await asyncio.sleep(2)
    assert scene.reads == ["iris:1"] * 2
    assert [scene.columns()["x", place].shift for place in (0, 1)] == [None, 4.0]


@a_test
async def test_when_they_are_gone_there_is_nothing_to_compare_with() -> None:
    async with Scene(examples=golden(x=np.array([[0, 0], [2, 4]], np.float32))) as scene:
        scene.offer(20, x=PAIR)
        await asyncio.sleep(2)
        scene.record(Examples(()))
        await asyncio.sleep(10)
        scene.offer(20, x=PAIR)
        await asyncio.sleep(2)
    assert scene.columns()["x", 1].reference is None


@a_test
async def test_a_registry_that_does_not_answer_is_asked_again_later() -> None:
    async with Scene(examples=golden(x=np.array([[0, 0], [2, 4]], np.float32))) as scene:
        scene.read_error = RegistryUnavailable("it is away")
        for _ in range(4):
            scene.offer(20, x=PAIR)
            await asyncio.sleep(1)
        assert (scene.reads, scene.columns()["x", 1].reference) == (["iris:1"], None)
        scene.read_error = None
        await asyncio.sleep(3)
        scene.offer(20, x=PAIR)
        await asyncio.sleep(2)
    assert scene.columns()["x", 1].shift == 4.0


@a_test
async def test_texts_that_are_in_no_example_are_counted() -> None:
    async with Scene(TEXT, examples=golden(words=np.array(["a", "b"], object))) as scene:
        scene.offer(1, words=np.array(["a"], object))
        await asyncio.sleep(2)
        scene.offer(20, words=np.array(["a", "c"], object))
        await asyncio.sleep(2)
    found = scene.columns()["words", 0]
    assert (found.live, found.texts, found.unseen) == (Moments(requests=21, count=41), 40, 20)


@a_test
async def test_how_many_texts_are_unseen_is_not_told_before_twenty_requests_were_held_against_the_examples() -> None:
    async with Scene(TEXT) as scene:
        scene.offer(19, words=np.array(["c"], object))
        await asyncio.sleep(2)
        scene.record(golden(words=np.array(["a", "b"], object)))
        seen = []
        for _ in range(5):
            scene.offer(8, words=np.array(["c"], object))
            await asyncio.sleep(6)
            found = scene.columns()["words", 0]
            seen.append((found.live.requests, found.texts, found.unseen))
    assert seen == [(27, 0, 0), (27, 0, 0), (27, 0, 0), (51, 0, 0), (51, 24, 24)]


@a_test
async def test_without_examples_no_text_is_unseen() -> None:
    async with Scene(TEXT) as scene:
        scene.offer(20, words=np.array(["a"], object))
        await asyncio.sleep(2)
    assert scene.columns()["words", 0].unseen_share is None


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_closing_ends_it_whatever_it_is_at(seconds: float) -> None:
    async def test() -> None:
        async with Scene() as scene:
            scene.offer(20, x=PAIR)
            await asyncio.sleep(seconds)

    run_virtually(test)
