"""Runs of loaded models, each in the place where it harms nobody.

1. A run that will be short (Pace) is made right on the event loop: a trip to another thread costs more than the run.
   It must be bounded by its input's size, predicted under ``SHORT_SECONDS``, and nobody of its version may be waiting.
2. Every other run waits for a place (RunQueue) and is made in the executor, with whom it may be shared (SharedRun).
3. The deadline covers waiting for the load, waiting for a place, and the run. When it passes, the caller is answered
   at once; the run is cancelled, and its lease and place are given back when it has really ended.
4. A caller that leaves cancels its run in the same way.
5. What a run returns is the model's word: the arrays' shapes are not checked again, unless they are to be taken apart.
6. A single row of a version whose rule pads runs as two of itself (``gateway.serving.batching``, rule 3).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from gateway.serving.batching import BatchRules, Feed, has_rows, join, may_share, part_of, rows_of, split
from gateway.serving.course import Course, Courses
from gateway.serving.deadlines import Watchdog
from gateway.serving.live_checks import LiveChecks
from gateway.serving.run_queue import Place, RunQueue
from gateway.serving.runtime import Array, Cancellation, Session
from gateway.serving.session_cache import SessionCache
from gateway.serving.shared_run import Companies, Outcome, Request, SharedRun
from registry.batching import BatchRule
from registry.errors import DeadlinePassed, Overloaded, RunFailed, ServiceError
from registry.records import Version

SHORT_SECONDS = 0.001

Outputs: TypeAlias = tuple[str, ...] | None
"""The outputs that are wanted, in this order; None for all, in the signature's order."""


@dataclass(slots=True)
class RunStats:
    """What has been run since the start."""

    runs: int = 0
    shared_runs: int = 0
    """Those of two requests or more."""
    shared_requests: int = 0
    """The requests that these have answered."""


class Predictor:
    """Answers feeds with arrays; belongs to one event loop.

    Args:
        cache: the loaded sessions.
        executor: where runs go that are not short; needs ``places`` + ``spare`` threads.
        watchdog: keeps the deadlines of runs.
        places: how many such runs go on at once: the processors that may be used.
        spare: how many more while some take long (RunQueue, rule 3).
        rules: which requests may share a run.
        on_difference: told of a version whose shared runs turned out to differ from its runs alone.
        max_queue: how many requests may wait for one version.
        clock: monotonic seconds; deadlines are moments of it.
    """

    def __init__(
        self,
        cache: SessionCache[Session],
        *,
        executor: Executor,
        watchdog: Watchdog,
        places: int,
        spare: int,
        rules: BatchRules,
        on_difference: Callable[[Version], None] = lambda _: None,
        max_queue: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = RunStats()
        self._rules = rules
        self._courses = Courses(rules)
        self._on_difference = on_difference
        self._cache = cache
        self._executor = executor
        self._watchdog = watchdog
        self._clock = clock
        self._queue = RunQueue(places=places, spare=spare, max_queue=max_queue, clock=clock)
        self._companies = Companies()
        self._checks = LiveChecks(self._run_for_comparison, self._differed, lambda: self.stats.runs, clock=clock)

    @property
    def waiting_count(self) -> int:
        """How many requests wait for a place to run in."""
        return self._queue.waiting_count

    def rule(self, version: Version) -> BatchRule:
        """Return which requests of a version may share a run."""
        return self._courses.of(version).rule

    def reconsider(self, version: Version) -> None:
        """Look up the rule anew: something has been found out about the version."""
        self._courses.reconsider(version)

    def try_predict_now(self, version: Version, feed: Feed, outputs: Outputs, deadline: float) -> list[Array] | None:
        """Return the answer if the version is loaded and the run is short, else None, in which case nothing was run.

        Raises:
            RunFailed, OutputNotText: as ``predict``.
            DeadlinePassed: ``deadline`` has passed already, or passed during the run.
        """
        course = self._courses.of(version)
        size = course.pace.size_of(feed)
        if not self._is_short(course, size):
            return None
        session = self._cache.peek(version)
        return None if session is None else self._run_here(course, session, feed, outputs, deadline, size)

    def try_share_now(
        self, version: Version, feed: Feed, counts: Sequence[int], outputs: Outputs, deadline: float
    ) -> list[list[Array]] | None:
        """Return the answers to several requests, as ``try_predict_now`` does to one.

        Args:
            version: one whose rule allows it.
            feed: the rows of all.
            counts: how many of them are each request's.
            outputs: the same for all.
            deadline: the same for all.

        Raises:
            RunFailed, OutputNotText, DeadlinePassed: as ``try_predict_now``; about one of them, perhaps.
        """
        arrays = self.try_predict_now(version, feed, outputs, deadline)
        if arrays is None:
            return None
        if len(counts) == 1:
            return [arrays]
        if not has_rows(arrays, sum(counts)):
            self._differed(version)
            raise RunFailed("the model did not return one row for each row")
        shares = list(split(arrays, counts))
        course = self._courses.of(version)
        self._note_shared(course, partial(part_of, feed, counts=counts), outputs or course.outputs, shares)
        return shares

    async def predict(
        self, version: Version, feed: Feed, outputs: Outputs, *, deadline: float, is_sociable: bool = True
    ) -> list[Array]:
        """Return the arrays of ``outputs``; loads the version if need be.

        Args:
            version: which.
            feed: input name to array, checked against the signature; inputs that have a default may be left out.
            outputs: which are wanted.
            deadline: a moment of the clock.
            is_sociable: False to have it run alone, whatever the version's rule says.

        Raises:
            DeadlinePassed: ``deadline`` passed first.
            Overloaded: too many requests wait for this version.
            RunFailed: the runtime refused these inputs.
            OutputNotText: a string output is not UTF-8.
            InsufficientMemory, LoadFailed, ArtifactMissing, ArtifactCorrupt, StorageUnavailable: see SessionCache.
        """
        course = self._courses.of(version)
        lease = await self._cache.acquire(version, deadline)
        with ExitStack() as held:
            held.callback(lease.release)
            size = course.pace.size_of(feed)
            if self._is_short(course, size):
                return self._run_here(course, lease.session, feed, outputs, deadline, size)
            request = Request(course, feed, outputs or course.outputs, deadline, is_sociable=is_sociable)
            place = await self._take_turn(request)
            if place is not None:  # else somebody's run takes this request along, under a lease of their own
                held.callback(place.leave)
                run = SharedRun(self._companies.gather(request))
                # Lease and place belong to the run, and end when it ends, whether or not anyone still waits.
                future = self._submit(run, lease.session)
                future.add_done_callback(partial(self._settle, run, held.pop_all()))
        return await self._wait(request)

    def _submit(self, run: SharedRun, session: Session) -> "asyncio.Future[list[Outcome]]":
        try:
            return asyncio.get_running_loop().run_in_executor(self._executor, self._execute, run, session)
        except RuntimeError:  # the executor has been shut down
            for request in run.requests:
                request.settle(Overloaded("the gateway is shutting down", retry_after_seconds=1))
            raise

    async def _take_turn(self, request: Request) -> Place | None:
        self._companies.join(request)
        try:
            return await self._queue.enter(request.course.key, request.deadline, request.turn)
        except BaseException:
            request.give_up()
            raise
        finally:
            self._companies.leave(request)

    async def _wait(self, request: Request) -> list[Array]:
        try:
            await asyncio.wait((request.answer,), timeout=max(0.0, request.deadline - self._clock()))
            if not request.answer.done():
                raise DeadlinePassed("the run took too long")
            return request.answer.result()
        finally:
            request.give_up()
            request.run = None  # each knows the other: the arrays would stay until the next garbage collection

    # --- on the event loop --------------------------------------------------------------------------------------------

    def _is_short(self, course: Course, size: int) -> bool:
        return course.pace.predict_seconds(size) < SHORT_SECONDS and not self._queue.is_waiting(course.key)

    def _run_here(
        self, course: Course, session: Session, feed: Feed, outputs: Outputs, deadline: float, size: int
    ) -> list[Array]:
        arrays, seconds = self._run(course, session, feed, outputs or course.outputs, deadline, Cancellation())
        course.pace.learn(size, seconds)
        self.stats.runs += 1
        return arrays

    def _note_shared(
        self, course: Course, feed_of: Callable[[int], Feed], outputs: tuple[str, ...], shares: Sequence[list[Array]]
    ) -> None:
        self.stats.shared_runs += 1
        self.stats.shared_requests += len(shares)
        if self._clock() >= course.check_at:
            self._checks.add(course, feed_of, outputs, shares)

    def _settle(self, run: SharedRun, held: ExitStack, future: "asyncio.Future[list[Outcome]]") -> None:
        """End a run that was made in the executor."""
        held.close()
        error = future.exception()
        if error is not None:
            for request in run.requests:
                if request.is_wanted and not request.answer.done():
                    request.answer.set_exception(error)
            return
        course = run.first.course
        self.stats.runs += 1
        outcomes = future.result()
        if run.has_lost_rows:
            self._differed(course.version)
        elif run.seconds is not None:
            course.pace.learn(run.size, run.seconds)  # on the event loop: all runs of a version share the pace
            shares = [outcome for outcome in outcomes if not isinstance(outcome, ServiceError)]
            if len(shares) > 1:
                self._note_shared(course, lambda place: run.requests[place].feed, run.first.outputs, shares)
        for request, outcome in zip(run.requests, outcomes, strict=True):
            request.settle(outcome)

    async def _run_for_comparison(self, course: Course, feed: Feed, outputs: tuple[str, ...]) -> list[Array] | None:
        """Run some rows alone, if the version is still loaded."""
        if not self._cache.is_resident(course.version):
            return None
        deadline = self._clock() + 60
        return await self.predict(course.version, feed, outputs, deadline=deadline, is_sociable=False)

    def _differed(self, version: Version) -> None:
        self._rules.break_(version)
        self._courses.reconsider(version)
        self._on_difference(version)

    # --- in any thread ------------------------------------------------------------------------------------------------

    def _run(
        self,
        course: Course,
        session: Session,
        feed: Feed,
        outputs: tuple[str, ...],
        deadline: float,
        cancellation: Cancellation,
    ) -> tuple[list[Array], float]:
        """Run under the eyes of the watchdog, in whichever thread this is; return the arrays, and the seconds."""
        started = self._clock()
        if started >= deadline:
            raise DeadlinePassed("no time was left to run the model")
        rule = course.rule
        is_padded = rule.is_padded and may_share(rule, feed) and rows_of(feed) == 1
        if is_padded:
            feed = join([feed, feed])
        watch = self._watchdog.watch()
        watch.run = (deadline, cancellation)
        try:
            arrays = session.run(outputs, feed, cancellation)
        finally:
            watch.run = None
        if is_padded:
            arrays = [array[:1] for array in arrays]
        return arrays, self._clock() - started

    def _execute(self, run: SharedRun, session: Session) -> list[Outcome]:
        """Run in the executor, and return what each request gets."""
        first, requests = run.first, run.requests
        feed = first.feed if len(requests) == 1 else join([request.feed for request in requests])
        try:
            arrays, seconds = self._run(first.course, session, feed, first.outputs, run.deadline, run.cancellation)
        except ServiceError as error:
            if len(requests) == 1 or isinstance(error, DeadlinePassed):
                return [error] * len(requests)
        else:
            run.seconds = seconds
            if len(requests) == 1:
                return [arrays]
            if has_rows(arrays, sum(run.counts)):
                return list(split(arrays, run.counts))
            run.has_lost_rows = True
        return [self._execute_alone(request, session) for request in requests]

    def _execute_alone(self, request: Request, session: Session) -> Outcome:
        """Run for one request of a run that has failed."""
        if not request.is_wanted:
            return RunFailed("nobody waits for it any more")
        cancellation = Cancellation()
        run = request.run
        if run is not None:  # else the caller has just left
            run.cancellation = cancellation
        try:
            arrays, _ = self._run(
                request.course, session, request.feed, request.outputs, request.deadline, cancellation
            )
        except ServiceError as error:
            return error
        return arrays
