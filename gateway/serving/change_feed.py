"""Following the registry's change feed, for ever.

1. A worker starts at the newest event, and forgets what it read before that: no event would correct it any more.
2. Events are started in order, and applied side by side: a slow load for one alias does not hold up another. What is
   reported as applied is the number below the first one that is still under way.
3. An event that cannot be applied (the registry does not answer, the new version does not load) is tried again until it
   can, or until a later event about the same thing has been applied.
4. No error ends the feed: it is kept in ``read_error`` or ``apply_error`` and goes away with the next success.
5. The worker reports what it has applied, what it has read beyond that, and what it cannot apply so far, when that has
   changed, and every ``report_seconds``; it takes its report back when it ends, so that nobody waits for it.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from registry.errors import InternalError, ServiceError
from registry.events import ABOUT_A_TOKEN, Event
from registry.ports import Registry
from registry.records import FailedSwitch, WorkerReport

_PAGE = 500
_MOST_PENDING = 100
"""So many events that are under way are reported; what was read beyond them is reported when they are done."""


class ChangeFeed:
    """Reads events and has them applied; belongs to one event loop.

    Args:
        registry: read in ``executor``.
        apply: makes an event true for this worker; safe to repeat (Routing.apply).
        begin: called once, when the place in the feed to start from is known (Routing.begin).
        recover: called each time when the feed has been read: the registry answers (Routing.forget_recalled).
        report: describes this worker, given the sequence number that it has applied; called on the event loop. The
            moment in it is replaced by the registry's when it is written.
        executor: where the registry is visited.
        clock: monotonic seconds.
        poll_seconds: how long to wait between two readings if nobody wakes the feed.
        report_seconds: how long to be silent at most.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        apply: Callable[[Event], Awaitable[None]],
        begin: Callable[[int], None],
        recover: Callable[[], None] = lambda: None,
        report: Callable[[int], WorkerReport],
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
        poll_seconds: float = 0.25,
        report_seconds: float = 5.0,
    ) -> None:
        self._registry = registry
        self._apply = apply
        self._begin = begin
        self._recover = recover
        self._report = report
        self._executor = executor
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._report_seconds = report_seconds
        self._read_up_to: int | None = None
        self._read_at = clock()
        self._read_error: ServiceError | None = None
        self._under_way: dict[int, _Work] = {}
        self._done_count = 0
        self._reported: tuple[int, tuple[FailedSwitch, ...], int] | None = None
        self._reported_at = 0.0
        self._report_write: asyncio.Future[None] | None = None
        """The last one."""
        self._reading = asyncio.Lock()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # --- what others ask ----------------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """True once the feed has been read."""
        return self._read_up_to is not None

    @property
    def applied(self) -> int:
        """The sequence number up to which every event has been applied; 0 before the first reading."""
        if self._under_way:
            return min(self._under_way) - 1
        return self._read_up_to or 0

    @property
    def pending(self) -> tuple[int, tuple[int, ...]]:
        """How far the feed has been read, and which events up to there have not been applied."""
        under_way = sorted(self._under_way)
        if len(under_way) > _MOST_PENDING:
            return under_way[_MOST_PENDING] - 1, tuple(under_way[:_MOST_PENDING])
        return self._read_up_to or 0, tuple(under_way)

    @property
    def read_error(self) -> ServiceError | None:
        """Why the feed cannot be read; None if it can."""
        return self._read_error

    @property
    def apply_error(self) -> ServiceError | None:
        """Why the oldest event that waits cannot be applied; None if none waits for long."""
        return next((work.error for _, work in sorted(self._under_way.items()) if work.error is not None), None)

    @property
    def failed(self) -> tuple[FailedSwitch, ...]:
        """What cannot be applied so far, and is tried again."""
        return tuple(
            FailedSwitch(
                sequence=sequence,
                model=work.event.model,
                alias=work.event.alias,
                version=work.event.version,
                code=work.error.code,
            )
            for sequence, work in sorted(self._under_way.items())
            if work.error is not None
        )

    @property
    def read_at(self) -> float:
        """The moment of the newest reading, by the clock; before the first one, since when it has been waited for."""
        return self._read_at

    @property
    def seconds_since_read(self) -> float:
        """How old the newest reading is; before the first one, how long it has been waited for."""
        return self._clock() - self._read_at

    # --- what others do -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow."""
        self._read_at = self._clock()
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Stop following; events under way are given up."""
        tasks = [work.task for work in self._under_way.values()]
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._report_write is not None:
            with contextlib.suppress(Exception):  # rule 4; a report that stays is past its time in a few seconds
                await self._take_back(self._report_write)

    def wake(self) -> None:
        """Read now instead of after ``poll_seconds``; to be called on the event loop."""
        self._woken.set()

    async def catch_up(self) -> None:
        """Read now, and return when what was read has been applied or has failed once; never raises for the registry.

        For a worker that has just written: its own next answers then know of it.
        """
        await self._read()
        for work in tuple(self._under_way.values()):
            await work.tried.wait()

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            self._woken.clear()
            await self._read()
            await self._tell()
            # Not wait_for: up to Python 3.11 it swallows a cancellation that comes in the tick of the wake-up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._woken.wait()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._reading:
            try:
                events: Sequence[Event] = ()
                if self._read_up_to is None:
                    self._read_up_to = await loop.run_in_executor(self._executor, self._find_start)
                    self._begin(self._read_up_to)
                else:
                    events = await loop.run_in_executor(self._executor, self._list_events, self._read_up_to)
            except Exception as error:  # noqa: BLE001  rule 4: a feed that ends would leave the worker deaf for ever
                self._read_error = _known(error)
                return
            self._recover()
            self._read_error = None
            self._read_at = self._clock()
            for event in events:
                self._read_up_to = event.sequence
                self._under_way[event.sequence] = work = _Work(event)
                work.task = loop.create_task(self._apply_until_done(work))
            if len(events) == _PAGE:
                self.wake()

    def _find_start(self) -> int:
        self._registry.check_schema()
        with self._registry.reading() as catalog:
            return catalog.latest_sequence()

    def _list_events(self, after: int) -> Sequence[Event]:
        with self._registry.reading() as catalog:
            return catalog.list_events(after=after, limit=_PAGE)

    # --- applying -----------------------------------------------------------------------------------------------------

    async def _apply_until_done(self, work: "_Work") -> None:
        try:
            while not await self._try(work):  # noqa: ASYNC110  it waits before a retry, not for a condition
                await asyncio.sleep((work.error and work.error.retry_after_seconds) or self._poll_seconds)
            self._end_pointless(work)
        finally:
            del self._under_way[work.event.sequence]
            self._done_count += 1
            work.tried.set()
            self.wake()  # to report it

    async def _try(self, work: "_Work") -> bool:
        try:
            await self._apply(work.event)
        except Exception as error:  # noqa: BLE001  rules 3 and 4
            work.error = _known(error)
            work.tried.set()
            self.wake()  # to report it
            return False
        return True

    def _end_pointless(self, done: "_Work") -> None:
        for sequence, work in self._under_way.items():
            if sequence < done.event.sequence and work.subject == done.subject:
                work.task.cancel()

    # --- reporting ----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        if not self.is_ready:
            return
        state, now = (self.applied, self.failed, self._done_count), self._clock()
        if state == self._reported and now < self._reported_at + self._report_seconds:
            return
        read, pending = self.pending
        report = replace(self._report(state[0]), failed=state[1], read=read, pending=pending)
        self._report_write = asyncio.get_running_loop().run_in_executor(self._executor, self._write_report, report)
        try:
            await asyncio.shield(self._report_write)
        except Exception as error:  # noqa: BLE001  rule 4
            self._read_error = _known(error)
            return
        self._reported, self._reported_at = state, now

    async def _take_back(self, write: asyncio.Future[None]) -> None:
        if not write.done():
            await write  # else it would come after that it has been taken back; if it fails, so would that
        await asyncio.get_running_loop().run_in_executor(self._executor, self._withdraw_report)

    def _withdraw_report(self) -> None:
        report = self._report(self.applied)
        with self._registry.writing() as transaction:
            transaction.forget_worker(report.host, report.pid)

    def _write_report(self, report: WorkerReport) -> None:
        with self._registry.writing() as transaction:
            transaction.report_worker(replace(report, reported_at=transaction.now()))


def _known(error: Exception) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    unknown = InternalError(f"the change feed stumbled over {type(error).__name__}")
    unknown.__cause__ = error
    return unknown


class _Work:
    """An event that is being applied."""

    __slots__ = ("error", "event", "subject", "task", "tried")

    task: asyncio.Task[None]

    def __init__(self, event: Event) -> None:
        self.event = event
        token = event.detail.get("token") if event.kind in ABOUT_A_TOKEN else None
        self.subject = (event.kind, event.model, event.version if event.alias is None else event.alias, token)
        self.error: ServiceError | None = None
        self.tried = asyncio.Event()
