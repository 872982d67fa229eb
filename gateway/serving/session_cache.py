"""Loaded sessions under a memory budget, leased to whoever runs them.

1. Nobody holds a session, only a lease. What is leased is never closed. Within one step of the loop nothing is, and a
   session may be used without a lease (``peek``).
2. However many ask for a version, it is loaded once, in an executor. When it is there, everybody who waited has a lease
   before anything else can happen to it.
3. A version that is not loaded joins the end of one line for room. The first in line gets room first, even where one
   behind it would fit sooner: otherwise big models would wait for ever. Who has a loaded model never stands in line.
4. Room is made by dropping those idle sessions whose loss costs least (``eviction``), as many as it takes, and none
   unless it is enough.
5. Where idle sessions are not enough for ``patience_seconds``, others get no new leases, and are dropped when their
   last lease has ended: a model that is never idle cannot keep the rest out.
6. What has just been loaded is of use first, for some time (``settling``); then it makes room for others.
7. What is ``reserved`` never makes room for others. What could not fit beside what is pinned is refused at once, as is
   what could not fit into an empty cache; nobody is dropped for either.
8. Memory is what inspection measured, or what the load says that this form of the model takes. It counts from before
   the load until after the session has been dropped, which also happens in the executor, since dropping holds the GIL
   for long.
9. A caller that gives up (cancelled, or its deadline has passed) leaves no trace; a load that has begun goes on.

Everything here runs on one event loop; only ``load`` and ``close`` run elsewhere.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial

from gateway.serving.cache_entry import MIN_SESSION_BYTES, Closeable, Entry, Key, Lease, S, Stats, disown, key_of
from gateway.serving.cache_view import CacheView
from gateway.serving.eviction import Ranking
from gateway.serving.lifecycle import State
from gateway.serving.load_failures import LoadFailures
from gateway.serving.reserved import Reserved
from gateway.serving.settling import Settling
from registry.errors import InsufficientMemory, Overloaded, ServiceError
from registry.records import Version

__all__ = ["Closeable", "Lease", "SessionCache", "Stats"]


class SessionCache(CacheView[S]):
    """Loaded sessions by version.

    Args:
        budget_bytes: what all sessions together may take.
        load: makes a version's session; blocks; runs in ``executor``. It may raise LoadFailed, ArtifactMissing,
            ArtifactCorrupt, StorageUnavailable, InsufficientStorage.
        executor: where loads and drops run; its threads bound how many loads run at once.
        freed: told when a load or a drop may have left memory behind that can go back to the system.
        max_queue: how many callers may wait for one version.
        clock: monotonic seconds; deadlines are moments of it.
        patience_seconds: rule 5.
        expect: tells how many bytes a version's session will probably take, quickly, on the event loop.
    """

    def __init__(
        self,
        *,
        budget_bytes: int,
        load: Callable[[Version], S],
        executor: Executor,
        freed: Callable[[], None],
        max_queue: int = 256,
        clock: Callable[[], float] = time.monotonic,
        patience_seconds: float = 0.25,
        expect: Callable[[Version], int] = lambda version: version.inspection.memory_bytes,
    ) -> None:
        super().__init__()
        self.stats = Stats()
        self._budget_bytes = budget_bytes
        self._load = load
        self._executor = executor
        self._max_queue = max_queue
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._failures = LoadFailures(clock)
        self._expect = expect
        self._freed = freed
        self._ranking: Ranking[Entry[S]] = Ranking()
        self._settling: Settling[S] = Settling(clock, self._give_room)
        self._reserved = Reserved(budget_bytes, self._bytes_of)
        self.is_pinned = self._reserved.has_pin
        """Tells whether a version of the model of that name is pinned."""
        self._line: dict[Key, Entry[S]] = {}  # NEW, in the order in which room is given
        self._leaving_bytes = 0  # draining
        self._is_open = True
        self._changed = asyncio.Event()

    # --- what callers do ----------------------------------------------------------------------------------------------

    def peek(self, version: Version) -> S | None:
        """Return the session if the version is loaded, else None; not to be kept beyond this step of the event loop."""
        entry = self._ready.get((version.model, version.number))
        if entry is None:
            return None
        entry.uses += 1
        entry.floor = self._ranking.floor
        self.stats.hits += 1
        return entry.session

    def try_acquire(self, version: Version) -> Lease[S] | None:
        """Return a lease if the version is loaded, else None. Every lease must be released, once."""
        entry = self._ready.get((version.model, version.number))
        if entry is None:
            return None
        entry.uses += 1
        entry.floor = self._ranking.floor
        entry.lease_count += 1
        self.stats.hits += 1
        return Lease(entry, self._released)

    async def acquire(self, version: Version, deadline: float) -> Lease[S]:
        """Return a lease, once the version is loaded. Every lease must be released, once.

        Raises:
            InsufficientMemory: the model alone exceeds the budget; or there was no room until the deadline.
            DeadlinePassed: the load took until the deadline.
            LoadFailed, ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage: it did not load, now
                or a short while ago.
            Overloaded: ``max_queue`` callers wait for this version already, or the cache is draining.
        """
        lease = self.try_acquire(version)
        if lease is not None:
            return lease
        self.stats.misses += 1
        entry = self._wanted(version)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Lease[S]] = loop.create_future()
        entry.waiters[waiter] = None
        timer = loop.call_later(max(0.0, deadline - self._clock()), entry.expire, waiter)
        self._give_room()
        try:
            return await waiter
        except asyncio.CancelledError:
            disown(waiter)
            raise
        finally:
            timer.cancel()
            self._leave(entry, waiter)

    async def preload(self, version: Version, deadline: float) -> None:
        """Load the version if it is not loaded; raises what ``acquire`` raises. It may be dropped again at any time."""
        (await self.acquire(version, deadline)).release()

    async def acquire_spare(self, version: Version, deadline: float) -> Lease[S]:
        """Return a lease as ``acquire``, for what nobody waits for: it makes no room, and does not count as use.

        Raises:
            InsufficientMemory: the version is not loaded, and there is no memory that nobody else needs.
            What ``acquire`` raises.
        """
        entry = self._ready.get(key_of(version))
        if entry is not None:
            entry.lease_count += 1
            return Lease(entry, self._released)
        if self._line or self._used_bytes + self._expect(version) > self._budget_bytes:
            raise InsufficientMemory("no memory is free")
        return await self.acquire(version, deadline)

    async def succeed(self, before: Version, after: Version, deadline: float) -> None:
        """Load ``after`` while ``before`` stays, if that is loaded and there can be room for both; as ``preload``."""
        key = key_of(before)
        if key in self._ready and self._reserved.fits_beside(key_of(after), self._expect(after), key):
            with self._reserved.keeping(key):
                await self.preload(after, deadline)

    def renew(self, version: Version) -> bool:
        """Load an idle plain session anew, whose model has been prepared since; return whether there was one."""
        entry = self._ready.get(key_of(version))
        if entry is None or entry.lease_count or entry.is_prepared:
            return False
        self.stats.renewals += 1
        self._load_anew(entry, entry.version)
        return True

    def displace(self, key: Key, successor: Version | None) -> None:
        """Have a version's session used no more: where its runs are made has changed.

        Args:
            key: of the version.
            successor: the version as the registry has it now, to be loaded anew; None if it is not to be run at all.
        """
        if (entry := self._ready.get(key)) is not None and entry.session is not None:
            entry.session.is_displaced = True
            self._load_anew(entry, successor)

    def unload(self, model: str, number: int | None = None) -> None:
        """Drop a version's session when its leases have ended; without a number all of the model but pinned ones."""
        for entry in [it for it in self._ready.values() if it.key[0] == model and number in (None, it.key[1])]:
            if number is not None or entry.key not in self._reserved:
                self._let_go(entry)

    def pin(self, versions: Iterable[Version]) -> None:
        """Let these never make room for others, once they are loaded; what was pinned before is not any more."""
        self._reserved.pin(map(key_of, versions))
        self._give_room()

    async def drain(self) -> None:
        """Give no new lease, refuse those who wait, and drop all when their leases and loads have ended; for good."""
        self._is_open = False
        for entry in (*self._line.values(), *self._loading.values()):
            entry.refuse_all(_closing)
        self._line.clear()
        for entry in tuple(self._ready.values()):
            self._let_go(entry)
        self._settling.close()
        while self._used_bytes:
            self._changed.clear()
            await self._changed.wait()

    def _load_anew(self, entry: Entry[S], successor: Version | None) -> None:
        self._let_go(entry)
        if successor is not None:
            with suppress(ServiceError):
                self._join_line(entry.key, successor).uses = entry.uses
        self._give_room()

    # --- waiting ------------------------------------------------------------------------------------------------------

    def _wanted(self, version: Version) -> Entry[S]:
        if not self._is_open:
            raise _closing()
        key = key_of(version)
        entry = self._line.get(key) or self._loading.get(key)
        if entry is None:
            return self._join_line(key, version)
        if len(entry.waiters) >= self._max_queue:
            raise Overloaded(
                f"{self._max_queue} requests wait for {version.model} version {version.number} already",
                retry_after_seconds=1,
            )
        return entry

    def _join_line(self, key: Key, version: Version) -> Entry[S]:
        failure = self._failures.find(key)
        if failure is not None:
            raise failure
        entry: Entry[S] = Entry(key, version, self._expect(version))
        fault = self._reserved.fault(key, entry.size_bytes)
        if fault:
            raise InsufficientMemory(fault)
        self._line[key] = entry
        return entry

    def _leave(self, entry: Entry[S], waiter: asyncio.Future[Lease[S]]) -> None:
        entry.waiters.pop(waiter, None)
        if entry.state is State.NEW and not entry.waiters and self._line.get(entry.key) is entry:
            del self._line[entry.key]
            self._give_room()

    # --- room ---------------------------------------------------------------------------------------------------------

    def _give_room(self) -> None:
        while self._line:
            first = next(iter(self._line.values()))
            fault = self._reserved.fault(first.key, first.size_bytes)
            if fault:  # what is pinned has come to stay since
                del self._line[first.key]
                first.refuse_all(partial(InsufficientMemory, fault))
                continue
            shortfall_bytes = first.size_bytes - (self._budget_bytes - self._used_bytes)
            if shortfall_bytes > 0:
                self._make_room(first, shortfall_bytes - self._leaving_bytes)
                return
            self._start_load(first)

    def _make_room(self, first: Entry[S], wanted_bytes: int) -> None:
        if wanted_bytes <= 0:
            return  # enough is on its way out
        chosen = self._ranking.choose(wanted_bytes, lambda entry: entry.lease_count == 0 and self._may_go(entry))
        if not chosen and first.is_overdue:
            chosen = self._ranking.choose(wanted_bytes, self._may_go)
        self._evict(chosen)
        if chosen:
            return
        self._settling.wait_for_one(self._ready.values())
        if not first.is_impatient:
            first.is_impatient = True
            asyncio.get_running_loop().call_later(self._patience_seconds, self._lose_patience, first)

    def _may_go(self, entry: Entry[S]) -> bool:
        return entry.key not in self._reserved and self._settling.is_over(entry)

    def _lose_patience(self, entry: Entry[S]) -> None:
        entry.is_overdue = True
        self._give_room()

    def _evict(self, chosen: list[Entry[S]]) -> None:
        """Drop these to make room for others."""
        for entry in chosen:
            self._let_go(entry)
            self._ranking.remove(entry)
            self.stats.evictions += 1
            self.stats.evicted_seconds_total += self._clock() - entry.loaded_at

    def _let_go(self, entry: Entry[S]) -> None:
        del self._ready[entry.key]
        entry.become(State.DRAINING)
        self._leaving_bytes += entry.size_bytes
        if entry.lease_count == 0:
            self._drop(entry)

    def _released(self, entry: Entry[S]) -> None:
        entry.lease_count -= 1
        if entry.lease_count:
            return
        if entry.state is State.DRAINING:
            self._drop(entry)
        elif self._line:
            self._give_room()

    # --- loading and dropping -----------------------------------------------------------------------------------------

    def _start_load(self, entry: Entry[S]) -> None:
        del self._line[entry.key]
        self._loading[entry.key] = entry
        entry.become(State.LOADING)
        self._used_bytes += entry.size_bytes
        future = asyncio.get_running_loop().run_in_executor(self._executor, self._timed_load, entry.version)
        future.add_done_callback(partial(self._loaded, entry))

    def _timed_load(self, version: Version) -> tuple[S, float]:
        started = self._clock()
        return self._load(version), self._clock() - started

    def _loaded(self, entry: Entry[S], future: asyncio.Future[tuple[S, float]]) -> None:
        del self._loading[entry.key]
        error = future.exception()
        if error is not None:
            self._failed(entry, error)
        else:
            session, seconds = future.result()
            self._became_ready(entry, session, seconds)
        self._freed()
        self._changed.set()
        self._give_room()

    def _became_ready(self, entry: Entry[S], session: S, seconds: float) -> None:
        entry.session = session
        self._measure(entry, session.memory_bytes)
        entry.become(State.READY)
        self.stats.loads += 1
        self.stats.prepared_loads += entry.is_prepared
        self.stats.load_seconds_total += seconds
        self._failures.forget(entry.key)
        self._ready[entry.key] = entry
        for waiter in entry.waiters:
            if not waiter.done():
                entry.lease_count += 1
                waiter.set_result(Lease(entry, self._released, seconds))
        entry.load_seconds = session.load_seconds
        entry.uses += max(1, entry.lease_count)
        self._ranking.add(entry)
        self._settling.begin(entry)
        if not self._is_open:
            self._let_go(entry)
        self._return_excess()

    def _return_excess(self) -> None:
        """Where a session takes more than was expected, others go for it: the budget comes before rule 6."""
        excess_bytes = self._used_bytes - self._leaving_bytes - self._budget_bytes
        if excess_bytes > 0:
            stays = self._reserved
            self._evict(self._ranking.choose(excess_bytes, lambda it: it.lease_count == 0 and it.key not in stays))

    def _measure(self, entry: Entry[S], memory_bytes: int | None) -> None:
        """Count what the session takes rather than what was expected."""
        if memory_bytes is None:
            memory_bytes = entry.version.inspection.memory_bytes
        self._used_bytes -= entry.size_bytes
        entry.size_bytes = max(MIN_SESSION_BYTES, memory_bytes)
        self._used_bytes += entry.size_bytes

    def _failed(self, entry: Entry[S], error: BaseException) -> None:
        entry.become(State.FAILED)
        self._used_bytes -= entry.size_bytes
        self.stats.load_failures += 1
        entry.refuse_all(self._failures.remember(entry.key, error))

    def _drop(self, entry: Entry[S]) -> None:
        session, entry.session = entry.session, None
        if session is not None:
            future = asyncio.get_running_loop().run_in_executor(self._executor, session.close)
            future.add_done_callback(partial(self._dropped, entry))

    def _dropped(self, entry: Entry[S], future: asyncio.Future[None]) -> None:
        entry.become(State.CLOSED)
        self._used_bytes -= entry.size_bytes
        self._leaving_bytes -= entry.size_bytes
        self._freed()
        self._changed.set()
        self._give_room()
        future.result()  # a session that cannot be closed is a bug: the loop's exception handler tells of it


def _closing() -> ServiceError:
    return Overloaded("the gateway is shutting down", retry_after_seconds=1)
