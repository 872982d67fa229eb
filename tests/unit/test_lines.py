"""Work that waits in line for a thread: for a bounded time, and then it is never done."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import pytest

from gateway.web.services import run_in_line
from registry.errors import Overloaded
from tests.support.gateway_process import wait_until

P = ParamSpec("P")
R = TypeVar("R")


class PromptExecutor(ThreadPoolExecutor):
    """Whatever is submitted has begun then: no waiting in line is counted."""

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future = super().submit(function, *args, **kwargs)
        wait_until(lambda: future.running() or future.done())
        return future


@contextmanager
def one_busy_thread() -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    """An executor whose only thread is taken until the event is set."""
    release = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(release.wait)
        try:
            yield executor, release
        finally:
            release.set()


def test_who_stands_in_line_for_too_long_is_told_so_and_the_work_is_never_done() -> None:
    done: list[str] = []
    with one_busy_thread() as (executor, release):
        with pytest.raises(Overloaded) as refused:
            asyncio.run(run_in_line(executor, lambda: done.append("late"), patience_seconds=0.01))
        release.set()
        assert asyncio.run(run_in_line(executor, lambda: "next")) == "next"
    assert (refused.value.detail, refused.value.retry_after_seconds, done) == (
        "other requests of this kind take too long",
        30,
        [],
    )


def test_what_has_begun_is_waited_for_however_long_it_takes() -> None:
    async def test() -> str:
        release = threading.Event()
        loop = asyncio.get_running_loop()

        def work() -> str:
            loop.call_soon_threadsafe(loop.call_later, 0.05, release.set)
            release.wait()
            return "done"

        with PromptExecutor(1) as executor:
            return await run_in_line(executor, work, patience_seconds=0.01)

    assert asyncio.run(test()) == "done"


def test_an_error_of_the_work_is_the_callers() -> None:
    def fail() -> None:
        raise ValueError("of the work")

    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="of the work"):
        asyncio.run(run_in_line(executor, fail))


def test_who_gives_up_in_line_takes_the_work_along() -> None:
    done: list[str] = []

    async def test(executor: ThreadPoolExecutor) -> None:
        waiting = asyncio.ensure_future(run_in_line(executor, lambda: done.append("abandoned")))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with one_busy_thread() as (executor, _):
        asyncio.run(test(executor))
    assert done == []
