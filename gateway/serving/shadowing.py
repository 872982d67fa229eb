"""Comparing a shadow's answers with the live ones, without anybody noticing.

1. A caller has its answer before anything is done here. Of the requests that are chosen, a copy is kept, for half a
   minute, up to ``_MOST_SAMPLES`` of a trial and ``_MOST_BYTES`` of all; what finds no room is skipped, and counted.
2. Copies are run in a thread that gives way to others, some at a time, each request alone as its caller sent it. A
   slice of work takes half a millisecond or one run (``shadow_slice``). Every slice is felt by the requests that come
   meanwhile, and if they were one in a hundred, the slowest would be others than without a shadow: in a busy worker
   slices come no more often than every ``_BUSY_REST_SECONDS``, and each trial rests for so long that it has a hundredth
   of the time. Once the worker has made no runs for ``_QUIET_SECONDS``, a trial has a third.
3. A shadow makes no room: it is loaded where memory is free, else its requests are skipped. One that cannot be loaded,
   or refuses a request, is counted as a failure by the error's code.
4. A run that takes too long is stopped. One that cannot be is left to itself, and its version is not run again here.
5. What has been found is added up here, and to the registry every ``_FLUSH_SECONDS``; if that does not answer, later.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from random import random
from typing import Final

import structlog

from gateway.serving.batching import Feed, part_of, split
from gateway.serving.isolated import AnySession
from gateway.serving.runtime import Array
from gateway.serving.session_cache import SessionCache
from gateway.serving.shadow_slice import Sample, Slice
from registry.errors import Busy, DeadlinePassed, InsufficientMemory, InternalError, ServiceError
from registry.ports import Registry
from registry.records import Trial, Version
from registry.shadow import ShadowReport
from registry.values import Value, copy_of, leaves

_MOST_SAMPLES: Final = 64
_MOST_BYTES: Final = 32 * 1024 * 1024
_REST: Final = 99
_BUSY_REST_SECONDS: Final = 0.66
_QUIET_REST: Final = 2
_QUIET_SECONDS: Final = 0.1
_SHORTEST_REST_SECONDS: Final = 0.002
_LOOK_SECONDS: Final = 0.1
"""How often it is looked whether the worker is idle now, and who has waited in vain, while anything waits."""
_WAITING_SECONDS: Final = 30.0
_LOAD_SECONDS: Final = 20.0
_RUN_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 1.0
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
_FLUSH_SECONDS: Final = 2.0


@dataclass(slots=True)
class _Queue:
    """What waits to be compared for one trial, and when its turn comes: in a busy worker, and in one that is idle."""

    tap: "Tap"
    samples: deque[Sample] = field(default_factory=deque)
    due_at: float = 0.0
    idle_due_at: float = 0.0

    def rest(self, until: float, idle_until: float | None = None) -> None:
        """Wait so long for the next turn."""
        self.due_at, self.idle_due_at = until, until if idle_until is None else idle_until


@dataclass(slots=True)
class ShadowStats:
    """What has happened since the start."""

    compared: int = 0
    skipped: int = 0
    failed: int = 0


class Tap:
    """Where the live answers of one alias are offered; belongs to one event loop.

    Args:
        trial: whose this is.
        candidate: the shadow.
        share: of the requests, from 0 to 1.
        names: of all outputs of the live version.
        shadowing: what compares.
    """

    __slots__ = ("_names", "_shadowing", "_share", "candidate", "trial")

    def __init__(
        self, trial: Trial, candidate: Version, share: float, names: tuple[str, ...], shadowing: "Shadowing"
    ) -> None:
        self.trial = trial
        self.candidate = candidate
        self._share = share
        self._names = names
        self._shadowing = shadowing

    def offer(self, feed: Feed, outputs: tuple[str, ...] | None, arrays: Sequence[Array]) -> None:
        """Take a copy of one request that has been answered, perhaps."""
        if random() >= self._share:  # noqa: S311 - a sample
            return
        if self._shadowing.free_places(self.trial):
            self._add(feed, dict(zip(outputs or self._names, arrays, strict=True)))
        else:
            self._shadowing.skip(self, 1)

    def offer_rows(
        self, feed: Feed, counts: Sequence[int], outputs: tuple[str, ...] | None, arrays: Sequence[Array]
    ) -> None:
        """Take copies of some of the requests that have shared a run, each of them with its rows."""
        if len(counts) == 1:
            self.offer(feed, outputs, arrays)
            return
        names = outputs or self._names
        chosen = [place for place in range(len(counts)) if random() < self._share]  # noqa: S311 - as above
        fitting = chosen[: self._shadowing.free_places(self.trial)]
        self._shadowing.skip(self, len(chosen) - len(fitting))
        shares = list(split(list(arrays), counts)) if fitting else []
        for place in fitting:
            part = part_of(feed, place, counts=counts)
            self._add(part, dict(zip(names, shares[place], strict=True)))

    def _add(self, feed: Feed, answers: Mapping[str, Array]) -> None:
        try:
            self._shadowing.add(self, feed, answers)
        except Exception as error:  # noqa: BLE001 - the caller has its answer, and must not get another one
            structlog.get_logger().error("shadow_failed", model=self.trial.model, exc_info=error)


class Shadowing:
    """One worker's comparisons; belongs to one event loop.

    Args:
        cache: where the shadows' sessions come from.
        registry: where reports go.
        running: threads in which ``give_way`` was called, of which one is used at a time unless it is stuck.
        writing: where the registry is visited.
        count_runs: tells how many runs the worker has made.
        is_running: tells whether one is under way.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cache: SessionCache[AnySession],
        registry: Registry,
        *,
        running: Executor,
        writing: Executor,
        count_runs: Callable[[], int],
        is_running: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = ShadowStats()
        self._cache = cache
        self._registry = registry
        self._running = running
        self._writing = writing
        self._count_runs = count_runs
        self._is_running = is_running
        self._clock = clock
        self._queues: dict[Trial, _Queue] = {}
        self._size_bytes = 0
        self._run_count = count_runs()
        self._busy_at = -inf
        self._rest_until = -inf
        self._stuck: set[str] = set()
        self._found: dict[Trial, ShadowReport] = {}
        self._skipped: dict[Trial, int] = {}
        """What is not in ``_found`` yet: most requests are skipped, and reports take time to add up."""
        self._came = asyncio.Event()
        self._closing = asyncio.Event()
        self._comparing: asyncio.Task[None] | None = None
        self._flushing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compare what is offered."""
        loop = asyncio.get_running_loop()
        self._comparing = loop.create_task(self._keep_comparing())
        self._flushing = loop.create_task(self._keep_flushing())

    async def close(self) -> None:
        """Compare no more, and write down what has been found."""
        if self._comparing is not None:
            self._comparing.cancel()
            await asyncio.gather(self._comparing, return_exceptions=True)
        self._closing.set()
        if self._flushing is not None:
            await self._flushing
        await self._flush()

    # --- what is offered ----------------------------------------------------------------------------------------------

    def free_places(self, trial: Trial) -> int:
        """How many more samples of a trial there is room for."""
        queue = self._queues.get(trial)
        return _MOST_SAMPLES if queue is None else max(0, _MOST_SAMPLES - len(queue.samples))

    def add(self, tap: Tap, feed: Feed, answers: Mapping[str, Array]) -> None:
        """Keep a copy of a request and its answer, if there is room."""
        is_full = not self.free_places(tap.trial) or tap.candidate.artifact.digest.hex in self._stuck
        size_bytes = 0 if is_full else sum(map(_bytes_of, (*feed.values(), *answers.values())))
        if is_full or self._size_bytes + size_bytes > _MOST_BYTES:
            self.skip(tap, 1)
            return
        inputs = {name: copy_of(value) for name, value in feed.items()}
        outputs = {name: copy_of(value) for name, value in answers.items()}
        queue = self._queues.setdefault(tap.trial, _Queue(tap))
        queue.samples.append(Sample(tap.candidate, inputs, outputs, size_bytes, self._clock()))
        self._size_bytes += size_bytes
        self._came.set()

    def skip(self, tap: Tap, count: int) -> None:
        """Take note of requests that were chosen and cannot be compared."""
        self.stats.skipped += count
        self._skipped[tap.trial] = self._skipped.get(tap.trial, 0) + count

    def _note(self, trial: Trial, report: ShadowReport) -> None:
        before = self._found.get(trial)
        self._found[trial] = report if before is None else before.plus(report)

    # --- comparing ----------------------------------------------------------------------------------------------------

    async def _keep_comparing(self) -> None:
        while True:
            queue = self._next()
            if queue is None:
                await self._wait()
                continue
            try:
                seconds = await self._compare_some(queue)
            except InsufficientMemory:
                self.skip(queue.tap, len(self._take(queue)))
                queue.rest(self._clock() + _PAUSE_AFTER_FAILURE_SECONDS)
            except ServiceError as error:
                self._give_up(queue, error.code)
            except Exception as error:  # noqa: BLE001 - whatever it is, live requests go on, and so does this
                structlog.get_logger().error("shadow_failed", model=queue.tap.trial.model, exc_info=error)
                self._give_up(queue, InternalError.code)
            else:
                now = self._clock()
                self._rest_until = now + _BUSY_REST_SECONDS
                queue.rest(now + _REST * seconds, now + max(_QUIET_REST * seconds, _SHORTEST_REST_SECONDS))

    def _next(self) -> _Queue | None:
        """Return the trial whose turn it is; None if all rest, or have nothing to compare."""
        now = self._clock()
        for trial, queue in tuple(self._queues.items()):
            while queue.samples and queue.samples[0].taken_at < now - _WAITING_SECONDS:
                self._size_bytes -= queue.samples.popleft().size_bytes
                self.skip(queue.tap, 1)
            if not queue.samples and queue.due_at <= now:
                del self._queues[trial]
        due_at = self._due_at()
        due = [queue for queue in self._queues.values() if queue.samples and due_at(queue) <= now]
        return min(due, key=lambda queue: queue.due_at, default=None)  # who has had a turn comes after the others

    def _due_at(self) -> Callable[[_Queue], float]:
        """Return what tells when a trial's turn is, as the worker is now."""
        now, count = self._clock(), self._count_runs()
        if count != self._run_count or self._is_running():
            self._run_count, self._busy_at = count, now
        if now - self._busy_at >= _QUIET_SECONDS:
            return lambda queue: queue.idle_due_at
        return lambda queue: max(queue.due_at, self._rest_until)

    async def _wait(self) -> None:
        """Return when a turn may have come."""
        self._came.clear()
        due_at = self._due_at()
        next_at = min((due_at(queue) for queue in self._queues.values() if queue.samples), default=None)
        seconds = None if next_at is None else min(_LOOK_SECONDS, max(0.0, next_at - self._clock()))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._came.wait()

    async def _compare_some(self, queue: _Queue) -> float:
        """Compare samples of one trial for a while, and return how long that took."""
        candidate = queue.tap.candidate
        lease = await self._cache.acquire_spare(candidate, self._clock() + _LOAD_SECONDS)
        work = Slice(lease.session, self._take(queue), clock=self._clock)
        began = self._clock()
        try:
            is_done = await self._run(work)
        finally:
            lease.release()
        if not is_done:
            structlog.get_logger().error("shadow_is_stuck", model=candidate.model, version=candidate.number)
            self._stuck.add(candidate.artifact.digest.hex)
            raise DeadlinePassed("a run of the shadow cannot be stopped")
        queue.samples.extendleft(reversed(work.samples))
        self._size_bytes += sum(sample.size_bytes for sample in work.samples)
        self.stats.compared += work.report.compared
        self.stats.failed += sum(work.report.failures.values())
        self._note(queue.tap.trial, work.report)
        return self._clock() - began

    async def _run(self, work: Slice) -> bool:
        """Run a slice, and return whether it has ended; if it has not, nothing more will come of it."""
        running = asyncio.get_running_loop().run_in_executor(self._running, work.run)
        try:
            await asyncio.wait({running}, timeout=_RUN_SECONDS)
            if not running.done():
                work.cancellation.cancel()
                await asyncio.wait({running}, timeout=_GRACE_SECONDS)
        except asyncio.CancelledError:  # the worker is ending
            work.cancellation.cancel()
            raise
        if running.done():
            running.result()
        return running.done()

    def _take(self, queue: _Queue) -> deque[Sample]:
        """Return the samples of a trial, which are its no longer."""
        taken, queue.samples = queue.samples, deque()
        self._size_bytes -= sum(sample.size_bytes for sample in taken)
        return taken

    def _give_up(self, queue: _Queue, code: str) -> None:
        """Count what waits for a shadow that is not to be had."""
        count = len(self._take(queue))
        if code == DeadlinePassed.code:
            count += 1  # the one that was run
        self.stats.failed += count
        self._note(queue.tap.trial, ShadowReport(failures={code: count}))
        queue.rest(self._clock() + _PAUSE_AFTER_FAILURE_SECONDS)

    # --- writing down -------------------------------------------------------------------------------------------------

    async def _keep_flushing(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._closing.wait()
            if not self._closing.is_set():
                await self._flush()

    async def _flush(self) -> None:
        skipped, self._skipped = self._skipped, {}
        for trial, count in skipped.items():
            if count:
                self._note(trial, ShadowReport(skipped=count))
        for trial in tuple(self._found):
            report = self._found.pop(trial)
            try:
                await asyncio.get_running_loop().run_in_executor(self._writing, self._write, trial, report)
            except Busy:  # rule 5, and the others would wait in vain
                self._note(trial, report)
                return
            except Exception as error:  # noqa: BLE001 - one that cannot be written holds up no other
                structlog.get_logger().warning("shadow_not_noted", model=trial.model, error=type(error).__name__)
                self._note(trial, report)

    def _write(self, trial: Trial, report: ShadowReport) -> None:
        with self._registry.writing() as transaction:
            transaction.add_shadow_report(trial, report)


def _bytes_of(value: Value) -> int:
    return sum(
        array.nbytes if array.dtype.kind != "O" else sum(len(str(text)) for text in array.flat)
        for array in leaves(value)
    )
