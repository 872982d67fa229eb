"""A version that runs in child processes, as those see it who want its answers (``gateway.isolation`` makes them)."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Literal, Protocol, TypeAlias

from gateway.serving.batching import Feed
from gateway.serving.runtime import Array, Cancellation, Session
from registry.errors import Overloaded, ServiceError


class Work:
    """What one caller wants run.

    Args:
        feed: checked against the signature.
        outputs: at least one.
        deadline: a moment of the monotonic clock.
        caller: those of one caller take turns with those of each other.
    """

    __slots__ = ("answer", "began", "caller", "deadline", "ended", "feed", "is_wanted", "outputs")

    def __init__(self, feed: Feed, outputs: Sequence[str], deadline: float, caller: Hashable) -> None:
        self.feed = feed
        self.outputs = tuple(outputs)
        self.deadline = deadline
        self.caller = caller
        self.answer: Future[list[Array]] = Future()
        self.is_wanted = True
        self.began = self.ended = 0.0
        """When its run began and ended, in monotonic seconds."""

    def give_up(self) -> None:
        """Take note that nobody waits for it any more."""
        self.is_wanted = False

    def settle(self, outcome: list[Array] | Exception) -> None:
        """Let the caller know, unless that has been done."""
        with suppress(InvalidStateError):
            if isinstance(outcome, Exception):
                self.answer.set_exception(outcome)
            else:
                self.answer.set_result(outcome)


class IsolatedSession(Protocol):
    """What a session cache holds of such a version."""

    memory_bytes: int | None
    load_seconds: float
    threads: int
    is_displaced: bool
    is_elsewhere: Literal[True]

    def begin(self, work: Work) -> None:
        """Have it run when its turn comes.

        Raises:
            Overloaded: too many wait.
        """
        ...

    def run(self, outputs: Sequence[str], feed: Feed, cancellation: Cancellation) -> list[Array]:
        """Run the model, as ``Session.run`` does; blocks."""
        ...

    def close(self) -> None:
        """End the processes; whoever waits is told that the gateway has no answer."""
        ...


class Line:
    """Work that waits, each caller's in its order, and the callers in turn; safe for threads.

    Where it is full, whoever has most in it gives way: nobody can keep the others out.

    Args:
        most: how much may wait.
        refusal: makes the error of whoever finds no room.
    """

    def __init__(self, most: int, refusal: Callable[[], ServiceError]) -> None:
        self._most = most
        self._refusal = refusal
        self._callers: OrderedDict[Hashable, deque[Work]] = OrderedDict()
        self._count = 0
        self._changed = threading.Condition()
        self._is_open = True

    def add(self, work: Work) -> None:
        """Let it wait.

        Raises:
            Overloaded: there is no room, and nobody has more in it.
        """
        crowded_out: Work | None = None
        with self._changed:
            if not self._is_open:
                raise Overloaded("the model is being moved to another process", retry_after_seconds=1)
            if self._count >= self._most:
                crowded_out = self._crowd_out(work)
            self._callers.setdefault(work.caller, deque()).append(work)
            self._count += 1
            self._changed.notify()
        if crowded_out is not None:
            crowded_out.settle(self._refusal())

    def next(self) -> Work | None:
        """Return whose turn it is, once there is one; None when the line is closed and empty."""
        with self._changed:
            while not self._callers:
                if not self._is_open:
                    return None
                self._changed.wait()
            caller, waiting = self._callers.popitem(last=False)
            work = waiting.popleft()
            self._count -= 1
            if waiting:
                self._callers[caller] = waiting  # at the end: the others come first
            return work

    def close(self) -> list[Work]:
        """Take no more, and return what waits."""
        with self._changed:
            self._is_open = False
            left = [work for waiting in self._callers.values() for work in waiting]
            self._callers.clear()
            self._count = 0
            self._changed.notify_all()
        return left

    def _crowd_out(self, work: Work) -> Work:
        """Take the newest work of whoever has most, if that is more than this caller would have."""
        own = len(self._callers.get(work.caller, ()))
        largest = max(self._callers, key=lambda caller: len(self._callers[caller]))
        if len(self._callers[largest]) <= own + 1:
            raise self._refusal()
        self._count -= 1
        return self._callers[largest].pop()


AnySession: TypeAlias = Session | IsolatedSession
"""A session of this process, or one whose runs are made elsewhere."""
