"""Runs of loaded models, each in the place where it harms nobody.

1. A run that will be short (Pace) is made right on the event loop: a trip to another thread costs more than the run.
   It must be bounded by its input's size, predicted under ``SHORT_SECONDS``, and nobody of its version may be waiting.
2. Every other run waits for a place (RunQueue) and is made in the executor.
3. The deadline covers waiting for the load, waiting for a place, and the run. When it passes, the caller is answered
   at once; the run is cancelled, and its lease and place are given back when it has really ended.
4. A caller that leaves cancels its run in the same way.
5. What a run returns is the model's word: the arrays' shapes are not checked again.
6. A single row of a version whose rule pads runs as two of itself (``gateway.serving.batching``, rule 3).
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from typing import TypeAlias

from gateway.serving.batching import BatchRules, join, may_share, rows_of
from gateway.serving.cache_entry import Key
from gateway.serving.deadlines import Watchdog
from gateway.serving.pace import Pace
from gateway.serving.run_queue import RunQueue
from gateway.serving.runtime import Array, Cancellation, Session
from gateway.serving.session_cache import SessionCache
from registry.errors import DeadlinePassed
from registry.records import Version

SHORT_SECONDS = 0.001
_MAX_PACES = 20_000

Feed: TypeAlias = dict[str, Array]
"""Input name to array, checked against the signature; inputs that have a default may be left out."""

Outputs: TypeAlias = tuple[str, ...] | None
"""The outputs that are wanted, in this order; None for all, in the signature's order."""


class Predictor:
    """Answers feeds with arrays; belongs to one event loop.

    Args:
        cache: the loaded sessions.
        executor: where runs go that are not short; needs ``places`` + ``spare`` threads.
        watchdog: keeps the deadlines of runs.
        places: how many such runs go on at once: the processors that may be used.
        spare: how many more while some take long (RunQueue, rule 3).
        rules: which requests may share a run.
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
        max_queue: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rules = rules
        self._cache = cache
        self._executor = executor
        self._watchdog = watchdog
        self._clock = clock
        self._queue = RunQueue(places=places, spare=spare, max_queue=max_queue, clock=clock)
        self._paces: dict[Key, Pace] = {}

    @property
    def waiting_count(self) -> int:
        """How many requests wait for a place to run in."""
        return self._queue.waiting_count

    def try_predict_now(self, version: Version, feed: Feed, outputs: Outputs, deadline: float) -> list[Array] | None:
        """Return the answer if the version is loaded and the run is short, else None, in which case nothing was run.

        Raises:
            RunFailed, OutputNotText: as ``predict``.
            DeadlinePassed: ``deadline`` has passed already, or passed during the run.
        """
        run = self._prepare(version, feed, outputs, deadline)
        if not self._is_short(run):
            return None
        session = self._cache.peek(version)
        return None if session is None else self._run_here(run, session)

    async def predict(self, version: Version, feed: Feed, outputs: Outputs, *, deadline: float) -> list[Array]:
        """Return the arrays of ``outputs``; loads the version if need be.

        Raises:
            DeadlinePassed: ``deadline`` (a moment of the clock) passed first.
            Overloaded: too many requests wait for this version.
            RunFailed: the runtime refused these inputs.
            OutputNotText: a string output is not UTF-8.
            InsufficientMemory, LoadFailed, ArtifactMissing, ArtifactCorrupt, StorageUnavailable: see SessionCache.
        """
        run = self._prepare(version, feed, outputs, deadline)
        lease = await self._cache.acquire(version, deadline)
        with ExitStack() as held:
            held.callback(lease.release)
            if self._is_short(run):
                return self._run_here(run, lease.session)
            place = await self._queue.enter(run.key, deadline)
            held.callback(place.leave)
            future = asyncio.get_running_loop().run_in_executor(self._executor, self._execute, run, lease.session)
            # From here on lease and place belong to the run, and end when it ends, whether or not anyone still waits.
            future.add_done_callback(partial(_settle, run, held.pop_all()))
        return await self._wait(run, future)

    async def _wait(self, run: "_Run", future: asyncio.Future[list[Array]]) -> list[Array]:
        try:
            await asyncio.wait((future,), timeout=max(0.0, run.deadline - self._clock()))
        except asyncio.CancelledError:
            run.cancellation.cancel()
            raise
        if not future.done():
            run.cancellation.cancel()
            raise DeadlinePassed("the run took too long")
        return future.result()

    def _prepare(self, version: Version, feed: Feed, outputs: Outputs, deadline: float) -> "_Run":
        key = (version.model, version.number)
        pace = self._paces.get(key) or self._new_pace(key, version)
        rule = self.rules.of(version)
        is_padded = rule.is_padded and may_share(rule, feed) and rows_of(feed) == 1
        run = _Run(key, pace, join([feed, feed]) if is_padded else feed, outputs or pace.outputs, deadline)
        run.is_padded = is_padded
        return run

    def _execute(self, run: "_Run", session: Session) -> list[Array]:
        """Run under the eyes of the watchdog, in whichever thread this is."""
        started = self._clock()
        if started >= run.deadline:
            raise DeadlinePassed("no time was left to run the model")
        watch = self._watchdog.watch()
        watch.run = (run.deadline, run.cancellation)
        try:
            arrays = session.run(run.outputs, run.feed, run.cancellation)
        finally:
            watch.run = None
            run.seconds = self._clock() - started
        return [array[:1] for array in arrays] if run.is_padded else arrays

    def _run_here(self, run: "_Run", session: Session) -> list[Array]:
        """Run on the event loop."""
        arrays = self._execute(run, session)
        run.pace.learn(run.size, run.seconds)
        return arrays

    def _is_short(self, run: "_Run") -> bool:
        return run.pace.predict_seconds(run.size) < SHORT_SECONDS and not self._queue.is_waiting(run.key)

    def _new_pace(self, key: Key, version: Version) -> Pace:
        if len(self._paces) >= _MAX_PACES:
            del self._paces[next(iter(self._paces))]  # it will be learned again
        pace = self._paces[key] = Pace(version)
        return pace


class _Run:
    """One request's run."""

    __slots__ = ("cancellation", "deadline", "feed", "is_padded", "key", "outputs", "pace", "seconds", "size")

    def __init__(self, key: Key, pace: Pace, feed: Feed, outputs: tuple[str, ...], deadline: float) -> None:
        self.key = key
        self.pace = pace
        self.feed = feed
        self.outputs = outputs
        self.deadline = deadline
        self.size = pace.size_of(feed)
        self.cancellation = Cancellation()
        self.seconds = 0.0
        self.is_padded = False


def _settle(run: _Run, held: ExitStack, future: asyncio.Future[list[Array]]) -> None:
    """End a run that was made in the executor."""
    held.close()
    if future.exception() is None:
        run.pace.learn(run.size, run.seconds)  # on the event loop: all runs of a version share the pace
