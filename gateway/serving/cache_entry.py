"""What the session cache keeps of each version, and what its callers get."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from gateway.serving.lifecycle import State, transition
from registry.errors import DeadlinePassed, InsufficientMemory, ServiceError
from registry.records import Version

MIN_SESSION_BYTES = 128 * 1024
"""What the smallest session takes beside its weights; a measurement below it is noise."""

Key: TypeAlias = tuple[str, int]
"""A model's name and a version's number."""


class Closeable(Protocol):
    """What a cache can hold: something whose memory can be given back."""

    memory_bytes: int | None
    """What it takes; None if that is what inspection has measured: it is not of a prepared model."""
    load_seconds: float
    """What loading it took, without fetching its files."""
    is_displaced: bool
    """Set once it is not to be used any more."""

    def close(self) -> None:
        """Give it back; blocks; called once, in an executor, when nobody uses it any more."""
        ...


S = TypeVar("S", bound=Closeable)


def key_of(version: Version) -> Key:
    """Return what a version is known by."""
    return version.model, version.number


@dataclass(slots=True, kw_only=True)
class Stats:
    """What the cache has done since it was made."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    """Sessions dropped to make room."""
    evicted_seconds_total: float = 0.0
    """How long those had been loaded."""
    loads: int = 0
    prepared_loads: int = 0
    """Those of the loads that were of prepared models."""
    renewals: int = 0
    """Plain sessions dropped because their model has been prepared since."""
    load_failures: int = 0
    load_seconds_total: float = 0.0
    """Of the loads that succeeded."""


class Entry(Generic[S]):
    """One life of one version's session, from being wanted to being closed."""

    __slots__ = (
        "floor",
        "is_impatient",
        "is_overdue",
        "key",
        "lease_count",
        "load_seconds",
        "loaded_at",
        "session",
        "settles_at",
        "size_bytes",
        "state",
        "uses",
        "version",
        "waiters",
    )

    def __init__(self, key: Key, version: Version, memory_bytes: int) -> None:
        self.key = key
        self.version = version
        self.size_bytes = max(MIN_SESSION_BYTES, memory_bytes)
        self.state = State.NEW
        self.session: S | None = None
        self.lease_count = 0
        self.waiters: dict[asyncio.Future[Lease[S]], None] = {}  # a set that keeps the order of arrival
        self.is_impatient = False
        self.is_overdue = False
        self.uses = 0
        self.floor = 0.0
        """See ``Ranking``."""
        self.load_seconds = 0.0
        self.loaded_at = 0.0
        self.settles_at = 0.0
        """Before that moment of the cache's clock it is young."""

    def become(self, state: State) -> None:
        """Go on to ``state``."""
        self.state = transition(self.state, state)

    @property
    def is_prepared(self) -> bool:
        """True if its session is of a prepared model."""
        return self.session is not None and self.session.memory_bytes is not None

    def refuse_all(self, make_error: Callable[[], ServiceError]) -> None:
        """Answer everybody who waits with an error, each with one of their own."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(make_error())

    def expire(self, waiter: "asyncio.Future[Lease[S]]") -> None:
        """Answer whoever has waited until the deadline."""
        if waiter.done():
            return
        if self.state is State.NEW:
            error: ServiceError = InsufficientMemory(
                "no memory became free for the model in time", retry_after_seconds=1
            )
        else:
            error = DeadlinePassed("the model was still being loaded", retry_after_seconds=1)
        waiter.set_exception(error)


class Lease(Generic[S]):
    """The right to use a session until it is released; ``session`` must not be kept beyond that."""

    __slots__ = ("_entry", "_released", "load_seconds", "session")

    def __init__(self, entry: Entry[S], released: Callable[[Entry[S]], None], load_seconds: float = 0.0) -> None:
        self._entry: Entry[S] | None = entry
        self._released = released
        self.load_seconds = load_seconds
        """How long the load took that was waited for; 0 where none was."""
        self.session: S = entry.session  # type: ignore[assignment]  # leases are made of READY entries only

    def release(self) -> None:
        """Give the right back; does nothing the second time."""
        entry, self._entry = self._entry, None
        if entry is not None:
            self._released(entry)


def disown(waiter: asyncio.Future[Lease[S]]) -> None:
    """Give back what a cancelled caller was handed in the very same tick."""
    if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
        waiter.result().release()
