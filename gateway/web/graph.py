"""A version's graph without its weights, for whoever draws it."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Response

from gateway.web.context import ModelName, UsesServices, VersionNumber
from gateway.web.documented import BYTES
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.services import Services, run_in_line
from registry.lookup import resolve_present_version
from registry.ports import Registry
from registry.records import Version
from registry.roles import Role

router = APIRouter(prefix="/registry/models/{name}/versions/{number}/graph", tags=["versions"], route_class=JsonRoute)

_UNCHANGED = {"description": "It is what `If-None-Match` names"}


@router.get(
    "",
    summary="Download a version's graph without its weights",
    response_class=Response,
    responses={200: BYTES, 304: _UNCHANGED},
)
@needs(Role.PREDICT)
async def download_graph_alone(
    services: UsesServices,
    name: ModelName,
    number: VersionNumber,
    if_none_match: Annotated[str | None, Header(max_length=1024, description="an ETag that is there already")] = None,
) -> Response:
    """Return an ONNX file whose large tensors have a name, a type and dimensions, and no data.

    It is made when it is first wanted, which takes as long as the graph is large.
    """
    version = await services.call(_find, services.registry, name, number)
    tag = f'"{services.graphs.tag(version)}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    octets = await fetch_graph(services, version)
    headers["content-disposition"] = f'attachment; filename="{name}-{number}.onnx"'
    return Response(octets, media_type="application/octet-stream", headers=headers)


async def fetch_graph(services: Services, version: Version) -> bytes:
    """Return a version's graph, made if need be.

    Raises:
        InvalidArtifact: it cannot be made.
        ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, Overloaded, InternalError.
    """
    found = await services.call(services.graphs.find, version)
    if found is not None:
        return found
    return await run_in_line(services.stripping, partial(services.graphs.make, version))


def _find(registry: Registry, name: str, number: int) -> Version:
    with registry.reading() as catalog:
        return resolve_present_version(catalog, name, number)
