"""The console's first page: every model, what is live of it, and how it fares."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.web.console.pages import page
from gateway.web.console.policy import ConsoleRoute
from gateway.web.context import After, Asking, UsesServices
from gateway.web.cookies import CONSOLE
from gateway.web.guarded import needs
from gateway.web.models import list_visible_models
from registry.roles import Role

router = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

_MODELS = 50
"""On one page."""


@router.get(CONSOLE)
@needs(Role.PREDICT)
async def show_home(
    request: Request,
    services: UsesServices,
    asking: Asking,
    after: After = None,
    q: Annotated[str | None, Query(max_length=128)] = None,
) -> Response:
    """Show a page of the models that the caller sees, those that a search finds."""
    query = (q or "").strip()

    def gather() -> Mapping[str, Any]:
        found = list_visible_models(services.registry, asking, limit=_MODELS, after=after, query=query or None)
        return {
            "models": [(model, services.rates.of_model(model.name)) for model in found.items],
            "next": found.next,
            "after": after,
            "query": query,
            "may_register": asking.role.includes(Role.PUBLISH),
        }

    return await page(request, "home.html", gather)
