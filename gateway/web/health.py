"""Whether this worker lives, whether it can answer, and what it has counted."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from gateway.exposition import CONTENT_TYPE
from gateway.placement.elsewhere import NOT_READY, NOT_READY_STATUS
from gateway.web.context import UsesServices
from gateway.web.guarded import GuardedRoute, needs
from registry.errors import ServiceError
from registry.roles import Role

router = APIRouter(tags=["watching"], route_class=GuardedRoute)


_TEXT: Any = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get("/health/live", summary="The process answers")
@needs(None)
async def live() -> dict[str, Any]:
    """Return 200 for as long as the process can answer at all."""
    return {"status": "live"}


@router.get("/health/ready", summary="Predict requests can be answered")
@needs(None)
async def ready(
    services: UsesServices, as_status: Annotated[str, Header(alias=NOT_READY, include_in_schema=False)] = ""
) -> Any:
    """Return 200 once the change feed has been read; else 503 and what is missing.

    Without the registry or the store, what is loaded or cached goes on answering: that is ready, and named here.
    """
    try:
        await services.check_ready()
    except ServiceError as error:
        if as_status != str(NOT_READY_STATUS):
            raise
        return JSONResponse({"status": "not ready", "code": error.code}, NOT_READY_STATUS)
    feed = services.feed
    return {
        "status": "ready",
        "applied": feed.applied,
        "registry": _word(feed.read_error),
        "store": _word(services.store_watch.error),
        "feed": _word(feed.apply_error),
        "feed_age_seconds": round(feed.seconds_since_read, 3),
    }


def _word(trouble: ServiceError | None) -> str:
    return "ok" if trouble is None else trouble.code


@router.get("/metrics", summary="Counters in Prometheus's text format", response_class=Response, responses=_TEXT)
@needs(Role.PREDICT)
async def metrics(services: UsesServices) -> Response:
    """Return the counters of all workers of this host."""
    services.metrics.publish()
    text = await services.call(services.metrics.render)
    return Response(text, media_type=CONTENT_TYPE)
