"""An event loop whose time passes only when nothing else is left to do, and an executor that works when it is told to.

With both, a test of waiting takes no time and always happens in the same order.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class _LeapingSelector(selectors.DefaultSelector):
    """Where a real selector would sleep until the next timer, it moves the clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("the test waits for something that nobody will ever do")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its ``time`` begins at 1000 s. Other threads must not call back into it."""

    def __init__(self) -> None:
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now


class SteppedExecutor(Executor):
    """Keeps what is submitted until ``step``, and then does it in the calling thread."""

    def __init__(self) -> None:
        self.pending: deque[Callable[[], None]] = deque()
        self.submitted: list[tuple[Any, ...]] = []
        """The arguments of everything that was ever submitted, in order."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        self.submitted.append(args)
        self.pending.append(partial(_carry_out, future, partial(fn, *args, **kwargs)))
        return future

    async def step(self) -> None:
        """Do the oldest piece of work and let everything happen that follows from it."""
        self.pending.popleft()()
        await settle()


class ImmediateExecutor(Executor):
    """Does what is submitted at once, in the calling thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        _carry_out(future, partial(fn, *args, **kwargs))
        return future


def _carry_out(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001  an executor hands every error to whoever waits
        future.set_exception(error)


async def settle() -> None:
    """Let everything happen that can happen without time passing."""
    for _ in range(25):
        await asyncio.sleep(0)


def run_virtually(test: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function in virtual time; anything that reaches the loop's exception handler fails the test."""
    strays: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: strays.append(context))
        result = runner.run(test())
    assert strays == []
    return result
