"""The page that shows a version's graph, and the graph itself for the frame in it."""

from fastapi import APIRouter, Request, Response

from gateway.web.console.netron import page_url
from gateway.web.console.pages import page
from gateway.web.console.policy import ConsoleRoute
from gateway.web.context import ModelName, UsesServices, VersionNumber
from gateway.web.graph import fetch_graph
from gateway.web.guarded import needs
from gateway.web.services import Services
from registry.lookup import resolve_present_version
from registry.records import Version
from registry.roles import Role

router = APIRouter(prefix="/console/models/{name}/versions/{number}", include_in_schema=False, route_class=ConsoleRoute)


@router.get("/graph")
@needs(Role.PREDICT)
async def show_graph(request: Request, services: UsesServices, name: ModelName, number: VersionNumber) -> Response:
    """Show the frame once the graph is there: what keeps it from being made is said on a page of ours."""
    version = await _find(services, name, number)
    await fetch_graph(services, version)
    return await page(request, "graph.html", lambda: {"version": version, "frame_url": page_url(name, number)})


@router.get("/graph.onnx")
@needs(Role.PREDICT)
async def show_graph_file(services: UsesServices, name: ModelName, number: VersionNumber) -> Response:
    """Return the graph as ``GET /registry/.../graph`` does, to a page that has the console's cookie."""
    octets = await fetch_graph(services, await _find(services, name, number))
    return Response(octets, media_type="application/octet-stream")


async def _find(services: Services, name: str, number: int) -> Version:
    def find() -> Version:
        with services.registry.reading() as catalog:
            return resolve_present_version(catalog, name, number)

    return await services.call(find)
