import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import pytest

from gateway.serving.change_feed import ChangeFeed
from registry.errors import InternalError, LoadFailed, RegistryUnavailable, SchemaMismatch
from registry.events import Event
from registry.records import FailedSwitch, WorkerReport
from tests.support.memory_registry import DATABASE_TIME, MemoryRegistry
from tests.support.serving_models import CREATED_AT, make_version
from tests.support.virtual_time import ImmediateExecutor, SteppedExecutor, run_virtually, settle

T = TypeVar("T")


def make_report(applied: int) -> WorkerReport:
    return WorkerReport(host="here", pid=1, applied=applied, resident=(), reported_at=CREATED_AT)


class Bench:
    """A feed over a registry with two events, which records what is applied."""

    def __init__(self, executor: Executor | None = None) -> None:
        self.registry = MemoryRegistry()
        self.registry.register(make_version("iris", 1))
        self.registry.move("iris", 1)
        self.applied: list[int] = []
        self.begun_count = 0
        self.failures: dict[int, list[Exception]] = {}
        self.gates: dict[int, asyncio.Event] = {}
        self.feed = ChangeFeed(
            self.registry,
            apply=self._apply,
            begin=self._begin,
            report=make_report,
            executor=executor or ImmediateExecutor(),
            clock=asyncio.get_running_loop().time,
        )

    async def _apply(self, event: Event) -> None:
        if event.sequence in self.gates:
            await self.gates[event.sequence].wait()
        if self.failures.get(event.sequence):
            raise self.failures[event.sequence].pop(0)
        self.applied.append(event.sequence)

    def _begin(self, _sequence: int) -> None:
        self.begun_count += 1

    async def started(self) -> "Bench":
        self.feed.start()
        await settle()
        return self

    def reported(self) -> list[int]:
        return [report.applied for report in self.registry.reports]

    def failures_reported(self) -> list[list[FailedSwitch]]:
        return [list(report.failed) for report in self.registry.reports]


def test_a_worker_starts_at_the_newest_event() -> None:
    async def test() -> None:
        bench = Bench()
        assert (bench.feed.is_ready, bench.feed.applied) == (False, 0)
        await bench.started()
        assert (bench.feed.is_ready, bench.feed.applied, bench.begun_count) == (True, 2, 1)
        assert (bench.applied, bench.reported()) == ([], [2])
        await bench.feed.close()
        assert bench.reported() == []

    run_virtually(test)


def test_new_events_are_applied_in_order_and_reported_soon() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.registry.move("iris", 1)
        bench.registry.register(make_version("iris", 2))
        await asyncio.sleep(0.3)
        assert (bench.applied, bench.feed.applied, bench.reported()) == ([3, 4], 4, [2, 4])
        assert bench.begun_count == 1
        await bench.feed.close()

    run_virtually(test)


def test_a_silent_feed_still_reports_every_five_seconds() -> None:
    async def test() -> None:
        bench = await Bench().started()
        await asyncio.sleep(11)
        assert bench.reported() == [2, 2, 2]
        await bench.feed.close()

    run_virtually(test)


def test_a_report_has_the_registrys_time_and_not_the_hosts() -> None:
    async def test() -> None:
        bench = await Bench().started()
        assert [report.reported_at for report in bench.registry.reports] == [DATABASE_TIME]
        await bench.feed.close()

    run_virtually(test)


def test_waking_reads_at_once() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.registry.move("iris", 1)
        bench.feed.wake()
        await settle()
        assert (bench.applied, bench.reported()) == ([3], [2, 3])
        await bench.feed.close()

    run_virtually(test)


def test_catching_up_reads_and_applies_before_it_returns() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.registry.move("iris", 1)
        await bench.feed.catch_up()
        assert (bench.applied, bench.feed.applied) == ([3], 3)
        await bench.feed.close()

    run_virtually(test)


def test_catching_up_does_not_wait_for_what_has_failed_and_never_raises() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=60)]
        bench.registry.move("iris", 1)
        await bench.feed.catch_up()
        bench.registry.is_down = True
        await bench.feed.catch_up()
        assert bench.applied == []
        await bench.feed.close()

    run_virtually(test)


def test_an_event_that_fails_is_tried_again_when_it_says_and_holds_up_only_the_number() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=7)]
        bench.registry.move("iris", 1)
        bench.registry.move("other", 1)
        await bench.feed.catch_up()
        assert (bench.applied, bench.feed.applied) == ([4], 2)
        assert isinstance(bench.feed.apply_error, LoadFailed)
        await asyncio.sleep(6)
        assert bench.applied == [4]
        await asyncio.sleep(1.5)
        assert (bench.applied, bench.feed.applied, bench.feed.apply_error) == ([4, 3], 4, None)
        assert bench.reported()[-1] == 4
        await bench.feed.close()

    run_virtually(test)


@pytest.mark.parametrize("how", ["failing", "slow"])
def test_a_later_event_about_the_same_thing_makes_an_earlier_one_pointless(how: str) -> None:
    async def test() -> None:
        bench = await Bench().started()
        if how == "failing":
            bench.failures[3] = [LoadFailed("broken", retry_after_seconds=300)]
        else:
            bench.gates[3] = asyncio.Event()
        bench.registry.move("iris", 2)
        bench.feed.wake()
        await settle()
        assert bench.feed.applied == 2
        bench.registry.move("iris", 1)
        bench.feed.wake()
        await settle()
        assert (bench.applied, bench.feed.applied, bench.feed.apply_error) == ([4], 4, None)
        await bench.feed.close()

    run_virtually(test)


def test_a_silent_registry_is_told_of_and_followed_again_when_it_is_back() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.registry.is_down = True
        await asyncio.sleep(20)
        assert isinstance(bench.feed.read_error, RegistryUnavailable)
        assert bench.feed.is_ready
        assert bench.feed.seconds_since_read == pytest.approx(20, abs=0.5)
        bench.registry.is_down = False
        bench.registry.move("iris", 1)
        await asyncio.sleep(0.3)
        assert (bench.applied, bench.feed.read_error) == ([3], None)
        assert bench.feed.seconds_since_read < 0.3
        await bench.feed.close()

    run_virtually(test)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(SchemaMismatch("older"), SchemaMismatch), (KeyError("odd"), InternalError)],
    ids=["another schema", "a bug"],
)
def test_a_feed_that_cannot_begin_is_not_ready_and_begins_later(error: Exception, kind: type[Exception]) -> None:
    async def test() -> None:
        bench = Bench()
        check_schema = bench.registry.check_schema

        def refuse() -> None:
            raise error

        bench.registry.check_schema = refuse
        await bench.started()
        await asyncio.sleep(3)
        assert (bench.feed.is_ready, type(bench.feed.read_error), bench.registry.reports) == (False, kind, [])
        bench.registry.check_schema = check_schema
        await asyncio.sleep(0.3)
        assert (bench.feed.is_ready, bench.feed.read_error, bench.reported()) == (True, None, [2])
        await bench.feed.close()

    run_virtually(test)


def test_a_long_backlog_is_read_page_by_page_without_pause() -> None:
    async def test() -> None:
        bench = await Bench().started()
        for _ in range(1200):
            bench.registry.move("iris", 1)
        bench.feed.wake()
        began = asyncio.get_running_loop().time()
        while bench.feed.applied < 1202:  # noqa: ASYNC110  time stands still meanwhile
            await asyncio.sleep(0)
        assert asyncio.get_running_loop().time() == began
        await bench.feed.close()

    run_virtually(test)


def test_closing_gives_up_what_is_under_way() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.gates[3] = asyncio.Event()
        bench.registry.move("iris", 1)
        bench.feed.wake()
        await settle()
        await bench.feed.close()
        assert bench.applied == []
        assert len(asyncio.all_tasks()) == 1

    run_virtually(test)


class BusyExecutor(SteppedExecutor):
    """Has begun what it has been given, so that it can be taken back no more, and does the newest first."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future = super().submit(fn, *args, **kwargs)
        future.set_running_or_notify_cancel()
        self.pending.rotate(1)
        return future


def test_closing_takes_back_the_report_that_is_being_written_as_well() -> None:
    async def test() -> None:
        executor = BusyExecutor()
        bench = await Bench(executor).started()
        await executor.step()
        closing = asyncio.ensure_future(bench.feed.close())
        await settle()
        while executor.pending:
            await executor.step()
        await closing
        assert bench.reported() == []

    run_virtually(test)


def failed(sequence: int, model: str = "iris", *, code: str = "model_load_failed", version: int = 1) -> FailedSwitch:
    return FailedSwitch(sequence=sequence, model=model, alias="production", version=version, code=code)


def test_what_cannot_be_applied_is_reported_at_once_and_no_more_once_it_has_been() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=30)]
        bench.registry.move("iris", 2)
        bench.feed.wake()
        await settle()
        assert (bench.reported(), bench.failures_reported()) == ([2, 2], [[], [failed(3, version=2)]])
        assert list(bench.feed.failed) == [failed(3, version=2)]
        await asyncio.sleep(30)
        await settle()
        assert (bench.reported()[-1], bench.failures_reported()[-1], list(bench.feed.failed)) == (3, [], [])
        await bench.feed.close()

    run_virtually(test)


def test_a_failure_that_lasts_is_reported_every_five_seconds_and_not_at_each_try() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken") for _ in range(1000)]
        bench.registry.move("iris", 1)
        await asyncio.sleep(11)
        assert bench.failures_reported() == [[], [failed(3)], [failed(3)], [failed(3)]]
        await bench.feed.close()

    run_virtually(test)


def test_another_failure_of_the_same_event_is_reported_at_once() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=1), KeyError("odd"), LoadFailed("broken")]
        bench.registry.move("iris", 1)
        await asyncio.sleep(3)
        codes = [[switch.code for switch in switches] for switches in bench.failures_reported()]
        assert codes == [[], ["model_load_failed"], ["internal_error"], ["model_load_failed"], []]
        await bench.feed.close()

    run_virtually(test)


def test_every_event_that_fails_is_reported_in_order_and_what_is_under_way_is_not() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=60)]
        bench.gates[4] = asyncio.Event()
        bench.failures[5] = [RegistryUnavailable("silent", retry_after_seconds=60)]
        for model in ("iris", "slow", "digits", "good"):
            bench.registry.move(model, 1)
        bench.feed.wake()
        await settle()
        assert bench.feed.failed == (failed(3), failed(5, "digits", code="registry_unavailable"))
        assert (bench.applied, bench.failures_reported()[-1]) == ([6], list(bench.feed.failed))
        await bench.feed.close()

    run_virtually(test)


def test_what_is_applied_beyond_something_that_is_stuck_is_reported_as_soon_as_it_is() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=60)]
        bench.gates[4] = asyncio.Event()
        for model in ("iris", "slow", "good"):
            bench.registry.move(model, 1)
        bench.feed.wake()
        await settle()
        bench.gates[4].set()
        await settle()
        found = [(report.applied, report.read, report.pending) for report in bench.registry.reports]
        assert found == [(2, 2, ()), (2, 5, (3, 4)), (2, 5, (3,))]
        await bench.feed.close()

    run_virtually(test)


def test_of_very_many_that_are_under_way_the_first_hundred_are_reported() -> None:
    async def test() -> None:
        bench = await Bench().started()
        for sequence in range(3, 253):
            bench.gates[sequence] = asyncio.Event()
            bench.registry.move("iris", 1)
        bench.feed.wake()
        await settle()
        assert bench.feed.pending == (102, tuple(range(3, 103)))
        await bench.feed.close()

    run_virtually(test)


def test_a_failure_that_a_later_event_makes_pointless_is_reported_no_more() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=300)]
        bench.registry.move("iris", 2)
        bench.feed.wake()
        await settle()
        bench.registry.move("iris", 1)
        bench.feed.wake()
        await settle()
        assert (bench.reported()[-1], bench.failures_reported()[-1]) == (4, [])
        await bench.feed.close()

    run_virtually(test)


def test_a_failure_that_could_not_be_reported_is_reported_when_the_registry_is_back() -> None:
    async def test() -> None:
        bench = await Bench().started()
        bench.failures[3] = [LoadFailed("broken", retry_after_seconds=300)]
        bench.registry.move("iris", 1)
        await bench.feed.catch_up()
        bench.registry.is_down = True
        await asyncio.sleep(20)
        assert bench.failures_reported() == [[]]
        bench.registry.is_down = False
        await asyncio.sleep(0.3)
        assert bench.failures_reported() == [[], [failed(3)]]
        await bench.feed.close()

    run_virtually(test)
