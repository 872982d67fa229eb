"""The one place where everybody meets: objects are made in one order and closed in the reverse one."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from prometheus_client.core import Metric

from gateway.host import anonymous_bytes, usable_cpus
from gateway.serving.change_feed import ChangeFeed
from gateway.serving.deadlines import Watchdog
from gateway.serving.predictor import Predictor
from gateway.serving.routing import Routing
from gateway.serving.runtime import Session
from gateway.serving.session_cache import SessionCache
from gateway.serving.token_verdicts import TokenVerdicts
from gateway.settings import Settings
from gateway.telemetry import AccessLog, Metrics, counter, gauge, write_log
from gateway.web.access import LoopbackGate, TokenGate
from gateway.web.attempts import Attempts
from gateway.web.endpoint import Endpoint, EndpointFactory
from gateway.web.services import Services
from model_store.disk_cache import DiskCache
from model_store.local import FolderStore
from model_store.streams import Spool, sweep_scratch
from registry.editing import Editing
from registry.errors import ServiceError
from registry.events import ABOUT_A_TOKEN, Event
from registry.inspection.sandbox import SandboxedInspector
from registry.names import parse_reference
from registry.promotion import Promotion
from registry.records import Batching, Version, WorkerReport
from registry.registration import Registration
from registry.rehearsal import Rehearsal
from registry.resolution import resolve
from registry.retirement import Retirement
from registry.sql import schema
from registry.sql.unit_of_work import SqlRegistry
from registry.tokens import Tokens

_CONTROL_THREADS = 16
_REGISTERING_THREADS = 4
_FOLLOWING_THREADS = 4
_TOKEN_THREADS = 2
_LOAD_THREADS = 2
_SPARE_RUN_THREADS = 2
_LOAD_SECONDS = 60.0


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The registry and the store of some settings: all that a command needs that serves nothing."""

    settings: Settings
    registry: SqlRegistry
    store: FolderStore
    folders: DiskCache
    inspector: SandboxedInspector
    clock: SystemClock

    def upgrade_schema(self) -> tuple[str | None, str | None]:
        """Bring the database to this code's schema and return the revisions before and after."""
        return schema.upgrade(self.settings.registry_url)

    def schema_revisions(self) -> tuple[str | None, str]:
        """Return the database's revision and this code's."""
        path = self.settings.embedded_database_path
        is_absent = path is not None and not path.exists()
        return None if is_absent else self.registry.current_revision(), schema.head_revision()

    def close(self) -> None:
        """Close what has connections."""
        self.registry.close()


def open_parts(settings: Settings) -> Parts:
    """Make the parts; nothing is connected to yet, and only the data dir is made."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = FolderStore(settings.store_dir)
    return Parts(
        settings=settings,
        registry=SqlRegistry.open(settings.registry_url),
        store=store,
        folders=DiskCache(store, settings.folders_dir, settings.folders_limit_bytes),
        inspector=SandboxedInspector(),
        clock=SystemClock(),
    )


def create_embedded_database(settings: Settings) -> None:
    """Make the embedded database if there is none, so that the first command on an empty data dir works.

    Raises:
        RegistryUnavailable, RegistryBusy: it cannot be made.
    """
    path = settings.embedded_database_path
    if path is not None and not path.exists():
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        schema.upgrade(settings.registry_url)


@asynccontextmanager
async def open_services(settings: Settings, *, is_worker: bool) -> AsyncIterator[Services]:
    """Make everything that the HTTP layer works with, start it, and end it in reverse.

    Args:
        settings: of this process.
        is_worker: True if this process serves others: it follows the feed, reports itself and logs requests.
    """
    async with AsyncExitStack() as opened:
        parts = open_parts(settings)
        opened.callback(parts.close)
        metrics = Metrics()
        cache, predictor = _open_serving(opened, parts, metrics)
        verdicts = _open_verdicts(opened, parts) if is_worker and settings.is_auth_on else None
        routing, feed = _open_following(opened, parts, metrics, cache, verdicts)
        keeps_log = is_worker and settings.log_level in ("debug", "info")
        access_log = AccessLog(write_log if keeps_log else None)
        opened.callback(access_log.flush)
        services = Services(
            settings=settings,
            registry=parts.registry,
            store=parts.store,
            folders=parts.folders,
            clock=parts.clock,
            registration=Registration(
                registry=parts.registry,
                store=parts.store,
                inspector=parts.inspector,
                folders=parts.folders,
                clock=parts.clock,
                batching=Batching(settings.batching),
            ),
            promotion=Promotion(
                parts.registry,
                parts.clock,
                rehearse=Rehearsal(
                    registry=parts.registry, folders=parts.folders, inspector=parts.inspector, clock=parts.clock
                ),
            ),
            retirement=Retirement(parts.registry, parts.clock),
            editing=Editing(parts.registry, parts.clock),
            tokens=Tokens(parts.registry, parts.clock),
            gate=LoopbackGate() if verdicts is None else TokenGate(verdicts, Attempts()),
            open_spool=lambda: Spool(settings.spool_dir, settings.max_upload_bytes),
            routing=routing,
            predictor=predictor,
            feed=feed,
            metrics=metrics,
            access_log=access_log,
            executor=_executor(opened, _CONTROL_THREADS, "control"),
            registering=_executor(opened, _REGISTERING_THREADS, "register"),
            decoding=_executor(opened, 1, "decode"),
        )
        opened.callback(parts.inspector.close)
        if is_worker:
            await services.call(_clear_scratch, parts)
            feed.start()
            opened.push_async_callback(feed.close)
            await _preload(settings, routing, cache)
        yield services


def _open_verdicts(opened: AsyncExitStack, parts: Parts) -> TokenVerdicts:
    """Make what knows whose token is good; its visits wait for nobody else's.

    A command in process has none: it acts for whoever is on this machine, who needs no token.
    """
    executor = _executor(opened, _TOKEN_THREADS, "token")
    verdicts = TokenVerdicts(parts.registry, executor=executor, wall_clock=parts.clock)
    verdicts.start()
    opened.push_async_callback(verdicts.close)
    return verdicts


def _open_following(
    opened: AsyncExitStack,
    parts: Parts,
    metrics: Metrics,
    cache: SessionCache[Session],
    verdicts: TokenVerdicts | None,
) -> tuple[Routing[Endpoint], ChangeFeed]:
    """Make what knows which version answers, and learns of changes; threads that others keep busy are not its own."""
    following = _executor(opened, _FOLLOWING_THREADS, "follow")
    routing: Routing[Endpoint] = Routing(
        parts.registry,
        resolve=resolve,
        build=EndpointFactory(metrics),
        warm=_warmer(cache),
        executor=following,
    )
    feed = ChangeFeed(
        parts.registry,
        apply=_applier(routing, verdicts),
        begin=routing.forget_all,
        report=_reporter(parts, cache),
        executor=following,
    )
    metrics.watch(lambda: _feed_metrics(feed))
    return routing, feed


def _applier(routing: Routing[Endpoint], verdicts: TokenVerdicts | None) -> Callable[[Event], Awaitable[None]]:
    """Return what gives an event to those whom it concerns."""

    async def apply(event: Event) -> None:
        if event.kind not in ABOUT_A_TOKEN:
            await routing.apply(event)
        elif verdicts is not None:
            await verdicts.apply(event)

    return apply


def _open_serving(opened: AsyncExitStack, parts: Parts, metrics: Metrics) -> tuple[SessionCache[Session], Predictor]:
    """Make what loads and runs models."""
    settings = parts.settings
    places = usable_cpus()
    loads = _executor(opened, _LOAD_THREADS, "load")
    runs = _executor(opened, places + _SPARE_RUN_THREADS, "run")
    watchdog = Watchdog(on_stuck=_end_process)
    watchdog.start()
    opened.callback(watchdog.close)
    cache: SessionCache[Session] = SessionCache(
        budget_bytes=settings.memory_budget_bytes // settings.workers,
        load=_loader(parts),
        executor=loads,
        max_queue=settings.max_queue,
    )
    opened.push_async_callback(cache.drain)
    predictor = Predictor(
        cache,
        executor=runs,
        watchdog=watchdog,
        places=places,
        spare=_SPARE_RUN_THREADS,
        max_queue=settings.max_queue,
    )
    metrics.watch(lambda: _serving_metrics(cache, predictor))
    return cache, predictor


def _executor(opened: AsyncExitStack, threads: int, name: str) -> ThreadPoolExecutor:
    executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
    opened.callback(executor.shutdown, wait=True, cancel_futures=True)
    return executor


def _loader(parts: Parts) -> Callable[[Version], Session]:
    """Return what loads a version: the folder is verified first, and stays for as long as the runtime reads it."""

    def load(version: Version) -> Session:
        with parts.folders.hold(version.artifact) as folder:
            return Session.load(folder / version.artifact.graph.name)

    return load


def _warmer(cache: SessionCache[Session]) -> Callable[[Version, Version], Awaitable[None]]:
    """Return what readies an alias's next version: where the one it leaves is loaded, the next is loaded too."""

    async def warm(before: Version, after: Version) -> None:
        if cache.is_resident(before):
            await cache.preload(after, monotonic() + _LOAD_SECONDS)

    return warm


def _reporter(parts: Parts, cache: SessionCache[Session]) -> Callable[[int], WorkerReport]:
    host, pid = socket.gethostname(), os.getpid()

    def report(applied: int) -> WorkerReport:
        return WorkerReport(
            host=host, pid=pid, applied=applied, resident=cache.resident(), reported_at=parts.clock.now()
        )

    return report


def _clear_scratch(parts: Parts) -> None:
    """Remove what killed processes left behind; what cannot be reached now is not worth refusing to start for."""
    try:
        sweep_scratch(parts.settings.spool_dir)
        parts.folders.check()
    except ServiceError as error:
        structlog.get_logger().error("scratch_not_cleared", code=error.code, detail=error.detail)


async def _preload(settings: Settings, routing: Routing[Endpoint], cache: SessionCache[Session]) -> None:
    """Load what is to be loaded before the first request; what cannot be is logged, and loaded when it is asked for."""
    for text in filter(None, (part.strip() for part in settings.preload.split(","))):
        try:
            endpoint = await routing.resolve(parse_reference(text))
            await cache.preload(endpoint.version, monotonic() + _LOAD_SECONDS)
        except ServiceError as error:
            structlog.get_logger().error("not_preloaded", reference=text, code=error.code, detail=error.detail)


def _end_process() -> None:
    """End this worker, whose run listens to nothing else; the supervisor starts another."""
    structlog.get_logger().error("run_is_stuck", pid=os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


def _serving_metrics(cache: SessionCache[Session], predictor: Predictor) -> Iterable[Metric]:
    stats = cache.stats
    yield counter("sardonyx_cache_hits", "Leases of sessions that were loaded", stats.hits)
    yield counter("sardonyx_cache_misses", "Leases that had to wait for a load", stats.misses)
    yield counter("sardonyx_cache_evictions", "Sessions dropped to make room", stats.evictions)
    yield counter("sardonyx_loads", "Sessions loaded", stats.loads)
    yield counter("sardonyx_load_failures", "Loads that failed", stats.load_failures)
    yield counter("sardonyx_load_seconds", "Time spent loading", stats.load_seconds_total)
    yield gauge("sardonyx_resident_sessions", "Loaded sessions", len(cache.resident()))
    yield gauge("sardonyx_resident_bytes", "Measured bytes of loaded sessions", cache.resident_bytes)
    yield gauge("sardonyx_anonymous_bytes", "Anonymous memory of this worker", anonymous_bytes())
    yield gauge("sardonyx_waiting_requests", "Requests that wait for a place to run in", predictor.waiting_count)


def _feed_metrics(feed: ChangeFeed) -> Iterable[Metric]:
    yield gauge("sardonyx_feed_applied", "Sequence number up to which the change feed is applied", feed.applied)
    yield gauge("sardonyx_feed_age_seconds", "Time since the change feed was last read", feed.seconds_since_read)
