"""The one place where everybody meets: objects are made in one order and closed in the reverse one."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version as distribution_version
from time import monotonic
from typing import Protocol

from gateway.company import Company
from gateway.documents import DocumentFolder
from gateway.engine import Engine, Outside, open_engine
from gateway.executors import Opened
from gateway.first_loads import LOAD_SECONDS, LoadsAhead, preload
from gateway.metrics import Metrics
from gateway.parts import Parts, open_parts
from gateway.rates import INTERVAL_SECONDS, Rates
from gateway.serving.change_feed import ChangeFeed
from gateway.serving.isolated import AnySession
from gateway.serving.last_known import LastKnown
from gateway.serving.pins import Pins
from gateway.serving.readings import feed_readings, store_readings
from gateway.serving.repeating import repeat
from gateway.serving.routing import Routing
from gateway.serving.session_cache import SessionCache
from gateway.serving.store_watch import StoreWatch
from gateway.serving.token_verdicts import TokenVerdicts
from gateway.settings import Settings, list_references
from gateway.telemetry import AccessLog, write_log
from gateway.traces import Traces
from gateway.trials import Trials
from gateway.web.access import LoopbackGate, TokenGate
from gateway.web.attempts import Attempts
from gateway.web.denials import Denials
from gateway.web.endpoint import Endpoint, EndpointFactory
from gateway.web.services import Services, run_in_line
from gateway.webhooks.addresses import Places
from gateway.webhooks.delivering import SENDING_THREADS, Deliverer
from gateway.webhooks.sending import Sender
from gateway.witness import CrashMemory
from model_store.streams import Spool
from registry.artifact import Digest
from registry.crashes import Crashes
from registry.editing import Editing
from registry.events import ABOUT_A_TOKEN, Event
from registry.records import Version, WorkerReport
from registry.resolution import resolve
from registry.retirement import Retirement
from registry.tokens import Tokens
from registry.webhooks import Webhooks

_CONTROL_THREADS = 16
_REGISTERING_THREADS = 4
_PROMOTING_THREADS = 4
_LOOKING_UP_THREADS = 4
_FOLLOWING_THREADS = 3
_TOKEN_THREADS = 2
_PUBLISH_SECONDS = 0.5

_NO_DIGEST = Digest("0" * 64)
"""Of nothing that is stored: asking for it costs a store little, and shows whether it answers."""


class Begin(Protocol):
    """Begins what a worker does by itself, and loads what it has to before it serves."""

    async def __call__(self, company: Company) -> None:
        """Return when it may serve, where these answer meanwhile."""


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    is_worker: bool,
    metrics: Metrics | None = None,
    crash_memory: CrashMemory | None = None,
    ask_to_be_replaced: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[Services, Begin]]:
    """Make everything that the HTTP layer works with, and what starts it in a worker; end it in reverse.

    Args:
        settings: of this process.
        metrics: where to count, if siblings shall see it.
        crash_memory: where to note what is run, if a supervisor reads it.
        is_worker: True if this process serves others: it follows the feed, reports itself and logs requests.
        ask_to_be_replaced: called, maybe many times, when this process takes memory that it cannot give back.
    """
    async with Opened() as opened:
        parts = open_parts(settings)
        opened.callback(parts.close)
        metrics = metrics or Metrics()
        following, store_watch = _open_following(opened, parts, metrics)
        engine = open_engine(opened, parts, metrics, store_watch, Outside(is_worker, crash_memory, ask_to_be_replaced))
        verdicts = _open_verdicts(opened, parts) if is_worker and settings.is_auth_on else None
        routing = _open_routing(opened, parts, metrics, engine)
        pins = _make_pins(settings, routing, engine)
        webhooks, deliverer = _open_webhooks(opened, parts, metrics)
        apply = _applier(routing, verdicts, pins, engine, deliverer)
        feed = _open_feed(parts, metrics, engine.cache, following, apply, routing)
        services = Services(
            settings=settings,
            registry=parts.registry,
            store=parts.store,
            uploads=parts.uploads,
            sources=parts.sources,
            folders=parts.folders,
            graphs=parts.graphs,
            clock=parts.clock,
            registration=parts.registration(),
            promotion=parts.promotion(),
            retirement=Retirement(parts.registry, parts.clock),
            editing=Editing(parts.registry, parts.clock),
            crashes=Crashes(parts.registry, parts.clock),
            recording=parts.recording(),
            tokens=(tokens := Tokens(parts.registry, parts.clock)),
            webhooks=webhooks,
            stop_telling=deliverer.begin_to_end,
            leaving=asyncio.Event(),
            denials=Denials(tokens.record_denial, opened.executor(1, "denials")),
            gate=LoopbackGate() if verdicts is None else TokenGate(verdicts, Attempts()),
            open_spool=lambda: Spool(settings.spool_dir, settings.max_upload_bytes),
            routing=routing,
            predictor=engine.predictor,
            preparing=engine.preparing,
            residence=engine.residence,
            feed=feed,
            store_watch=store_watch,
            metrics=metrics,
            rates=Rates(metrics.boards),
            access_log=_open_access_log(opened, settings, is_worker=is_worker),
            traces=_open_traces(opened, settings, is_worker=is_worker),
            **_open_executors(opened),
        )
        opened.callback(parts.inspector.close)
        if is_worker:
            opened.start_threads()
            services.executor.submit(parts.visit_registry)
        yield services, partial(_begin, opened, parts, services, engine, verdicts, deliverer, pins)


def _open_executors(opened: Opened) -> dict[str, Executor]:
    """Make the threads of the HTTP layer, by the names that ``Services`` has for them."""
    return {
        "executor": opened.executor(_CONTROL_THREADS, "control"),
        "checking": opened.executor(1, "check"),
        "registering": opened.executor(_REGISTERING_THREADS, "register"),
        "promoting": opened.executor(_PROMOTING_THREADS, "promote"),
        "stripping": opened.executor(1, "strip"),
        "decoding": opened.executor(1, "decode"),
    }


def _open_following(opened: Opened, parts: Parts, metrics: Metrics) -> tuple[Executor, StoreWatch]:
    """Make the threads that follow the registry and the store, and what looks whether the store answers."""
    following = opened.executor(_FOLLOWING_THREADS, "follow")
    watch = StoreWatch(lambda: parts.store.find_size(_NO_DIGEST), executor=following)
    metrics.watch(lambda: store_readings(watch))
    return following, watch


def _open_access_log(opened: Opened, settings: Settings, *, is_worker: bool) -> AccessLog:
    keeps_log = is_worker and settings.log_level in ("debug", "info")
    access_log = AccessLog(write_log if keeps_log else None, settings.access_log)
    opened.callback(access_log.flush)
    return access_log


def _open_traces(opened: Opened, settings: Settings, *, is_worker: bool) -> Traces | None:
    if not (is_worker and settings.traces):
        return None
    traces = Traces(settings.traces)
    traces.use_for_frameworks()
    opened.push_async_callback(run_in_line, opened.executor(1, "traces"), traces.close)
    return traces


async def _begin(
    opened: Opened,
    parts: Parts,
    services: Services,
    engine: Engine,
    verdicts: TokenVerdicts | None,
    deliverer: Deliverer,
    pins: Pins,
    company: Company,
) -> None:
    """Begin what a worker does by itself, which ends with ``opened``, and load what it has to."""
    engine.witness.start()
    if verdicts is not None:
        verdicts.start()
    await services.call(parts.clear_scratch)
    ahead = LoadsAhead(services, engine, company)
    await ahead.remember()
    services.feed.start()
    opened.push_async_callback(services.feed.close)
    opened.enter_context(parts.registry.listening(_waker(services.feed)))
    if services.settings.is_registering:  # what a gateway must reach is then not up to who makes webhooks
        deliverer.start()
        opened.push_async_callback(asyncio.to_thread, deliverer.close)
    services.store_watch.start()
    opened.push_async_callback(services.store_watch.close)
    rates = opened.executor(1, "rates")  # nobody waits for its thread
    for again in (
        repeat(services.metrics.publish, _PUBLISH_SECONDS, event="metrics_not_published"),
        repeat(services.rates.look, INTERVAL_SECONDS, executor=rates, event="rates_not_looked_at"),
    ):
        opened.callback(asyncio.get_running_loop().create_task(again).cancel)
    if services.settings.is_predicting:
        await _load_first(opened, services, engine, pins, ahead)


async def _load_first(opened: Opened, services: Services, engine: Engine, pins: Pins, ahead: LoadsAhead) -> None:
    """Load what the settings name and what others have loaded, and begin to look after what is loaded."""
    engine.memory_guard.start()
    opened.push_async_callback(engine.memory_guard.close)
    opened.push_async_callback(pins.close)
    await pins.start()
    await preload(services, engine.cache)
    await ahead.load()
    engine.start()
    opened.push_async_callback(engine.renewing.close)


def _make_pins(settings: Settings, routing: Routing[Endpoint], engine: Engine) -> Pins:
    return Pins(
        list_references(settings.pin),
        find=routing.versions,
        cache=engine.cache,
        expect=engine.expect,
        budget_bytes=settings.worker_budget_bytes,
        clock=monotonic,
    )


def _waker(feed: ChangeFeed) -> Callable[[], None]:
    """Return what wakes the feed from any thread."""
    loop = asyncio.get_running_loop()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(feed.wake)

    return wake


def _open_verdicts(opened: Opened, parts: Parts) -> TokenVerdicts:
    """Make what knows whose token is good; its visits wait for nobody else's.

    A command in process has none: it acts for whoever is on this machine, who needs no token.
    """
    executor = opened.executor(_TOKEN_THREADS, "token")
    verdicts = TokenVerdicts(parts.registry, executor=executor, wall_clock=parts.clock)
    opened.push_async_callback(verdicts.close)
    return verdicts


def _open_routing(opened: Opened, parts: Parts, metrics: Metrics, engine: Engine) -> Routing[Endpoint]:
    """Make what knows which version answers; threads that others keep busy are not its own."""
    dropping = opened.executor(1, "drop-canary")
    trials = Trials(
        metrics, parts.promotion(), executor=dropping, shadowing=engine.shadowing, loaded_at=engine.cache.loaded_at
    )
    return Routing(
        parts.registry,
        resolve=resolve,
        build=EndpointFactory(metrics, engine.tap_of),
        warm=_warmer(engine.cache),
        attend=trials.attend,
        executor=opened.executor(_LOOKING_UP_THREADS, "look-up"),
        last_known=LastKnown(DocumentFolder(parts.settings.last_known_dir), opened.executor(1, "last-known")),
    )


def _open_feed(
    parts: Parts,
    metrics: Metrics,
    cache: SessionCache[AnySession],
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


def _open_webhooks(opened: Opened, parts: Parts, metrics: Metrics) -> tuple[Webhooks, Deliverer]:
    """Make what knows webhooks, and what tells events to them once it is started."""
    places = Places(are_private_allowed=parts.settings.webhook_private == "on")
    deliverer = Deliverer(
        parts.registry,
        parts.clock,
        send=(sender := Sender(places)).send,
        cut=sender.end,
        senders=opened.executor(SENDING_THREADS, "webhook"),
        name=f"{socket.gethostname()}:{os.getpid()}",
        agent=f"sardonyx/{distribution_version('sardonyx')}",
    )
    metrics.watch(deliverer.readings)
    return Webhooks(parts.registry, parts.clock, check_place=places.check), deliverer


def _applier(
    routing: Routing[Endpoint], verdicts: TokenVerdicts | None, pins: Pins, engine: Engine, deliverer: Deliverer
) -> Callable[[Event], Awaitable[None]]:
    """Return what gives an event to those whom it concerns."""

    async def apply(event: Event) -> None:
        deliverer.wake()
        if event.kind not in ABOUT_A_TOKEN:
            await routing.apply(event)
            pins.notice(event)
            engine.residence.apply(event)
            engine.isolating.apply(event)
        elif verdicts is not None:
            await verdicts.apply(event)

    return apply


def _warmer(cache: SessionCache[AnySession]) -> Callable[[Version, Version], Awaitable[None]]:
    """Return what readies an alias's next version: where the one it leaves is loaded, the next is loaded beside it.

    Where both do not fit, nothing is: the alias is switched, and the next version loaded in the other's place.
    """

    async def warm(before: Version, after: Version) -> None:
        await cache.succeed(before, after, monotonic() + LOAD_SECONDS)

    return warm


def _reporter(parts: Parts, cache: SessionCache[AnySession]) -> Callable[[int], WorkerReport]:
    host, pid = socket.gethostname(), os.getpid()

    def report(applied: int) -> WorkerReport:
        return WorkerReport(
            host=host,
            pid=pid,
            applied=applied,
            resident=cache.by_use(),
            reported_at=parts.clock.now(),
            ring_id=parts.settings.ring_number,
        )

    return report
