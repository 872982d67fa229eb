"""The one place where everybody meets: objects are made in one order and closed in the reverse one."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic

import structlog

from gateway.documents import DocumentFolder
from gateway.host import usable_cpus
from gateway.metrics import Metrics
from gateway.parts import Parts, open_parts
from gateway.serving.change_feed import ChangeFeed
from gateway.serving.deadlines import Watchdog
from gateway.serving.last_known import LastKnown
from gateway.serving.load_places import LoadPlaces
from gateway.serving.pins import Pins
from gateway.serving.predictor import Predictor
from gateway.serving.preparing import Preparing
from gateway.serving.readings import feed_readings, serving_readings, store_readings
from gateway.serving.routing import Routing
from gateway.serving.runtime import Session
from gateway.serving.session_cache import SessionCache
from gateway.serving.store_watch import StoreWatch
from gateway.serving.token_verdicts import TokenVerdicts
from gateway.settings import Settings, list_references
from gateway.telemetry import AccessLog, write_log
from gateway.web.access import LoopbackGate, TokenGate
from gateway.web.attempts import Attempts
from gateway.web.denials import Denials
from gateway.web.endpoint import Endpoint, EndpointFactory
from gateway.web.services import Services
from model_store.streams import Spool, sweep_scratch
from registry.artifact import Digest
from registry.editing import Editing
from registry.errors import LoadFailed, ServiceError, StorageUnavailable
from registry.events import ABOUT_A_TOKEN, Event
from registry.names import parse_reference
from registry.records import Version, WorkerReport
from registry.resolution import resolve
from registry.retirement import Retirement
from registry.tokens import Tokens

_CONTROL_THREADS = 16
_REGISTERING_THREADS = 4
_LOOKING_UP_THREADS = 4
_FOLLOWING_THREADS = 3
_TOKEN_THREADS = 2
_FETCHING_THREADS = 8
_LOADS_AT_ONCE = 2
_SPARE_RUN_THREADS = 2
_LOAD_SECONDS = 60.0
_PUBLISH_SECONDS = 0.5

_AWAY = "reading from the artifact store failed: the artifact store does not answer"

_NO_DIGEST = Digest("0" * 64)
"""Of nothing that is stored: asking for it costs a store little, and shows whether it answers."""


@asynccontextmanager
async def open_services(
    settings: Settings, *, is_worker: bool, metrics: Metrics | None = None
) -> AsyncIterator[Services]:
    """Make everything that the HTTP layer works with, start it, and end it in reverse.

    Args:
        settings: of this process.
        metrics: where to count, if siblings shall see it.
        is_worker: True if this process serves others: it follows the feed, reports itself and logs requests.
    """
    async with AsyncExitStack() as opened:
        parts = open_parts(settings)
        opened.callback(parts.close)
        metrics = metrics or Metrics()
        following = _executor(opened, _FOLLOWING_THREADS, "follow")
        store_watch = StoreWatch(lambda: parts.store.find_size(_NO_DIGEST), executor=following)
        metrics.watch(lambda: store_readings(store_watch))
        cache, predictor, preparing = _open_serving(opened, parts, metrics, store_watch, is_worker=is_worker)
        verdicts = _open_verdicts(opened, parts) if is_worker and settings.is_auth_on else None
        routing = _open_routing(opened, parts, metrics, cache)
        pins = Pins(
            list_references(settings.pin),
            find=routing.versions,
            cache=cache,
            expect=_expectation(parts),
            budget_bytes=settings.worker_budget_bytes,
            clock=monotonic,
        )
        feed = _open_feed(parts, metrics, cache, following, _applier(routing, verdicts, pins), routing)
        keeps_log = is_worker and settings.log_level in ("debug", "info")
        access_log = AccessLog(write_log if keeps_log else None)
        opened.callback(access_log.flush)
        tokens = Tokens(parts.registry, parts.clock)
        services = Services(
            settings=settings,
            registry=parts.registry,
            store=parts.store,
            uploads=parts.uploads,
            sources=parts.sources,
            folders=parts.folders,
            clock=parts.clock,
            registration=parts.registration(),
            promotion=parts.promotion(),
            retirement=Retirement(parts.registry, parts.clock),
            editing=Editing(parts.registry, parts.clock),
            tokens=tokens,
            denials=Denials(tokens.record_denial, _executor(opened, 1, "denials")),
            gate=LoopbackGate() if verdicts is None else TokenGate(verdicts, Attempts()),
            open_spool=lambda: Spool(settings.spool_dir, settings.max_upload_bytes),
            routing=routing,
            predictor=predictor,
            preparing=preparing,
            feed=feed,
            store_watch=store_watch,
            metrics=metrics,
            access_log=access_log,
            executor=_executor(opened, _CONTROL_THREADS, "control"),
            checking=_executor(opened, 1, "check"),
            registering=_executor(opened, _REGISTERING_THREADS, "register"),
            decoding=_executor(opened, 1, "decode"),
        )
        opened.callback(parts.inspector.close)
        if is_worker:
            await _start(opened, parts, services)
            opened.push_async_callback(pins.close)
            await pins.start()
            await _preload(settings, routing, cache)
        yield services


async def _start(opened: AsyncExitStack, parts: Parts, services: Services) -> None:
    """Begin what a worker does by itself; it ends with ``opened``."""
    await services.call(_clear_scratch, parts)
    services.feed.start()
    opened.push_async_callback(services.feed.close)
    opened.enter_context(parts.registry.listening(_waker(services.feed)))
    services.store_watch.start()
    opened.push_async_callback(services.store_watch.close)
    opened.callback(asyncio.get_running_loop().create_task(_publish(services.metrics)).cancel)


def _waker(feed: ChangeFeed) -> Callable[[], None]:
    """Return what wakes the feed from any thread."""
    loop = asyncio.get_running_loop()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(feed.wake)

    return wake


def _open_verdicts(opened: AsyncExitStack, parts: Parts) -> TokenVerdicts:
    """Make what knows whose token is good; its visits wait for nobody else's.

    A command in process has none: it acts for whoever is on this machine, who needs no token.
    """
    executor = _executor(opened, _TOKEN_THREADS, "token")
    verdicts = TokenVerdicts(parts.registry, executor=executor, wall_clock=parts.clock)
    verdicts.start()
    opened.push_async_callback(verdicts.close)
    return verdicts


def _open_routing(
    opened: AsyncExitStack, parts: Parts, metrics: Metrics, cache: SessionCache[Session]
) -> Routing[Endpoint]:
    """Make what knows which version answers; threads that others keep busy are not its own."""
    return Routing(
        parts.registry,
        resolve=resolve,
        build=EndpointFactory(metrics),
        warm=_warmer(cache),
        executor=_executor(opened, _LOOKING_UP_THREADS, "look-up"),
        last_known=LastKnown(DocumentFolder(parts.settings.last_known_dir), _executor(opened, 1, "last-known")),
    )


def _open_feed(
    parts: Parts,
    metrics: Metrics,
    cache: SessionCache[Session],
    following: Executor,
    apply: Callable[[Event], Awaitable[None]],
    routing: Routing[Endpoint],
) -> ChangeFeed:
    """Make what learns of changes."""
    feed = ChangeFeed(
        parts.registry,
        apply=apply,
        begin=routing.begin,
        recover=routing.forget_recalled,
        report=_reporter(parts, cache),
        executor=following,
    )
    metrics.watch(lambda: feed_readings(feed))
    return feed


def _applier(
    routing: Routing[Endpoint], verdicts: TokenVerdicts | None, pins: Pins
) -> Callable[[Event], Awaitable[None]]:
    """Return what gives an event to those whom it concerns."""

    async def apply(event: Event) -> None:
        if event.kind not in ABOUT_A_TOKEN:
            await routing.apply(event)
            pins.notice(event)
        elif verdicts is not None:
            await verdicts.apply(event)

    return apply


def _open_serving(
    opened: AsyncExitStack, parts: Parts, metrics: Metrics, store_watch: StoreWatch, *, is_worker: bool
) -> tuple[SessionCache[Session], Predictor, Preparing]:
    """Make what loads, prepares and runs models."""
    settings = parts.settings
    loop = asyncio.get_running_loop()
    places = usable_cpus()
    loads = LoadPlaces(
        [parts.prepared, parts.folders],
        near=_executor(opened, _LOADS_AT_ONCE, "load"),
        far=_executor(opened, _FETCHING_THREADS, "fetch"),
    )
    runs = _executor(opened, places + _SPARE_RUN_THREADS, "run")

    def renew(version: Version) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(cache.renew, version)

    preparing = Preparing(parts.prepare, renew, _executor(opened, 1, "prepare") if is_worker else None)
    watchdog = Watchdog(on_stuck=_end_process)
    watchdog.start()
    opened.callback(watchdog.close)
    cache: SessionCache[Session] = SessionCache(
        budget_bytes=settings.worker_budget_bytes,
        load=_loader(parts, store_watch, preparing),
        executor=loads,
        max_queue=settings.max_queue,
        expect=_expectation(parts),
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
    metrics.watch(lambda: serving_readings(cache, predictor))
    return cache, predictor, preparing


def _executor(opened: AsyncExitStack, threads: int, name: str) -> ThreadPoolExecutor:
    executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
    opened.callback(executor.shutdown, wait=True, cancel_futures=True)
    return executor


def _expectation(parts: Parts) -> Callable[[Version], int]:
    """Return what tells the memory that a version will take: less than inspection found, if it is prepared."""

    def expect(version: Version) -> int:
        prepared_bytes = parts.prepared.memory_bytes(version.artifact)
        return version.inspection.memory_bytes if prepared_bytes is None else prepared_bytes

    return expect


def _loader(parts: Parts, store_watch: StoreWatch, preparing: Preparing) -> Callable[[Version], Session]:
    """Return what loads a version: prepared, if it is, else plainly; the folder is verified first, and stays meanwhile.

    Many may wait for the store; few load at once, since that takes processors and memory. (See ``LoadPlaces``, too.)
    """
    turns = threading.BoundedSemaphore(_LOADS_AT_ONCE)
    is_far = parts.settings.s3_place is not None

    def load(version: Version) -> Session:
        session = load_prepared(version)
        if session is None:
            session = load_plainly(version)
            preparing.want(version)
        return session

    def load_prepared(version: Version) -> Session | None:
        with parts.prepared.hold(version.artifact) as prepared:
            if prepared is None:
                return None
            with suppress(LoadFailed), turns:
                return Session.load(prepared.path, prepared_bytes=prepared.memory_bytes)
        parts.prepared.forget(version.artifact)
        return None

    def load_plainly(version: Version) -> Session:
        if is_far and store_watch.error is not None and not parts.folders.has(version.artifact):
            raise StorageUnavailable(_AWAY, retry_after_seconds=5)  # else a silent store would hold a thread for long
        with parts.folders.hold(version.artifact) as folder, turns:
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
    for text in list_references(settings.preload):
        try:
            endpoint = await routing.resolve(parse_reference(text))
            await cache.preload(endpoint.version, monotonic() + _LOAD_SECONDS)
        except ServiceError as error:
            structlog.get_logger().error("not_preloaded", reference=text, code=error.code, detail=error.detail)


async def _publish(metrics: Metrics) -> None:
    """Let the siblings know this worker's state, again and again."""
    while True:
        metrics.publish()
        await asyncio.sleep(_PUBLISH_SECONDS)


def _end_process() -> None:
    """End this worker, whose run listens to nothing else; the supervisor starts another."""
    structlog.get_logger().error("run_is_stuck", pid=os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)
