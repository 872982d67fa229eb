"""Places to run in, given out so that no version can keep another from running.

1. At most ``places`` runs go on at once; who comes later waits.
2. Versions take turns; within a version it is first come, first served. A version with a thousand requests waiting
   delays another version's single request by one run, not by a thousand.
3. A run that has gone on for ``lend_after_seconds`` lends its place to the next one: an endless run, or a model of
   minutes, takes a share of the processor, but not the place. At most ``spare`` places are lent.
4. At most ``max_queue`` wait for one version.
5. Who waits brings the future that is waited for, so that somebody with a place can take them along.

Belongs to one event loop.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from registry.errors import DeadlinePassed, Overloaded


class Place:
    """The right to run once; ``leave`` must be called when the run has really ended."""

    __slots__ = ("_queue", "_timer", "is_lent")

    def __init__(self, queue: "RunQueue") -> None:
        self._queue: RunQueue | None = queue
        self.is_lent = False
        self._timer = self._lend_later(queue)

    def leave(self) -> None:
        """Give the place to the next; does nothing the second time."""
        queue, self._queue = self._queue, None
        if queue is not None:
            self._timer.cancel()
            queue.left(self)

    def _lend_later(self, queue: "RunQueue") -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(queue.lend_after_seconds, self._lend)

    def _lend(self) -> None:
        queue = self._queue
        if queue is not None and not queue.lend(self):
            self._timer = self._lend_later(queue)  # all spare places are lent: ask again


class RunQueue:
    """Who runs next.

    Args:
        places: how many runs go on at once, not counting those that have lent their place.
        spare: how many places may be lent.
        max_queue: how many may wait for one version.
        clock: monotonic seconds; deadlines are moments of it.
        lend_after_seconds: rule 3.
    """

    def __init__(
        self,
        *,
        places: int,
        spare: int,
        max_queue: int,
        clock: Callable[[], float] = time.monotonic,
        lend_after_seconds: float = 0.25,
    ) -> None:
        self.lend_after_seconds = lend_after_seconds
        self._free = places
        self._spare = spare
        self._max_queue = max_queue
        self._clock = clock
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[Place | None]]] = OrderedDict()

    def is_waiting(self, key: Hashable) -> bool:
        """Tell whether anybody waits for this version."""
        return key in self._lines

    @property
    def waiting_count(self) -> int:
        """How many wait, of all versions."""
        return sum(map(len, self._lines.values()))

    async def enter(self, key: Hashable, deadline: float, turn: "asyncio.Future[Place | None]") -> Place | None:
        """Return a place, when it is this caller's turn; None if somebody has resolved ``turn`` to that meanwhile.

        Raises:
            Overloaded: ``max_queue`` wait for this version already.
            DeadlinePassed: the turn did not come in time.
        """
        if self._free > 0 and not self._lines:
            self._free -= 1
            return Place(self)
        line = self._lines.get(key)
        if line is not None and len(line) >= self._max_queue:
            raise Overloaded(f"{self._max_queue} requests wait for this version already", retry_after_seconds=1)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(max(0.0, deadline - self._clock()), _expire, turn)
        self._lines.setdefault(key, deque()).append(turn)
        try:
            place = await turn
        except BaseException:
            self._forget(key, turn)
            raise
        finally:
            timer.cancel()
        if place is None:
            self._leave_line(key, turn)
        return place

    def left(self, place: Place) -> None:
        """Take a place back; called by the place."""
        if place.is_lent:
            self._spare += 1
        else:
            self._free += 1
        self._next()

    def lend(self, place: Place) -> bool:
        """Give a long run's place to the next, if one may be lent; called by the place."""
        if self._spare == 0:
            return False
        self._spare -= 1
        place.is_lent = True
        self._free += 1
        self._next()
        return True

    def _next(self) -> None:
        while self._free > 0 and self._lines:
            key, line = self._lines.popitem(last=False)
            waiter = line.popleft()
            if line:
                self._lines[key] = line  # at the end: the other versions come first
            if not waiter.done():
                self._free -= 1
                waiter.set_result(Place(self))

    def _forget(self, key: Hashable, waiter: "asyncio.Future[Place | None]") -> None:
        """Remove every trace of somebody who gave up, a place handed over in the very same tick included."""
        place = waiter.result() if waiter.done() and not waiter.cancelled() and waiter.exception() is None else None
        if place is not None:
            place.leave()
        else:
            self._leave_line(key, waiter)

    def _leave_line(self, key: Hashable, waiter: "asyncio.Future[Place | None]") -> None:
        line = self._lines.get(key)
        if line is not None and waiter in line:
            line.remove(waiter)
            if not line:
                del self._lines[key]


def _expire(waiter: "asyncio.Future[Place | None]") -> None:
    if not waiter.done():
        waiter.set_exception(DeadlinePassed("the request waited in the queue for too long", retry_after_seconds=1))
