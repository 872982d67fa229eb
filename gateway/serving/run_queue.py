"""Places to run in, given out so that no version can keep another from running.

1. At most ``places`` runs go on at once; who comes later waits.
2. Versions take turns; within a version it is first come, first served. A version with a thousand requests waiting
   delays another version's single request by one run, not by a thousand.
3. A run that has gone on for ``lend_after_seconds`` lends its place to the next one: an endless run, or a model of
   minutes, takes a share of the processor, but not the place. At most ``spare`` places are lent.
4. At most ``max_queue`` wait for one version.
5. Who waits brings a future. It is theirs: somebody with a place can take them along, and they can give up.

Belongs to one event loop.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from functools import partial

from registry.errors import Overloaded


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
        lend_after_seconds: rule 3.
    """

    def __init__(
        self,
        *,
        places: int,
        spare: int,
        max_queue: int,
        lend_after_seconds: float = 0.25,
    ) -> None:
        self.lend_after_seconds = lend_after_seconds
        self._all = places + spare
        self._free = places
        self._spare = spare
        self._max_queue = max_queue
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[Place | None]]] = OrderedDict()

    def is_waiting(self, key: Hashable) -> bool:
        """Tell whether anybody waits for this version."""
        return key in self._lines

    @property
    def running_count(self) -> int:
        """How many have a place, or have lent it."""
        return self._all - self._free - self._spare

    @property
    def waiting_count(self) -> int:
        """How many wait, of all versions."""
        return sum(map(len, self._lines.values()))

    def take(self, key: Hashable) -> Place | None:  # noqa: ARG002  whose it is matters to those who wait
        """Return a place if one is free and nobody waits for it."""
        if self._free == 0 or self._lines:
            return None
        self._free -= 1
        return Place(self)

    def line_up(self, key: Hashable, turn: "asyncio.Future[Place | None]") -> None:
        """Wait: ``turn`` is resolved to a place when it comes. Whoever resolves it otherwise has it leave the line.

        Raises:
            Overloaded: ``max_queue`` wait for this version already.
        """
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
        elif len(line) >= self._max_queue:
            raise Overloaded(f"{self._max_queue} requests wait for this version already", retry_after_seconds=1)
        line.append(turn)
        turn.add_done_callback(partial(self._leave_line, key))

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
            turn = line.popleft()
            if line:
                self._lines[key] = line  # at the end: the other versions come first
            if not turn.done():
                self._free -= 1
                turn.set_result(Place(self))

    def _leave_line(self, key: Hashable, turn: "asyncio.Future[Place | None]") -> None:
        line = self._lines.get(key)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[key]
