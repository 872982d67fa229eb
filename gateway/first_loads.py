"""What a worker loads before it serves: what its settings name, and what others have loaded."""

import os
import socket
from collections.abc import Callable
from functools import cache as cached
from functools import partial
from time import monotonic
from typing import Any, Final

import structlog

from gateway.company import Company
from gateway.engine import Engine
from gateway.placement.share import find_share
from gateway.serving.inheritance import SHARE_SECONDS, SHARE_WIDTH, list_inheritance
from gateway.serving.inheritance import load_ahead as load_all
from gateway.serving.isolated import AnySession
from gateway.serving.session_cache import SessionCache
from gateway.settings import list_references
from gateway.web.feed import list_live_workers
from gateway.web.services import Services
from registry.errors import ServiceError
from registry.names import Reference, parse_reference
from registry.ports import Registry
from registry.records import Alias, Version

LOAD_SECONDS: Final = 60.0
"""For a load that nobody asked for."""


async def preload(services: Services, cache: SessionCache[AnySession]) -> None:
    """Load what is to be loaded before the first request; what cannot be is logged, and loaded when it is asked for."""
    for text in list_references(services.settings.preload):
        try:
            endpoint = await services.routing.resolve(parse_reference(text))
            await cache.preload(endpoint.version, monotonic() + LOAD_SECONDS)
        except ServiceError as error:
            structlog.get_logger().error("not_preloaded", reference=text, code=error.code, detail=error.detail)


async def load_ahead(services: Services, engine: Engine, company: Company) -> None:
    """Load what others have loaded, who answer meanwhile (``gateway.serving.inheritance``)."""
    if company is Company.SIBLINGS:
        await _load_of_others(services, engine, partial(_list_inheritance, services.registry))
    elif company is Company.FLEET and services.settings.ring_number:
        share = partial(_find_share, services.registry, services.settings.ring_number)
        began = monotonic()
        count = await _load_of_others(services, engine, share, seconds=SHARE_SECONDS, width=SHARE_WIDTH)
        structlog.get_logger().info("share_loaded", versions=count, seconds=round(monotonic() - began, 3))


def _list_inheritance(registry: Registry) -> list[Reference]:
    return list_inheritance(list_live_workers(registry), socket.gethostname(), os.getpid())


def _find_share(registry: Registry, ring_id: int) -> list[Reference]:
    living = {(report.host, report.pid) for report in list_live_workers(registry)}
    with registry.reading() as catalog:
        reports = catalog.list_places()

        @cached
        def aliases_of(model: str) -> tuple[Alias, ...]:
            found = catalog.find_model(model)
            return found.aliases if found is not None else ()

        return find_share(reports, living, ring_id, aliases_of)


async def _load_of_others(
    services: Services, engine: Engine, find_all: Callable[[], list[Reference]], **limits: Any
) -> int:
    async def find_references() -> list[Reference]:
        return await services.call(find_all)

    async def find(reference: Reference) -> Version:
        return (await services.routing.resolve(reference)).version

    async def load(version: Version) -> None:
        (await engine.cache.acquire_spare(version, monotonic() + LOAD_SECONDS)).release()

    isolation_of = engine.isolating.of
    return await load_all(find_references, find=find, load=load, isolation_of=isolation_of, **limits)
