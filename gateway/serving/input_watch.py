"""What requests bring to each version, added up: the part of it that gives way.

1. Every ``_SECOND`` the samples that wait are taken, and turned into sums by a thread that gives way, some at a time: a
   slice takes half a millisecond or one input of one version, and the thread rests for ``_REST`` times as long.
2. What is not summed up ``_SECOND`` after it was taken is skipped, and counted. So nothing that was sent is kept for
   more than two seconds, and one slice.
3. The sums of a column go to the worker's board when ``FEWEST_REQUESTS`` have brought something and, where any have
   brought a finite number, as many have done that: whoever knew the sums before would read a single one out of them.
   Until then they are here; they end with the worker, or when they are an hour old.
4. The golden examples of a version are read when it is first looked at, and when they have changed, in a thread of
   their own; if the registry does not answer, again after ``_AGAIN_SECONDS``. Until they are there, no text is unseen.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from gateway.input_board import FEWEST_REQUESTS, HOUR_SECONDS, InputBoard
from gateway.serving.input_samples import InputTap, Sample, Samples, Second, tell
from registry.input_statistics import InputPlan, LookedAt, Moments, Reference, moments_of, unseen_in
from registry.records import Version

_SECOND: Final = 1.0
_SLICE_SECONDS: Final = 0.0005
_REST: Final = 49
_LONGEST_REST_SECONDS: Final = 0.1
_AGAIN_SECONDS: Final = 5.0
_MOST_REFERENCES: Final = 64
"""Of one version, in the life of a worker: each takes room on its board."""

ReadReference = Callable[[Version, InputPlan], Reference | None]


@dataclass(slots=True)
class _Sums:
    """What has been summed up of one column, and is not on the board yet."""

    since: float
    finite_requests: int = 0
    """Requests that have brought a finite number."""
    moments: Moments = field(default_factory=Moments)

    @property
    def may_be_told(self) -> bool:
        """Whether they are of so many requests that none can be read out of them (rule 3)."""
        few = 0 < self.finite_requests < FEWEST_REQUESTS
        return self.moments.requests >= FEWEST_REQUESTS and not few


@dataclass(slots=True)
class _Held:
    """How many texts of one input have been held against a reference, and how many are not in it, by column."""

    digest: str
    requests: int = 0
    unseen: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Watched:
    """One version that is looked at."""

    plan: InputPlan
    sums: dict[tuple[str, int], _Sums] = field(default_factory=dict)
    """By input and column."""
    held: dict[str, _Held] = field(default_factory=dict)
    reference: Reference | None = None
    read_digest: str | None = None
    """Of the examples that were read last; None before that."""
    read_count: int = 0
    again_at: float = 0.0
    is_reading: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some work: the samples of one input."""

    version: Version
    watched: _Watched
    looked: LookedAt
    samples: list[Sample]


class InputWatch:
    """One worker's look at what it is sent; belongs to one event loop.

    Args:
        board: where sums go.
        read: returns what a version's examples are like; may block, and raise.
        running: one thread in which ``give_way`` was called.
        reading: one thread in which ``read`` is called.
        wall_clock: seconds since 1970.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        board: InputBoard,
        read: ReadReference,
        *,
        running: Executor,
        reading: Executor,
        wall_clock: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._read = read
        self._running = running
        self._reading = reading
        self._clock = clock
        self._wall_clock = wall_clock
        self._samples = Samples()
        self._watched: dict[tuple[str, int], _Watched] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._readings: set[asyncio.Task[None]] = set()

    def tap_of(self, version: Version) -> InputTap | None:
        """Return where the requests of a version are to be offered; None if it has no input that is looked at."""
        plan = InputPlan.of(version.signature)
        return InputTap(version, plan, self._samples, self._take_room) if plan.inputs else None

    def start(self) -> None:
        """Begin to look at what is offered."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep_looking())

    async def close(self) -> None:
        """Look no more."""
        tasks = [task for task in (self._keeping, *self._readings) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take_room(self, version: Version, plan: InputPlan) -> bool:
        key = version.model, version.number
        if key not in self._watched:
            if not self._board.take_room(version.model, version.number, plan.width):
                log = structlog.get_logger()
                log.warning("inputs_have_no_room", model=version.model, version=version.number, columns=plan.width)
                return False
            self._watched[key] = _Watched(plan)
        return True

    # --- each second --------------------------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            began = self._clock()
            taken = self._samples.take()
            try:
                await self._look(taken, until=began + _SECOND)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next second is looked at
                structlog.get_logger().error("inputs_not_looked_at", error=type(error).__name__)
            finally:
                self._samples.size_bytes -= sum(second.size_bytes for _, second in taken)
            del taken
            await asyncio.sleep(max(0.0, began + _SECOND - self._clock()))

    async def _look(self, taken: list[tuple[Version, Second]], until: float) -> None:
        """Sum up what has been taken, until a moment of the monotonic clock; what is left then is skipped."""
        pieces: deque[_Piece] = deque()
        for version, second in taken:
            watched = self._watched[version.model, version.number]
            self._want_reference(version, watched)
            brought = [looked for looked in watched.plan.inputs if looked.name in second.samples]
            pieces += [_Piece(version, watched, looked, second.samples.pop(looked.name)) for looked in brought]
        while pieces and self._clock() < until:
            seconds = await self._in_thread(self._sum_some, pieces)
            await asyncio.sleep(min(_REST * seconds, _LONGEST_REST_SECONDS))
        left = {(piece.version.model, piece.version.number) for piece in pieces}
        for version, second in taken:
            if (version.model, version.number) in left:
                second.requests, second.skipped = 0, second.skipped + second.requests
        if taken:
            await self._in_thread(self._count, taken)

    async def _in_thread(self, work: Callable[..., float], *arguments: object) -> float:
        return await asyncio.get_running_loop().run_in_executor(self._running, work, *arguments)

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _count(self, taken: list[tuple[Version, Second]]) -> float:
        now = self._wall_clock()
        for version, second in taken:
            looked_at, skipped = second.requests, second.skipped
            self._board.count(version.model, version.number, looked_at=looked_at, skipped=skipped, now=now)
        return now

    def _sum_some(self, pieces: deque[_Piece]) -> float:
        """Sum up until the time of a slice is over, and return how long it took."""
        began = self._clock()
        while pieces and self._clock() <= began + _SLICE_SECONDS:
            piece = pieces.popleft()
            try:
                self._sum(piece)
            except Exception as error:  # noqa: BLE001 - our own mistake about one input is none about the others
                tell(piece.version, error)
        return self._clock() - began

    def _sum(self, piece: _Piece) -> None:
        version, name = piece.version, piece.looked.name
        samples = [sample for sample in piece.samples if len(sample.table)]
        if not samples:
            return
        table = np.concatenate([sample.table for sample in samples])
        requests = sum(sample.requests for sample in samples)
        told = [
            self._due(piece, column, moments, finite_requests)
            for column, (moments, finite_requests) in enumerate(
                zip(moments_of(table, requests=requests), _finite_requests(samples), strict=True)
            )
        ]
        if any(moments.requests for moments in told):
            self._board.add(version.model, version.number, name, told, now=self._clock())
        reference = piece.watched.reference
        if reference is not None and name in reference.texts:
            self._hold(piece, table, requests, reference)

    def _due(self, piece: _Piece, column: int, more: Moments, finite_requests: int) -> Moments:
        """Add to what waits of a column, and return what may go to the board: all of it, or nothing."""
        key, now = (piece.looked.name, column), self._clock()
        sums = piece.watched.sums.get(key)
        if sums is None or now - sums.since > HOUR_SECONDS:
            sums = piece.watched.sums[key] = _Sums(now)
        sums.moments = sums.moments.plus(more)
        sums.finite_requests += finite_requests
        if not sums.may_be_told:
            return Moments()
        del piece.watched.sums[key]
        return sums.moments

    def _hold(self, piece: _Piece, table: NDArray[Any], requests: int, reference: Reference) -> None:
        """Hold texts against what the examples have."""
        version, name = piece.version, piece.looked.name
        held = piece.watched.held.get(name)
        if held is None or held.digest != reference.digest:
            held = piece.watched.held[name] = _Held(reference.digest)
        before = held.unseen or [(0, 0)] * piece.looked.width
        held.unseen = [
            (count, others) if texts is None else (count + len(column), others + unseen_in(column, texts))
            for (count, others), column, texts in zip(before, table.T, reference.texts[name], strict=True)
        ]
        held.requests += requests
        if held.requests >= FEWEST_REQUESTS:
            self._board.add_unseen(version.model, version.number, name, digest=held.digest, unseen=held.unseen)
            del piece.watched.held[name]

    # --- references ---------------------------------------------------------------------------------------------------

    def _want_reference(self, version: Version, watched: _Watched) -> None:
        """Have the examples of a version read, if that has not been done since they changed."""
        digest = "" if version.examples is None else version.examples.digest
        is_due = digest != watched.read_digest and self._clock() >= watched.again_at
        if is_due and not watched.is_reading and watched.read_count < _MOST_REFERENCES:
            watched.is_reading = True
            task = asyncio.get_running_loop().create_task(self._refer(version, watched, digest))
            self._readings.add(task)
            task.add_done_callback(self._readings.discard)

    async def _refer(self, version: Version, watched: _Watched, digest: str) -> None:
        loop = asyncio.get_running_loop()
        watched.again_at = self._clock() + _AGAIN_SECONDS  # also where others were read than those that are expected
        try:
            reference = await loop.run_in_executor(self._reading, self._read, version, watched.plan) if digest else None
            await self._in_thread(self._write_reference, version, watched, reference)
        except Exception as error:  # noqa: BLE001 - rule 4
            structlog.get_logger().warning("examples_not_read", model=version.model, error=type(error).__name__)
        else:
            watched.reference, watched.read_count = reference, watched.read_count + 1
            watched.read_digest = "" if reference is None else reference.digest
        finally:
            watched.is_reading = False

    def _write_reference(self, version: Version, watched: _Watched, reference: Reference | None) -> float:
        now = self._clock()
        for looked in watched.plan.inputs:
            moments = None if reference is None else reference.moments.get(looked.name)
            self._board.refer(
                version.model,
                version.number,
                looked.name,
                digest="" if reference is None else reference.digest,
                moments=moments or (Moments(),) * looked.width,
                now=now,
            )
        return now


def _finite_requests(samples: list[Sample]) -> list[int]:
    """Return of each column how many requests, at most, have brought a finite number."""
    if samples[0].table.dtype.kind == "O":
        return [0] * int(samples[0].table.shape[1])
    with np.errstate(all="ignore"):  # some NaN signal
        found = [np.minimum(np.isfinite(one.table.astype(np.float64)).sum(axis=0), one.requests) for one in samples]
    return [int(count) for count in np.sum(found, axis=0)]
