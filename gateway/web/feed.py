"""The change feed and those who follow it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from fastapi import APIRouter

from gateway.web.context import AfterNumber, Asking, Limit, UsesServices
from gateway.web.guarded import GuardedRoute, needs
from gateway.web.schemas import event_json, worker_json
from registry.events import Event
from registry.ports import Registry
from registry.records import WorkerReport
from registry.roles import Caller, Role

router = APIRouter(prefix="/registry", tags=["watching"], route_class=GuardedRoute)

LIVE_SECONDS = 15
"""A worker that has not reported for so long is not counted as live (design section 3)."""


@router.get("/events", summary="The change feed, which is the audit log")
@needs(Role.PREDICT)
async def list_events(
    services: UsesServices,
    asking: Asking,
    after: AfterNumber = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Return events in the order of their commits; ``next`` is what to pass as ``after``."""
    events = await services.call(_list, services.registry, after, limit)
    return {
        "items": [event_json(event) for event in events if asking.sees(event.model)],
        "next": events[-1].sequence if len(events) == limit else None,
    }


@router.get("/workers", summary="Live workers, what they have applied and what they hold")
@needs(Role.PREDICT)
async def list_workers(services: UsesServices, asking: Asking) -> dict[str, Any]:
    """Return every worker that has reported within 15 seconds; of what they hold, what the caller may see."""
    reports = await services.call(list_live_workers, services.registry)
    return {"items": [worker_json(_visible(report, asking)) for report in reports], "next": None}


def _list(registry: Registry, after: int, limit: int) -> list[Event]:
    with registry.reading() as catalog:
        return list(catalog.list_events(after=after, limit=limit))


def _visible(report: WorkerReport, asking: Caller) -> WorkerReport:
    def sees(name: str) -> bool:
        return asking.sees(name.rpartition(":")[0])

    return replace(
        report,
        resident=tuple(name for name in report.resident if sees(name)),
        failed=tuple(switch for switch in report.failed if asking.sees(switch.model)),
    )


def list_live_workers(registry: Registry) -> list[WorkerReport]:
    """Return what every worker says of itself that has reported within ``LIVE_SECONDS``."""
    with registry.reading() as catalog:
        return list(catalog.list_workers(since=catalog.now() - timedelta(seconds=LIVE_SECONDS)))
