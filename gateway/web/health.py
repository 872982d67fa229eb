"""Whether this worker lives, whether it can answer, and what it has counted."""

from typing import Any

from fastapi import APIRouter, Response

from gateway.web.context import UsesServices
from gateway.web.guarded import GuardedRoute, needs
from registry.roles import Role

router = APIRouter(tags=["watching"], route_class=GuardedRoute)


@router.get("/health/live", summary="The process answers")
@needs(None)
async def live() -> dict[str, Any]:
    """Return 200 for as long as the process can answer at all."""
    return {"status": "live"}


@router.get("/health/ready", summary="Predict requests can be answered")
@needs(None)
async def ready(services: UsesServices) -> dict[str, Any]:
    """Return 200 once the change feed has been read; else 503 and what is missing."""
    await services.check_ready()
    trouble = services.feed.last_error
    return {
        "status": "ready",
        "applied": services.feed.applied,
        "registry": "ok" if trouble is None else trouble.code,
    }


@router.get("/metrics", summary="Counters in Prometheus's text format", response_class=Response)
@needs(Role.PREDICT)
async def metrics(services: UsesServices) -> Response:
    """Return this worker's counters."""
    return Response(services.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
