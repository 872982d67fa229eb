"""Versions: list, show, describe, retire, download."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from gateway.web import schemes
from gateway.web.context import Actor, After, Limit, ModelName, UsesServices, VersionNumber
from gateway.web.documentation import version_openapi
from gateway.web.documented import BYTES
from gateway.web.exchange import CONTEXT, Exchange
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.schemas import VersionChange, page_json, version_json
from gateway.web.services import Services
from gateway.web.snippets import snippets_json
from registry.artifact import ArtifactFile
from registry.batching import Batching
from registry.errors import FileNotInVersion
from registry.lookup import resolve_model, resolve_present_version, resolve_version
from registry.names import quoted
from registry.ports import Registry
from registry.records import Page, Version
from registry.roles import Role
from registry.standing import Isolation

router = APIRouter(prefix="/registry/models/{name}/versions", tags=["versions"], route_class=JsonRoute)

_BASE_URL = r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*"


@router.get("", summary="List a model's versions, newest first")
@needs(Role.PREDICT)
async def list_versions(
    services: UsesServices, name: ModelName, limit: Limit = 100, after: After = None
) -> dict[str, Any]:
    """Return versions, those that are retired included."""
    page = await services.call(_list, services.registry, name, limit, after)
    return page_json(page, lambda version: version_json(version, services.store.locate))


@router.get("/{number}", summary="Show a version")
@needs(Role.PREDICT)
async def show_version(services: UsesServices, name: ModelName, number: VersionNumber) -> dict[str, Any]:
    """Return one version, with its signature and its files."""
    return await _shown(services, name, number)


@router.patch("/{number}", summary="Describe a version, or say how it may be batched and where it shall run")
@needs(Role.PUBLISH)
async def change_version(
    services: UsesServices, actor: Actor, name: ModelName, number: VersionNumber, change: VersionChange
) -> dict[str, Any]:
    """Replace the description, the tags, the batching or where it is asked to run; nothing else ever changes.

    `isolation` is what is asked for, and what the answer says is where the version runs: deaths may keep it isolated.
    """
    await services.write(
        services.editing.change_version,
        name,
        number,
        description=change.description,
        tags=change.tags,
        batching=None if change.batching is None else Batching(change.batching),
        isolation=None if change.isolation is None else Isolation(change.isolation),
        actor=actor,
    )
    return await _shown(services, name, number)


@router.delete("/{number}", summary="Retire a version")
@needs(Role.ADMIN)
async def retire_version(
    services: UsesServices, actor: Actor, name: ModelName, number: VersionNumber
) -> dict[str, Any]:
    """Leave a tombstone: the version no longer answers, and its number is never used again."""
    await services.write(services.retirement.retire, name, number, actor=actor)
    return await _shown(services, name, number)


@router.get("/{number}/artifact", summary="Download a version's graph", response_class=Response, responses={200: BYTES})
@needs(Role.PREDICT)
async def download_graph(services: UsesServices, name: ModelName, number: VersionNumber) -> Response:
    """Return the bytes of the ``.onnx`` file."""
    version = await services.call(_find, services.registry, name, number)
    return await _download(services, version.artifact.graph)


@router.get(
    "/{number}/artifact/{file}",
    summary="Download one of a version's files",
    response_class=Response,
    responses={200: BYTES},
)
@needs(Role.PREDICT)
async def download_file(services: UsesServices, name: ModelName, number: VersionNumber, file: str) -> Response:
    """Return the bytes of the file of this name."""
    version = await services.call(_find, services.registry, name, number)
    for candidate in version.artifact.files:
        if candidate.name == file:
            return await _download(services, candidate)
    raise FileNotInVersion(f"version {number} of '{name}' has no file {quoted(file)}")


@router.get("/{number}/openapi.json", summary="The typed schema of a version's predict route")
@needs(Role.PREDICT)
async def show_openapi(services: UsesServices, name: ModelName, number: VersionNumber) -> Response:
    """Return an OpenAPI 3.1 document with a valid example body."""
    version = await services.call(_find, services.registry, name, number)
    return await services.call(lambda: JSONResponse(version_openapi(version)))


@router.get("/{number}/snippets", summary="Programs that call a version with its real input")
@needs(Role.PREDICT)
async def show_snippets(
    services: UsesServices,
    request: Request,
    name: ModelName,
    number: VersionNumber,
    base_url: Annotated[
        str | None,
        Query(
            max_length=256,
            pattern=f"^{_BASE_URL}$",
            description="where callers reach the gateway, if not as this request did",
            examples=["https://models.example.com"],
        ),
    ] = None,
) -> dict[str, Any]:
    """Return a program for each of curl, Python, JavaScript and clients in Python, and why one is left out if it is."""
    version = await services.call(_find_present, services.registry, name, number)
    exchange: Exchange = request.scope[CONTEXT]
    return snippets_json(
        version, base_url=base_url or schemes.base_url(exchange.headers), has_tokens=services.settings.is_auth_on
    )


def _find_present(registry: Registry, name: str, number: int) -> Version:
    with registry.reading() as catalog:
        return resolve_present_version(catalog, name, number)


def _find(registry: Registry, name: str, number: int) -> Version:
    with registry.reading() as catalog:
        return resolve_version(catalog, name, number)


async def _shown(services: Services, name: str, number: int) -> dict[str, Any]:
    version = await services.call(_find, services.registry, name, number)
    return version_json(version, services.store.locate)


def _list(registry: Registry, name: str, limit: int, after: str | None) -> Page[Version]:
    with registry.reading() as catalog:
        resolve_model(catalog, name)
        return catalog.list_versions(name, limit=limit, after=after)


async def _download(services: Services, file: ArtifactFile) -> Response:
    chunks = await services.call(_opened, services, file)
    headers = {
        "content-length": str(file.size_bytes),
        "content-disposition": f'attachment; filename="{file.name}"',
        "etag": f'"{file.digest}"',
    }
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


def _opened(services: Services, file: ArtifactFile) -> Iterator[bytes]:
    """Begin to read, so that what is missing is noticed while the status can still say so."""
    chunks = services.store.stream(file.digest)
    first = next(chunks, b"")

    def every() -> Iterator[bytes]:
        yield first
        yield from chunks

    return every()
