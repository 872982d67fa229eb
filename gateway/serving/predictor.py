"""Runs of loaded models, each in the place where it harms nobody.

1. A run that will be short (Pace) is made right on the event loop: a trip to another thread costs more than the run.
   It must be bounded by its input's size, predicted under ``SHORT_SECONDS``, and nobody of its version may be waiting.
2. Every other run waits for a place and is made in the executor, with whom it may be shared (Turns).
3. The deadline covers waiting for the load, waiting for a place, and the run. When it passes, the caller is answered
   at once; the run is cancelled, and its lease and place are given back when it has really ended.
4. A caller that leaves cancels its run in the same way.
5. What a run returns is the model's word: the arrays' shapes are not checked again, unless they are to be taken apart.
6. A version that is not to be run in this process (``gateway.serving.isolating``) runs in children of its own, one
   request after the other; who has come for it before that is known is sent there, as long as nothing has been run.
7. A single row of a version whose rule pads runs as two of itself (``gateway.serving.batching``, rule 3).
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TypeAlias

from gateway.phases import Moments
from gateway.serving.batching import BatchRules, Feed, has_rows, part_of, split
from gateway.serving.cache_entry import Key
from gateway.serving.course import Course, Courses
from gateway.serving.deadlines import Watchdog
from gateway.serving.isolated import AnySession, IsolatedSession, Work
from gateway.serving.isolating import quarantined
from gateway.serving.live_checks import LiveChecks
from gateway.serving.run_queue import RunQueue
from gateway.serving.running import Runner
from gateway.serving.runtime import Array, Cancellation, DisplacedError, Session
from gateway.serving.session_cache import Lease, SessionCache
from gateway.serving.shared_run import Outcome, Request, SharedRun
from gateway.serving.turns import Turns
from registry.batching import BatchRule
from registry.errors import DeadlinePassed, Overloaded, RunFailed
from registry.records import Version
from registry.standing import Isolation

SHORT_SECONDS = 0.001

_MOVES = 4
"""How often in a row a version may turn out to be run elsewhere by now."""

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
        isolation_of: tells where a version is run.
        look: looks, in a moment, whether another worker has just crashed, so that ``isolation_of`` knows.
        most_bytes: what a run may give whose input does not bound it.
        on_greed: told of a version whose run took too much memory; any thread may tell.
        max_queue: how many requests may wait for one version.
        clock: monotonic seconds; deadlines are moments of it.
    """

    def __init__(  # noqa: PLR0913 - it stands between many
        self,
        cache: SessionCache[AnySession],
        *,
        executor: Executor,
        watchdog: Watchdog,
        places: int,
        spare: int,
        rules: BatchRules,
        on_difference: Callable[[Version], None] = lambda _: None,
        isolation_of: Callable[[Version], Isolation] = lambda version: version.standing.isolation,
        look: Callable[[], None] = lambda: None,
        most_bytes: float = inf,
        on_greed: Callable[[Version], None] = lambda _: None,
        max_queue: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = RunStats()
        self.ran = (0.0, 0.0)
        """When the last run that was made on the event loop began and ended."""
        self._rules = rules
        self._courses = Courses(rules, isolation_of)
        self._look = look
        self._on_difference = on_difference
        self._cache = cache
        self._clock = clock
        self._runner = Runner(watchdog, clock, most_bytes=most_bytes, on_greed=on_greed)
        self._queue = RunQueue(places=places, spare=spare, max_queue=max_queue)
        self._turns = Turns(
            self._queue,
            executor,
            execute=self._runner.run_together,
            ended=self._ended,
            displaced=self._send_elsewhere,
            clock=clock,
        )
        self._going: set[asyncio.Task[None]] = set()
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

    def forget(self, key: Key) -> None:
        """Keep nothing of what was learned about a version: it is in service no more."""
        self._courses.forget(key)

    def displace(self, key: Key) -> None:
        """Look up anew where a version is run, and have it loaded anew if that is not where it is."""
        course = self._courses.reconsider_key(key)
        session = self._cache.look_at(key)
        if course is None or session is None:
            return
        if course.isolation is Isolation.QUARANTINED:
            self._cache.displace(key, None)
        elif session.is_elsewhere != course.is_away:
            self._cache.displace(key, course.version)

    def try_predict_now(self, version: Version, feed: Feed, outputs: Outputs, deadline: float) -> list[Array] | None:
        """Return the answer if the version is loaded and the run is short, else None, in which case nothing was run.

        Raises:
            RunFailed, OutputNotText: as ``predict``.
            DeadlinePassed: ``deadline`` has passed already, or passed during the run.
        """
        self._look()
        course = self._courses.of(version)
        size = course.pace.size_of(feed)
        if not self._is_short(course, size):
            return None
        session = self._cache.peek(version)
        if session is None or session.is_elsewhere:
            return None
        try:
            return self._run_here(course, session, feed, outputs, deadline, size)
        except DisplacedError:
            return None

    def try_share_now(
        self, version: Version, feed: Feed, counts: Sequence[int], outputs: Outputs, deadline: float
    ) -> list[Array] | None:
        """Return the answers to several requests, their rows together, as ``try_predict_now`` returns that to one.

        Args:
            version: one whose rule allows it.
            feed: the rows of all.
            counts: how many of them are each request's.
            outputs: the same for all.
            deadline: the last of theirs.

        Raises:
            RunFailed, OutputNotText, DeadlinePassed: as ``try_predict_now``; about one of them, perhaps.
        """
        arrays = self.try_predict_now(version, feed, outputs, deadline)
        if arrays is None:
            return None
        if len(counts) == 1:
            return arrays
        if not has_rows(arrays, sum(counts)):
            self._differed(version)
            raise RunFailed("the model did not return one row for each row")
        course = self._courses.of(version)
        if self._note_shared(course, len(counts)):
            feed_of = partial(part_of, feed, counts=counts)
            self._checks.add(course, feed_of, outputs or course.outputs, list(split(arrays, counts)))
        return arrays

    async def predict(
        self,
        version: Version,
        feed: Feed,
        outputs: Outputs,
        *,
        deadline: float,
        is_sociable: bool = True,
        caller: Hashable = None,
        moments: Moments | None = None,
    ) -> list[Array]:
        """Return the arrays of ``outputs``; loads the version if need be.

        Args:
            version: which.
            feed: input name to array, checked against the signature; inputs that have a default may be left out.
            outputs: which are wanted.
            deadline: a moment of the clock.
            is_sociable: False to have it run alone, whatever the version's rule says.
            caller: whoever asks; where runs are made one by one, callers take turns.
            moments: where it is noted when what has happened, if anybody wants to know.

        Raises:
            DeadlinePassed: ``deadline`` passed first.
            ModelCrashed: the run has ended the process that it was made in, which was the version's own.
            ModelOutOfMemory: the run took more memory than it may.
            ModelQuarantined: the version is not run at all.
            Overloaded: too many requests wait for this version.
            RunFailed: the runtime refused these inputs.
            OutputNotText: a string output is not UTF-8.
            InsufficientMemory, LoadFailed, ArtifactMissing, ArtifactCorrupt, StorageUnavailable: see SessionCache.
        """
        moments = moments or Moments()
        for _ in range(_MOVES):
            course, lease = await self._acquire(version, deadline, moments)
            session = lease.session
            if not isinstance(session, Session):
                work = Work(feed, outputs or course.outputs, deadline, caller)
                try:
                    return await _run_elsewhere(session, lease, work, deadline - self._clock())
                finally:
                    moments.run_began, moments.run_ended = work.began, work.ended
            size = course.pace.size_of(feed)
            if not self._is_short(course, size):
                request = Request(
                    course, feed, outputs or course.outputs, deadline, is_sociable=is_sociable, moments=moments
                )
                request.caller = caller
                self._turns.begin(request, lease)
                try:
                    return await request.answer
                finally:
                    request.give_up()
                    del request  # an error in its answer knows this frame
            try:
                arrays = self._run_here(course, session, feed, outputs, deadline, size)
            except DisplacedError:
                continue
            else:
                moments.run_began, moments.run_ended = self.ran
                return arrays
            finally:
                lease.release()
        raise _moving(version)

    def begin(self, version: Version, feed: Feed, outputs: Outputs, deadline: float) -> Request | None:
        """Begin what ``predict`` does, if the version is loaded, and return what will have the answer; else None.

        Whoever takes the answer gives the request up then, or before, if nobody waits for it any more.

        Raises:
            Overloaded: as ``predict``.
        """
        course = self._courses.of(version)
        lease = None if course.is_away else self._cache.try_acquire(version)
        if lease is None:
            return None
        if lease.session.is_elsewhere:
            lease.release()
            return None
        request = Request(course, feed, outputs or course.outputs, deadline, is_sociable=True, moments=Moments())
        self._turns.begin(request, lease)
        return request

    @property
    def is_running(self) -> bool:
        """True while a run is under way that is not made on the event loop."""
        return self._queue.running_count > 0

    # --- on the event loop --------------------------------------------------------------------------------------------

    def _is_short(self, course: Course, size: int) -> bool:
        is_short = course.pace.predict_seconds(size) < SHORT_SECONDS and not self._queue.is_waiting(course.key)
        return is_short and not course.is_away

    def _run_here(
        self, course: Course, session: Session, feed: Feed, outputs: Outputs, deadline: float, size: int
    ) -> list[Array]:
        arrays, began, ended = self._runner.run(
            course, session, feed, outputs or course.outputs, deadline, Cancellation()
        )
        self.ran = began, ended
        course.pace.learn(size, ended - began)
        self.stats.runs += 1
        return arrays

    async def _acquire(self, version: Version, deadline: float, moments: Moments) -> "tuple[Course, Lease[AnySession]]":
        """Return a lease of a session that is where the version is to be run."""
        for _ in range(_MOVES):
            self._look()
            course = self._courses.of(version)
            if course.isolation is Isolation.QUARANTINED:
                raise quarantined(version)
            asked_at = self._clock()
            lease = await self._cache.acquire(version, deadline)
            if lease.load_seconds:
                moments.load_ended = self._clock()
                moments.load_seconds += min(lease.load_seconds, moments.load_ended - asked_at)
            course = self._courses.of(version)
            if lease.session.is_elsewhere == course.is_away and not lease.session.is_displaced:
                return course, lease
            lease.release()
            self._cache.displace(course.key, version)
        raise _moving(version)

    def _send_elsewhere(self, request: Request) -> None:
        """Have a request run where its version is run by now."""
        task = asyncio.get_running_loop().create_task(self._run_again(request))
        self._going.add(task)  # the loop itself does not hold it
        task.add_done_callback(self._going.discard)

    async def _run_again(self, request: Request) -> None:
        request.run = None
        try:
            request.settle(
                await self.predict(
                    request.course.version,
                    request.feed,
                    request.outputs,
                    deadline=request.deadline,
                    caller=request.caller,
                    moments=request.moments,
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller hears of it
            request.settle(error)

    def _note_shared(self, course: Course, count: int) -> bool:
        """Take note of a run of so many requests; return whether one of its answers is to be checked."""
        self.stats.shared_runs += 1
        self.stats.shared_requests += count
        return self._clock() >= course.check_at

    def _ended(self, run: SharedRun, outcomes: list[Outcome]) -> None:
        """Take note of a run that was made in the executor."""
        course = run.first.course
        self.stats.runs += 1
        if run.has_lost_rows:
            self._differed(course.version)
        elif run.seconds is not None:
            course.pace.learn(run.size, run.seconds)  # on the event loop: all runs of a version share the pace
            shares = [outcome for outcome in outcomes if isinstance(outcome, list)]
            if len(shares) > 1 and self._note_shared(course, len(shares)):
                self._checks.add(course, lambda place: run.requests[place].feed, run.first.outputs, shares)

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


async def _run_elsewhere(
    session: IsolatedSession, lease: "Lease[AnySession]", work: Work, seconds: float
) -> list[Array]:
    late = DeadlinePassed("the run took too long")  # it is told so by the child, unless it still waits for its turn
    timer = asyncio.get_running_loop().call_later(max(0.0, seconds), work.settle, late)
    try:
        session.begin(work)
        return await asyncio.wrap_future(work.answer)
    finally:
        timer.cancel()
        work.give_up()
        lease.release()


def _moving(version: Version) -> Overloaded:
    return Overloaded(f"{version.model} version {version.number} is being moved", retry_after_seconds=1)
