"""Comparing a shadow's answers with the live ones, without anybody noticing.

1. A caller has its answer before anything is done here. Of the requests that are chosen, a copy is kept, up to
   ``_MOST_SAMPLES`` and ``_MOST_BYTES``; what finds no room is skipped, and counted.
2. Copies are run in a thread of its own that gives way to others, some at a time, each request alone as its caller sent
   it. A slice of work takes ``_SLICE_SECONDS`` or one run; then the thread rests for so long that it has a twentieth of
   the time, or, if the worker makes no runs meanwhile, a third.
3. A shadow is loaded like any version that is asked for. One that cannot be loaded, or refuses a request, is counted as
   a failure by the error's code.
4. What has been found is added up here, and to the registry every ``_FLUSH_SECONDS``; if that does not answer, later.
"""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from random import random
from typing import Final

import structlog

from gateway.serving.batching import Feed, part_of, split
from gateway.serving.runtime import Array, Cancellation, Session
from gateway.serving.session_cache import SessionCache
from registry.errors import InternalError, ServiceError
from registry.ports import Registry
from registry.records import Version
from registry.shadow import OutputDifference, ShadowReport, compare_output

_MOST_SAMPLES: Final = 64
_MOST_BYTES: Final = 32 * 1024 * 1024
_SLICE_SECONDS: Final = 0.002
_REST: Final = 19
_QUIET_REST: Final = 2
_SHORTEST_REST_SECONDS: Final = 0.002
_LOAD_SECONDS: Final = 60.0
_RUN_SECONDS: Final = 30.0
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
_FLUSH_SECONDS: Final = 2.0
_NICENESS: Final = 10

Key = tuple[str, str, int]
"""Model, alias and trial."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request and its live answer."""

    tap: "Tap"
    feed: Feed
    answers: Mapping[str, Array]
    size_bytes: int


@dataclass(slots=True)
class ShadowStats:
    """What has happened since the start."""

    compared: int = 0
    skipped: int = 0
    failed: int = 0


class Tap:
    """Where the live answers of one alias are offered; belongs to one event loop.

    Args:
        key: whose trial this is.
        candidate: the shadow.
        share: of the requests, from 0 to 1.
        names: of all outputs of the live version.
        shadowing: what compares.
    """

    __slots__ = ("_names", "_shadowing", "_share", "candidate", "key")

    def __init__(
        self, key: Key, candidate: Version, share: float, names: tuple[str, ...], shadowing: "Shadowing"
    ) -> None:
        self.key = key
        self.candidate = candidate
        self._share = share
        self._names = names
        self._shadowing = shadowing

    def offer(self, feed: Feed, outputs: tuple[str, ...] | None, arrays: Sequence[Array]) -> None:
        """Take a copy of one request that has been answered, perhaps."""
        if random() < self._share:  # noqa: S311 - a sample
            self._shadowing.add(self, feed, dict(zip(outputs or self._names, arrays, strict=True)))

    def offer_rows(
        self, feed: Feed, counts: Sequence[int], outputs: tuple[str, ...] | None, arrays: Sequence[Array]
    ) -> None:
        """Take copies of some of the requests that have shared a run, each of them with its rows."""
        if len(counts) == 1:
            self.offer(feed, outputs, arrays)
            return
        names = outputs or self._names
        chosen = [place for place in range(len(counts)) if random() < self._share]  # noqa: S311 - as above
        fitting = chosen[: self._shadowing.free_places]
        self._shadowing.skip(self, len(chosen) - len(fitting))
        shares = list(split(list(arrays), counts)) if fitting else []
        for place in fitting:
            part = part_of(feed, place, counts=counts)
            self._shadowing.add(self, part, dict(zip(names, shares[place], strict=True)))


class Shadowing:
    """One worker's comparisons; belongs to one event loop.

    Args:
        cache: where the shadows' sessions come from.
        registry: where reports go.
        running: one thread, in which ``give_way`` was called.
        writing: where the registry is visited.
        count_runs: tells how many runs the worker has made.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        cache: SessionCache[Session],
        registry: Registry,
        *,
        running: Executor,
        writing: Executor,
        count_runs: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = ShadowStats()
        self._cache = cache
        self._registry = registry
        self._running = running
        self._writing = writing
        self._count_runs = count_runs
        self._clock = clock
        self._samples: deque[Sample] = deque()
        self._size_bytes = 0
        self._found: dict[Key, ShadowReport] = {}
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
        await (self._flushing or self._flush())

    # --- what is offered ----------------------------------------------------------------------------------------------

    @property
    def free_places(self) -> int:
        """How many more samples there is room for."""
        return max(0, _MOST_SAMPLES - len(self._samples)) if self._size_bytes < _MOST_BYTES else 0

    def add(self, tap: Tap, feed: Feed, answers: Mapping[str, Array]) -> None:
        """Keep a copy of a request and its answer, if there is room."""
        size_bytes = 0 if not self.free_places else sum(map(_bytes_of, (*feed.values(), *answers.values())))
        if not self.free_places or self._size_bytes + size_bytes > _MOST_BYTES:
            self.skip(tap, 1)
            return
        inputs = {name: array.copy() for name, array in feed.items()}
        outputs = {name: array.copy() for name, array in answers.items()}
        self._samples.append(Sample(tap, inputs, outputs, size_bytes))
        self._size_bytes += size_bytes
        self._came.set()

    def skip(self, tap: Tap, count: int) -> None:
        """Take note of requests that were chosen and cannot be compared."""
        if count:
            self.stats.skipped += count
            self._note(tap.key, ShadowReport(skipped=count))

    def _note(self, key: Key, report: ShadowReport) -> None:
        before = self._found.get(key)
        self._found[key] = report if before is None else before.plus(report)

    # --- comparing ----------------------------------------------------------------------------------------------------

    async def _keep_comparing(self) -> None:
        while True:
            if not self._samples:
                self._came.clear()
                await self._came.wait()
            tap = self._samples[0].tap
            try:
                seconds = await self._compare_some(tap)
            except ServiceError as error:
                self._give_up(tap, error.code)
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, live requests go on, and so does this
                structlog.get_logger().error("shadow_failed", model=tap.key[0], exc_info=error)
                self._give_up(tap, InternalError.code)
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)
            else:
                await self._rest(seconds)

    async def _compare_some(self, tap: Tap) -> float:
        """Compare samples of one trial for a while, and return how long that took."""
        lease = await self._cache.acquire(tap.candidate, self._clock() + _LOAD_SECONDS)
        work = _Slice(lease.session, self._take(tap))
        expiry = asyncio.get_running_loop().call_later(_RUN_SECONDS, work.cancellation.cancel)
        began = self._clock()
        try:
            await asyncio.get_running_loop().run_in_executor(self._running, work.run)
        except asyncio.CancelledError:  # the worker is ending
            work.cancellation.cancel()
            raise
        finally:
            expiry.cancel()
            lease.release()
        self._samples.extendleft(reversed(work.samples))
        self._size_bytes += sum(sample.size_bytes for sample in work.samples)
        self.stats.compared += work.report.compared
        self.stats.failed += sum(work.report.failures.values())
        self._note(tap.key, work.report)
        return self._clock() - began

    def _take(self, tap: Tap) -> deque[Sample]:
        """Return the samples of a trial that stand together at the front."""
        taken: deque[Sample] = deque()
        while self._samples and self._samples[0].tap is tap:
            taken.append(self._samples.popleft())
        self._size_bytes -= sum(sample.size_bytes for sample in taken)
        return taken

    def _give_up(self, tap: Tap, code: str) -> None:
        """Count what waits for a shadow that is not to be had."""
        count = len(self._take(tap))
        self.stats.failed += count
        self._note(tap.key, ShadowReport(failures={code: count}))

    async def _rest(self, seconds: float) -> None:
        """Rule 2."""
        until = self._clock() + _REST * seconds
        while self._clock() < until:
            runs = self._count_runs()
            await asyncio.sleep(max(_QUIET_REST * seconds, _SHORTEST_REST_SECONDS))
            if self._count_runs() == runs:
                return

    # --- writing down -------------------------------------------------------------------------------------------------

    async def _keep_flushing(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._closing.wait()
            await self._flush()

    async def _flush(self) -> None:
        for key in tuple(self._found):
            report = self._found.pop(key)
            try:
                await asyncio.get_running_loop().run_in_executor(self._writing, self._write, key, report)
            except Exception as error:  # noqa: BLE001 - the registry does not answer, or something worse: rule 4
                structlog.get_logger().warning("shadow_not_noted", model=key[0], error=type(error).__name__)
                self._note(key, report)

    def _write(self, key: Key, report: ShadowReport) -> None:
        model, alias, trial = key
        with self._registry.writing() as transaction:
            transaction.add_shadow_report(model, alias, trial, report)


def _bytes_of(array: Array) -> int:
    return array.nbytes if array.dtype.kind != "O" else sum(len(str(text)) for text in array.flat)


def give_way() -> None:
    """Let other threads of this process, and other processes, go first; to be called in the thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


@dataclass(slots=True)
class _Slice:
    """Some samples of one trial, and what has come of them when ``run`` returns; what is left stays in ``samples``."""

    session: Session
    samples: deque[Sample]
    report: ShadowReport = field(default_factory=ShadowReport)
    cancellation: Cancellation = field(default_factory=Cancellation)

    def run(self) -> None:
        """Compare until the time of a slice is over."""
        until = time.monotonic() + _SLICE_SECONDS
        while self.samples:
            sample = self.samples.popleft()
            try:
                found = self._compare(sample)
            except ServiceError as error:
                found = ShadowReport(failures={error.code: 1})
            except Exception as error:  # noqa: BLE001 - our own mistake about one sample is none about the others
                structlog.get_logger().error("shadow_failed", model=sample.tap.key[0], exc_info=error)
                found = ShadowReport(failures={InternalError.code: 1})
            self.report = self.report.plus(found)
            if time.monotonic() > until:
                return

    def _compare(self, sample: Sample) -> ShadowReport:
        has = {spec.name for spec in sample.tap.candidate.signature.outputs}
        names = [name for name in sample.answers if name in has]
        arrays = self.session.run(names, sample.feed, self.cancellation) if names else []
        outputs = dict.fromkeys(sample.answers, OutputDifference(compared=1, incomparable=1))
        for name, array in zip(names, arrays, strict=True):
            outputs[name] = compare_output(sample.answers[name], array)
        return ShadowReport(compared=1, outputs=outputs)
