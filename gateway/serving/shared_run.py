"""A run in the executor: of one request, or of several that have waited for a place together.

1. Whoever gets a place takes along those who wait with requests that may share its run, first come first.
2. It is made for as long as any of its callers wants it: each has a deadline of its own, and is answered when that
   passes; the run is cancelled when nobody is left.
3. If it fails, it is made again for each request alone: one bad row fails only its own caller.
"""

import asyncio
from collections.abc import Hashable, Sequence
from typing import TypeAlias

from gateway.phases import Moments
from gateway.serving.batching import Feed, inner_shapes, may_share, rows_of
from gateway.serving.course import Course
from gateway.serving.run_queue import Place
from gateway.serving.runtime import Array, Cancellation, DisplacedError
from registry.errors import DeadlinePassed, ServiceError

Outcome: TypeAlias = list[Array] | ServiceError | DisplacedError


class Request:
    """What one caller wants run.

    Args:
        course: of the version.
        feed: checked against the signature.
        outputs: at least one.
        deadline: a moment of the clock.
        is_sociable: False where it must run alone whatever the rule says.
        moments: where it is noted when its run began and ended.
    """

    __slots__ = (
        "answer",
        "caller",
        "company",
        "course",
        "deadline",
        "feed",
        "is_wanted",
        "moments",
        "outputs",
        "rows",
        "run",
        "size",
        "timer",
        "turn",
    )

    def __init__(
        self,
        course: Course,
        feed: Feed,
        outputs: tuple[str, ...],
        deadline: float,
        *,
        is_sociable: bool,
        moments: Moments,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.course = course
        self.feed = feed
        self.outputs = outputs
        self.deadline = deadline
        self.moments = moments
        self.size = course.pace.size_of(feed)
        self.company: Hashable | None = None
        """What those have in common who may share a run; None for who runs alone."""
        self.rows = 0
        if is_sociable and may_share(course.rule, feed):
            self.company = course.key, outputs, inner_shapes(feed)
            self.rows = rows_of(feed)
        self.turn: asyncio.Future[Place | None] = loop.create_future()
        """Resolves to a place, or to None where somebody else's run takes this request along."""
        self.answer: asyncio.Future[list[Array]] = loop.create_future()
        self.run: SharedRun | None = None
        self.is_wanted = True
        self.caller: Hashable = None
        """Whoever asks, if that is known."""
        self.timer: asyncio.TimerHandle | None = None

    def give_up(self) -> None:
        """Take note that the caller has left, or has been answered; does nothing the second time."""
        self.is_wanted = False
        if self.timer is not None:
            self.timer.cancel()
        run, self.run = self.run, None  # each knows the other: the arrays would stay until a garbage collection
        if run is not None:
            run.cancel_if_unwanted()
        else:
            self.turn.cancel()
        self.answer.cancel()  # if there is none yet: whoever waits for it is let go, and lets this go

    def expire(self) -> None:
        """Answer at the deadline."""
        if self.run is None:
            self.turn.cancel()  # before the caller hears of it: then it counts as waiting no more
            self.settle(DeadlinePassed("the request waited in the queue for too long", retry_after_seconds=1))
        else:
            self.settle(DeadlinePassed("the run took too long"))
        self.give_up()

    def settle(self, outcome: list[Array] | Exception) -> None:
        """Let the caller know."""
        if not self.is_wanted or self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class SharedRun:
    """One run for one or more requests of a company."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = requests
        self.cancellation = Cancellation()
        self.deadline = max(request.deadline for request in requests)
        self.seconds: float | None = None
        """How long the run took; None if it failed."""
        self.has_lost_rows = False
        """True if it did not return one row for each row."""
        for request in requests:
            request.run = self

    @property
    def first(self) -> Request:
        """The one who got the place."""
        return self.requests[0]

    @property
    def size(self) -> int:
        """Elements, of all requests."""
        return sum(request.size for request in self.requests)

    @property
    def counts(self) -> list[int]:
        """The rows of each request."""
        return [request.rows for request in self.requests]

    def note_run(self, began: float, ended: float = 0.0) -> None:
        """Take note for each request of when the run began, and ended, once it has."""
        for request in self.requests:
            request.moments.run_began, request.moments.run_ended = began, ended

    def cancel_if_unwanted(self) -> None:
        """Stop the run if nobody waits for it any more."""
        if not any(request.is_wanted for request in self.requests):
            self.cancellation.cancel()


class Companies:
    """Requests that wait for a place, by company; belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, dict[Request, None]] = {}

    def join(self, request: Request) -> None:
        """Wait, and be taken along perhaps."""
        if request.company is not None:
            self._waiting.setdefault(request.company, {})[request] = None

    def leave(self, request: Request) -> None:
        """Wait no longer."""
        waiting = self._waiting.get(request.company)
        if waiting is not None and request in waiting:
            del waiting[request]
            if not waiting:
                del self._waiting[request.company]

    def gather(self, first: Request) -> list[Request]:
        """Return who runs with ``first``, who has got a place; their turns are resolved to None."""
        gathered = [first]
        rows = first.rows
        for request in tuple(self._waiting.get(first.company, ())):
            if request.turn.done() or not request.is_wanted:
                continue
            if rows + request.rows > first.course.rule.max_rows:
                break
            gathered.append(request)
            rows += request.rows
            request.turn.set_result(None)
        return gathered
