"""A version's page: what it takes and gives, what it is made of, and what was measured."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.web.console.pages import page
from gateway.web.console.policy import ConsoleRoute
from gateway.web.console.tools import tools_of
from gateway.web.context import ModelName, UsesServices, VersionNumber
from gateway.web.guarded import needs
from registry.lookup import resolve_model, resolve_version
from registry.roles import Role

router = APIRouter(prefix="/console/models/{name}/versions/{number}", include_in_schema=False, route_class=ConsoleRoute)


@router.get("")
@needs(Role.PREDICT)
async def show_version(request: Request, services: UsesServices, name: ModelName, number: VersionNumber) -> Response:
    """Show one version, also one that is retired."""

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            version = resolve_version(catalog, name, number)
            return {"model": resolve_model(catalog, name), "version": version, "tools": tools_of(request, version)}

    return await page(request, "version.html", gather)
