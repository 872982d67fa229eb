"""Runs, made under the eyes of the watchdog in whichever thread asks for them."""

import time
from collections.abc import Callable
from math import inf

from gateway.serving.batching import Feed, has_rows, join, may_share, rows_of, split
from gateway.serving.course import Course
from gateway.serving.deadlines import Watchdog
from gateway.serving.runtime import Array, Cancellation, DisplacedError, Session
from gateway.serving.shared_run import Outcome, Request, SharedRun
from registry.errors import DeadlinePassed, ModelOutOfMemory, RunFailed, ServiceError
from registry.records import Version
from registry.values import bytes_of


class Runner:
    """Makes runs; safe for threads.

    Args:
        watchdog: keeps their deadlines.
        clock: monotonic seconds; deadlines are moments of it.
        most_bytes: what a run may give whose input does not bound it.
        on_greed: told of a version whose run took too much memory; any thread may tell.
    """

    def __init__(
        self,
        watchdog: Watchdog,
        clock: Callable[[], float] = time.monotonic,
        *,
        most_bytes: float = inf,
        on_greed: Callable[[Version], None] = lambda _: None,
    ) -> None:
        self._watchdog = watchdog
        self._most_bytes = most_bytes
        self._on_greed = on_greed
        self._clock = clock

    def run(
        self,
        course: Course,
        session: Session,
        feed: Feed,
        outputs: tuple[str, ...],
        deadline: float,
        cancellation: Cancellation,
    ) -> tuple[list[Array], float, float]:
        """Return the arrays, and when the run began and ended. A single row runs as two where the rule pads.

        Raises:
            DeadlinePassed, RunFailed, OutputNotText, ModelOutOfMemory, DisplacedError: as of ``Session.run``; or no
                time was left, or it took more memory than a run may.
        """
        started = self._clock()
        if started >= deadline:
            raise DeadlinePassed("no time was left to run the model")
        rule = course.rule
        is_padded = rule.is_padded and may_share(rule, feed) and rows_of(feed) == 1
        if is_padded:
            feed = join([feed, feed])
        watch = self._watchdog.watch()
        watch.run = (deadline, cancellation, course.pace.is_bounded)
        try:
            arrays = session.run(outputs, feed, cancellation)
        except ModelOutOfMemory:
            if cancellation.is_for_memory:
                self._on_greed(course.version)
            raise
        finally:
            watch.run = None
        if not course.pace.is_bounded and sum(map(bytes_of, arrays)) > self._most_bytes:
            self._on_greed(course.version)
            raise ModelOutOfMemory("the run took more memory than a run may")
        if is_padded:
            arrays = [array[:1] for array in arrays]
        return arrays, started, self._clock()

    def run_together(self, run: SharedRun, session: Session) -> list[Outcome]:
        """Return what each request of a run gets; if it fails, it is made again for each of them alone."""
        first, requests = run.first, run.requests
        run.note_run(self._clock())
        feed = first.feed if len(requests) == 1 else join([request.feed for request in requests])
        try:
            arrays, began, ended = self.run(first.course, session, feed, first.outputs, run.deadline, run.cancellation)
        except DisplacedError as error:
            return [error] * len(requests)
        except ServiceError as error:
            if len(requests) == 1 or isinstance(error, DeadlinePassed):
                return [error] * len(requests)
        else:
            run.seconds = ended - began
            run.note_run(began, ended)
            if len(requests) == 1:
                return [arrays]
            if has_rows(arrays, sum(run.counts)):
                return list(split(arrays, run.counts))
            run.has_lost_rows = True
        return [self._run_alone(request, session) for request in requests]

    def _run_alone(self, request: Request, session: Session) -> Outcome:
        if not request.is_wanted:
            return RunFailed("nobody waits for it any more")
        cancellation = Cancellation()
        request.moments.run_began = self._clock()
        run = request.run
        if run is not None:  # else the caller has just left
            run.cancellation = cancellation
        try:
            arrays, began, ended = self.run(
                request.course, session, request.feed, request.outputs, request.deadline, cancellation
            )
        except (ServiceError, DisplacedError) as error:
            return error
        request.moments.run_began, request.moments.run_ended = began, ended
        return arrays
