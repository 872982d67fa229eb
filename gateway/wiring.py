"""The one place where everybody meets: objects are made in one order and closed in the reverse one."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from prometheus_client.core import Metric

from gateway.host import anonymous_bytes, usable_cpus
from gateway.serving.change_feed import ChangeFeed
from gateway.serving.deadlines import Watchdog
from gateway.serving.predictor import Predictor
from gateway.serving.routing import Routing
from gateway.serving.runtime import Session
from gateway.serving.session_cache import SessionCache
from gateway.settings import Settings
from gateway.telemetry import AccessLog, Metrics, counter, gauge
from gateway.web.endpoint import Endpoint, EndpointFactory
from gateway.web.services import Services
from model_store.disk_cache import DiskCache
from model_store.local import FolderStore
from model_store.streams import Spool, sweep_scratch
from registry.editing import Editing
from registry.errors import ServiceError
from registry.inspection.sandbox import SandboxedInspector
from registry.names import parse_reference
from registry.promotion import Promotion
from registry.records import Version
from registry.registration import Registration
from registry.resolution import resolve
from registry.retirement import Retirement
from registry.sql import schema
from registry.sql.unit_of_work import SqlRegistry

_CONTROL_THREADS = 16
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
        return self.registry.current_revision(), schema.head_revision()

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


@asynccontextmanager
async def open_services(settings: Settings, *, is_worker: bool) -> Any:
    """Make everything that the HTTP layer works with, start it, and end it in reverse.

    Args:
        settings: of this process.
        is_worker: True if this process serves others, so that it reports itself and keeps a log of requests.
    """
    async with AsyncExitStack() as opened:
        parts = open_parts(settings)
        opened.callback(parts.close)
        control = _executor(opened, _CONTROL_THREADS, "control")
        loads = _executor(opened, _LOAD_THREADS, "load")
        places = usable_cpus()
        runs = _executor(opened, places + _SPARE_RUN_THREADS, "run")
        watchdog = Watchdog(on_stuck=_die_of_a_stuck_run)
        watchdog.start()
        opened.callback(watchdog.close)
        cache: SessionCache[Session] = SessionCache(
            budget_bytes=settings.memory_budget_bytes // settings.workers,
            load=_loader(parts.folders),
            executor=loads,
            max_queue=settings.max_queue,
        )
        opened.push_async_callback(cache.drain)
        metrics = Metrics()
        metrics.watch(lambda: _cache_metrics(cache))
        routing: Routing[Endpoint] = Routing(parts.registry, EndpointFactory(metrics), executor=control)
        feed = ChangeFeed(parts.registry, routing, executor=control)
        metrics.watch(lambda: _feed_metrics(feed))
        access_log = AccessLog(sys.stderr.buffer if is_worker and settings.log_level in ("debug", "info") else None)
        opened.callback(access_log.flush)
        predictor = Predictor(
            cache,
            executor=runs,
            watchdog=watchdog,
            places=places,
            spare=_SPARE_RUN_THREADS,
            max_queue=settings.max_queue,
        )
        scratch = settings.spool_dir
        await asyncio.get_running_loop().run_in_executor(control, _sweep, parts)
        services = Services(
            settings=settings,
            registry=parts.registry,
            store=parts.store,
            clock=parts.clock,
            registration=Registration(
                registry=parts.registry,
                store=parts.store,
                inspector=parts.inspector,
                folders=parts.folders,
                clock=parts.clock,
            ),
            promotion=Promotion(registry=parts.registry, clock=parts.clock),
            retirement=Retirement(registry=parts.registry, clock=parts.clock),
            editing=Editing(registry=parts.registry, clock=parts.clock),
            open_spool=lambda: Spool(scratch, settings.max_upload_bytes),
            routing=routing,
            predictor=predictor,
            feed=feed,
            metrics=metrics,
            access_log=access_log,
            executor=control,
            readiness=lambda: None,
        )
        yield services
