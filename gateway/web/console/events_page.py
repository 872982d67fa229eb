"""The page of the events: the audit log, newest first."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.web.console.event_words import sentence
from gateway.web.console.pages import page
from gateway.web.console.policy import ConsoleRoute
from gateway.web.context import Asking, UsesServices
from gateway.web.guarded import needs
from registry.roles import Role

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

_EVENTS = 50
"""Of the feed, on one page: a caller who sees some models only may see fewer of them."""


@router.get("/console/events")
@needs(Role.PREDICT)
async def show_events(
    request: Request,
    services: UsesServices,
    asking: Asking,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="only events with smaller numbers")] = None,
) -> Response:
    """Show the newest events, or those before one of them."""

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            end = catalog.latest_sequence() + 1 if before is None else min(before, catalog.latest_sequence() + 1)
            begin = max(0, end - 1 - _EVENTS)
            found = [event for event in catalog.list_events(after=begin, limit=_EVENTS) if event.sequence < end]
        seen = [(event, sentence(event)) for event in reversed(found) if asking.sees(event.model)]
        older = begin + 1 if begin > 0 else None
        return {"events": seen, "looked_at": len(found), "before": before, "older": older}

    return await page(request, "events.html", gather)
