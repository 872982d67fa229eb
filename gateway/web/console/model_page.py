"""A model's page: what is live, its versions, who moved what and why."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.web.console.pages import page
from gateway.web.console.policy import ConsoleRoute
from gateway.web.context import After, ModelName, UsesServices
from gateway.web.guarded import needs
from registry.lookup import resolve_model
from registry.roles import Role

router = APIRouter(prefix="/console/models/{name}", include_in_schema=False, route_class=ConsoleRoute)

_VERSIONS = 50
"""On one page."""


@router.get("")
@needs(Role.PREDICT)
async def show_model(request: Request, services: UsesServices, name: ModelName, after: After = None) -> Response:
    """Show one model; ``after`` goes on in the list of its versions."""

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            return {
                "model": resolve_model(catalog, name),
                "versions": catalog.list_versions(name, limit=_VERSIONS, after=after),
            }

    return await page(request, "model.html", gather)
