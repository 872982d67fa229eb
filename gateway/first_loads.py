"""What a worker loads before it serves: what its settings name, and what others have loaded."""

import asyncio
import os
import socket
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

import structlog

from gateway.company import Company
from gateway.engine import Engine
from gateway.placement.share import find_share
from gateway.serving.inheritance import SHARE_SECONDS, SHARE_WIDTH, list_inheritance, load_ahead
from gateway.serving.isolated import AnySession
from gateway.serving.session_cache import SessionCache
from gateway.settings import list_references
from gateway.web.feed import list_live_workers
from gateway.web.services import Services
from registry.errors import ServiceError
from registry.names import Reference, parse_reference
from registry.ports import Registry
from registry.records import Alias, Version, WorkerReport

T = TypeVar("T")

LOAD_SECONDS: Final = 60.0
"""For a load that nobody asked for."""

_REMEMBERING_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1


async def preload(services: Services, cache: SessionCache[AnySession]) -> None:
    """Load what is to be loaded before the first request; what cannot be is logged, and loaded when it is asked for."""
    for text in list_references(services.settings.preload):
        if services.leaving.is_set():
            return
        try:
            endpoint = await services.routing.resolve(parse_reference(text))
            await cache.preload(endpoint.version, monotonic() + LOAD_SECONDS)
        except ServiceError as error:
            structlog.get_logger().error("not_preloaded", reference=text, code=error.code, detail=error.detail)


class LoadsAhead:
    """Loads what others have loaded, who answer meanwhile (``gateway.serving.inheritance``).

    Args:
        services: the registry, and what resolves references.
        engine: where it is loaded.
        company: who answers meanwhile.
    """

    def __init__(self, services: Services, engine: Engine, company: Company) -> None:
        self._services = services
        self._engine = engine
        self._company = company
        self._ring_id = services.settings.ring_number if services.settings.is_predicting else 0
        self._remembered: list[WorkerReport] | None = None

    async def remember(self) -> None:
        """Read what our place had loaded, before this worker reports: in a container it has its predecessor's name."""
        if self._company is not Company.FLEET or not self._ring_id:
            return
        with suppress(TimeoutError, ServiceError):
            reading = asyncio.get_running_loop().run_in_executor(
                self._services.executor, _or_nothing, self._list_places
            )
            self._remembered = await asyncio.wait_for(reading, _REMEMBERING_SECONDS)

    async def load(self) -> None:
        """Load it, within the time that ``gateway.serving.inheritance`` says."""
        if self._company is Company.SIBLINGS:
            await self._load_all(partial(_list_inheritance, self._services.registry))
        elif self._company is Company.FLEET and self._ring_id:
            began = monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(SHARE_SECONDS):
                    while not (self._services.feed.is_ready or self._services.leaving.is_set()):  # noqa: ASYNC110 - nobody says it, and it takes no time
                        await asyncio.sleep(_LOOK_SECONDS)
            seconds = max(0.0, SHARE_SECONDS - (monotonic() - began))
            count = await self._load_all(self._find_share, seconds=seconds, width=SHARE_WIDTH)
            structlog.get_logger().info("share_loaded", versions=count, seconds=round(monotonic() - began, 3))

    def _list_places(self) -> list[WorkerReport]:
        with self._services.registry.reading() as catalog:
            return list(catalog.list_places())

    def _find_share(self) -> list[Reference]:
        return _or_nothing(self._share)

    def _share(self) -> list[Reference]:
        registry, own = self._services.registry, (socket.gethostname(), os.getpid())
        living = {(report.host, report.pid) for report in list_live_workers(registry)}
        reports = self._list_places()
        self._warn_of_twins(reports, living)
        if self._remembered is not None:
            had = [report for report in self._remembered if report.ring_id == self._ring_id]
            reports = had + [report for report in reports if report.ring_id != self._ring_id]
        else:
            reports = [report for report in reports if (report.host, report.pid) != own]
        models = {text.rpartition(":")[0] for report in reports for text in report.resident}
        aliases: dict[str, list[Alias]] = {}
        with registry.reading() as catalog:
            for alias in catalog.list_aliases(models):
                aliases.setdefault(alias.model, []).append(alias)
        return find_share(reports, living, self._ring_id, aliases)

    def _warn_of_twins(self, reports: Iterable[WorkerReport], living: Collection[tuple[str, int]]) -> None:
        """Say it if somebody else has our place: a proxy would not know us apart."""
        here = socket.gethostname()
        alive = [report.host for report in reports if (report.host, report.pid) in living]
        twins = {report.host for report in reports if report.ring_id == self._ring_id and report.host in alive} - {here}
        if twins:
            structlog.get_logger().warning("ring_id_taken", ring_id=self._ring_id, hosts=sorted(twins))

    async def _load_all(self, find_all: Callable[[], list[Reference]], **limits: Any) -> int:
        async def find_references() -> list[Reference]:
            return await self._services.call(find_all)

        async def find(reference: Reference) -> Version:
            return (await self._services.routing.resolve(reference)).version

        async def load(version: Version) -> None:
            (await self._engine.cache.acquire_spare(version, monotonic() + LOAD_SECONDS)).release()

        return await load_ahead(
            find_references,
            find=find,
            load=load,
            isolation_of=self._engine.isolating.of,
            is_over=self._services.leaving.is_set,
            **limits,
        )


def _or_nothing(find: Callable[[], list[T]]) -> list[T]:
    """Return what is found, nothing if that fails: a share is worth having, and never worth not beginning.

    Raises:
        ServiceError: what the registry says of itself.
    """
    try:
        return find()
    except ServiceError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        structlog.get_logger().error("share_not_found", error=type(error).__name__, detail=str(error))
        return []


def _list_inheritance(registry: Registry) -> list[Reference]:
    return list_inheritance(list_live_workers(registry), socket.gethostname(), os.getpid())
