"""What the HTTP layer works with; made in ``gateway.wiring``."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from gateway.metrics import Metrics
from gateway.rates import Rates
from gateway.serving.change_feed import ChangeFeed
from gateway.serving.predictor import Predictor
from gateway.serving.preparing import Preparing
from gateway.serving.residence import Residence
from gateway.serving.routing import Routing
from gateway.serving.store_watch import StoreWatch
from gateway.settings import Settings
from gateway.telemetry import AccessLog
from gateway.traces import Traces
from gateway.web.access import Gate
from gateway.web.denials import Denials
from gateway.web.endpoint import Endpoint
from registry.crashes import Crashes
from registry.editing import Editing
from registry.errors import Draining, Overloaded, RegistryUnavailable
from registry.ports import Clock, Registry
from registry.promotion import Promotion
from registry.recording import Recording
from registry.records import Version
from registry.registration import Registration
from registry.retirement import Retirement
from registry.storage import ArtifactFolders, ArtifactStore, DirectUploads, ForeignObjects, Upload
from registry.tokens import Tokens
from registry.webhooks import Webhooks

P = ParamSpec("P")
R = TypeVar("R")

_CATCH_UP_SECONDS = 5.0
_PATIENCE_SECONDS = 30.0
"""How long anybody waits for a thread; what it does then has limits of its own."""

_LONG_PATIENCE_SECONDS = 120.0
"""How long who registers or promotes waits for others who do: each of them may take a minute."""


class Spool(Protocol):
    """A file that is being received."""

    def write(self, chunk: bytes) -> None:
        """Append, up to the limit.

        Raises:
            BodyTooLarge, InsufficientStorage.
        """
        ...

    def finish(self) -> Upload:
        """Return what has arrived; the file is gone when the context is left."""
        ...


class Folders(ArtifactFolders, Protocol):
    """Verified copies that can tell whether they are to be had."""

    def check(self) -> None:
        """Do nothing if copies can be made.

        Raises:
            StorageUnavailable, InsufficientStorage.
        """
        ...


class Graphs(Protocol):
    """Versions' graphs without their weights; see ``gateway.graphs``."""

    def tag(self, version: Version) -> str:
        """Return what names a version's graph."""
        ...

    def find(self, version: Version) -> bytes | None:
        """Return a version's graph if it has been made here.

        Raises:
            InvalidArtifact.
        """
        ...

    def make(self, version: Version) -> bytes:
        """Return a version's graph, made if need be.

        Raises:
            InvalidArtifact, ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, Overloaded.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that routes may use."""

    settings: Settings
    registry: Registry
    store: ArtifactStore
    uploads: DirectUploads | None
    """None where the store is a folder, which clients cannot write to."""
    sources: ForeignObjects
    folders: Folders
    graphs: Graphs
    clock: Clock
    registration: Registration
    promotion: Promotion
    retirement: Retirement
    editing: Editing
    crashes: Crashes
    recording: Recording
    tokens: Tokens
    webhooks: Webhooks
    stop_telling: Callable[[], None]
    """To be called when the worker begins to stop; others tell events to webhooks from then on."""
    leaving: asyncio.Event
    """Set when the worker is about to stop, while it goes on answering."""
    gate: Gate
    denials: Denials
    open_spool: Callable[[], AbstractContextManager[Spool]]
    routing: Routing[Endpoint]
    predictor: Predictor
    preparing: Preparing
    residence: Residence
    feed: ChangeFeed
    store_watch: StoreWatch
    metrics: Metrics
    rates: Rates
    access_log: AccessLog
    traces: Traces | None
    """None where nothing is traced."""
    executor: Executor
    """Where short blocking calls go: to the database, to files."""
    checking: Executor
    """Where it is looked whether predict requests can be answered, whatever else goes on."""
    registering: Executor
    """Where registrations go, which may take a minute: whoever registers waits behind others who do, nobody else."""
    promoting: Executor
    """Where promotions go, which wait for a child process: whoever promotes waits behind others who do, nobody else."""
    stripping: Executor
    """Where graphs are made, which may take as long as an inspection: one thread, and whoever waits is told so."""
    decoding: Executor
    """Where large predict bodies are decoded: one thread, so that they take turns with the memory that this takes."""

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function off the event loop.

        Raises:
            Overloaded: others had the threads for too long, and it has not been called; as in all that follow.
        """
        return await run_in_line(self.executor, partial(function, *args, **kwargs))

    async def take_in(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run what may take as long as a registration, and changes nothing in the registry."""
        work = partial(function, *args, **kwargs)
        return await run_in_line(self.registering, work, patience_seconds=_LONG_PATIENCE_SECONDS)

    async def register(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a registration, and follow the change before returning."""
        result = await self.take_in(function, *args, **kwargs)
        await self._follow()
        return result

    async def rehearse(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run what waits for a rehearsal, and changes nothing in the registry."""
        work = partial(function, *args, **kwargs)
        return await run_in_line(self.promoting, work, patience_seconds=_LONG_PATIENCE_SECONDS)

    async def promote(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a promotion, and follow the change before returning."""
        result = await self.rehearse(function, *args, **kwargs)
        await self._follow()
        return result

    async def write(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function that changes the registry, and follow the change before returning."""
        result = await self.call(function, *args, **kwargs)
        await self._follow()
        return result

    async def _follow(self) -> None:
        # A new version that takes long to load is switched to when it is there; the writer need not wait for that.
        await asyncio.wait((asyncio.ensure_future(self.feed.catch_up()),), timeout=_CATCH_UP_SECONDS)

    async def check_ready(self) -> None:
        """Do nothing if what this process serves can be answered.

        Raises:
            SchemaMismatch, RegistryUnavailable, RegistryBusy: the change feed has never been read; where the registry
                is all that is served, it cannot be read now.
            StorageUnavailable, InsufficientStorage: models cannot be loaded, nor inspected.
            Draining: the process is about to end.
        """
        if self.leaving.is_set():
            raise Draining("the process has been told to end; what it is asked meanwhile it answers")
        if not self.feed.is_ready:
            raise self.feed.read_error or RegistryUnavailable("the change feed has not been read yet")
        if not self.settings.is_predicting and self.feed.read_error is not None:
            raise self.feed.read_error
        await run_in_line(self.checking, self.folders.check)


async def run_in_line(
    executor: Executor, function: Callable[[], R], *, patience_seconds: float = _PATIENCE_SECONDS
) -> R:
    """Return what a blocking function returns that waits in line for one of an executor's threads.

    Args:
        executor: whose threads.
        function: once it has begun it is waited for, whatever it takes.
        patience_seconds: how long it may stand in line.

    Raises:
        Overloaded: that was not long enough; the function will never be called.
    """
    begun = executor.submit(function)
    answer = asyncio.wrap_future(begun)
    try:
        await asyncio.wait((answer,), timeout=patience_seconds)
    except asyncio.CancelledError:
        answer.cancel()
        raise
    if not answer.done() and begun.cancel():
        raise Overloaded("other requests of this kind take too long", retry_after_seconds=30)
    return await answer
