"""What is done again and again, in time that passes by itself."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import pytest
from structlog.testing import capture_logs

from gateway.serving.repeating import repeat
from tests.support.virtual_time import SteppedExecutor, VirtualTimeLoop, settle


def failing_at(*numbers: int) -> tuple[list[float], Callable[[], None]]:
    """Return when something was done, and what does it: a failure at these times."""
    done: list[float] = []

    def do() -> None:
        done.append(asyncio.get_running_loop().time())
        if len(done) in numbers:
            raise RuntimeError(f"the one at {len(done)}")

    return done, do


def run_for(seconds: float, do: Callable[[], object], executor: Executor | None = None) -> list[str]:
    """Return what was logged meanwhile."""

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(repeat(do, 5.0, executor=executor, event="not_done"), seconds)

    with capture_logs() as lines, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(wait())
    return [f"{line['event']}: {line['exc_info']}" for line in lines]


def test_what_has_failed_is_done_again_and_only_the_first_failure_in_a_row_is_logged() -> None:
    done, do = failing_at(2, 3, 5)

    logged = run_for(28.0, do)

    assert done == [1000.0, 1005.0, 1010.0, 1015.0, 1020.0, 1025.0]
    assert logged == ["not_done: the one at 2", "not_done: the one at 5"]


def test_a_thread_that_fails_is_asked_again() -> None:
    executor = SteppedExecutor()
    done, do = failing_at(1)

    async def step_twice() -> None:
        repeating = asyncio.create_task(repeat(do, 5.0, executor=executor, event="not_done"))
        await settle()
        await executor.step()
        await asyncio.sleep(5.0)
        await settle()
        await executor.step()
        repeating.cancel()

    with capture_logs() as lines, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(step_twice())
    assert (done, [line["event"] for line in lines]) == ([1000.0, 1005.0], ["not_done"])
