"""Registering: one file as it is, or several that were sent before, or one that lies in somebody's bucket.

The bytes go to a spool file and are hashed on the way; nothing of them stays in memory, and nothing stays on the disk
unless the registration succeeds.
"""

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from gateway.web.context import Actor, DigestInPath, ModelName, UsesServices
from gateway.web.example_bodies import reader
from gateway.web.guarded import GuardedRoute, needs
from gateway.web.json_routes import MAX_EXAMPLE_JSON_BYTES, read_json_bytes
from gateway.web.limits import ClientGone, check_length
from gateway.web.schemas import Body, ExampleBody, FilesBody, SourceBody, WantedIsolation, invalid_fields, version_json
from gateway.web.services import Services, Spool
from registry.annotations import check_annotations
from registry.artifact import Digest, parse_digest
from registry.errors import InvalidRequest, UndecodableBody, UnsupportedEncoding, UnsupportedMediaType
from registry.examples import Examples
from registry.names import quoted
from registry.recording import ReadExamples
from registry.registration import Registered
from registry.roles import Role
from registry.signature import Signature
from registry.standing import Isolation
from registry.storage import Upload

router = APIRouter(prefix="/registry", tags=["registering"], route_class=GuardedRoute)

B = TypeVar("B", bound=Body)

_CHUNK_BYTES = 1024 * 1024

NAMED_BODIES: tuple[type[Body], ...] = (FilesBody, SourceBody)
"""What the body may say where it is JSON; the document has their schemas among its components."""

_VERSION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {
                "schema": {"anyOf": [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in NAMED_BODIES]}
            },
        },
    }
}
_BLOB_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put(
    "/blobs/{digest}",
    summary="Send one file of a version that has several",
    openapi_extra=_BLOB_BODY,
    status_code=201,
    responses={200: {"description": "They were there already"}},
)
@needs(Role.PUBLISH)
async def put_blob(services: UsesServices, request: Request, digest: DigestInPath) -> Response:
    """Store a file's bytes under their digest: 201, or 200 when they were there already."""
    _check_bytes_type(request)
    with services.open_spool() as spool:
        upload = await _receive(services, request, spool)
        is_new = await services.call(services.registration.put_blob, upload, announced=digest)
    body = {"digest": str(digest), "size_bytes": upload.size_bytes}
    return JSONResponse(body, status_code=201 if is_new else 200)


@router.post(
    "/models/{name}/versions",
    summary="Register a version",
    openapi_extra=_VERSION_BODY,
    status_code=201,
    responses={200: {"description": "The version that has these bytes already"}},
)
@needs(Role.PUBLISH)
async def register_version(
    services: UsesServices,
    actor: Actor,
    request: Request,
    name: ModelName,
    description: Annotated[str, Query(max_length=4096)] = "",
    tag: Annotated[
        list[str] | None, Query(description="key:value, as often as needed", examples=["team:vision"])
    ] = None,
    sha256: Annotated[str | None, Query(description="the digest that the bytes must have")] = None,
    isolation: Annotated[WantedIsolation, Query(description="isolated: in a child process of its own")] = "in_process",
) -> Response:
    """Inspect the model in a sandbox, store it and give it the next number.

    The first version's description is its model's, too, until somebody describes the model.
    201 and a Location header for a new version; 200 with the version that has these very bytes already. The body is the
    `.onnx` file, or JSON that names `files` sent before to `/registry/blobs`, or a `source` to import from.
    """
    media_type = _media_type(request)
    if media_type == "application/json":
        _check_query(request)
        registered = await _register_named(
            services, await read_json_bytes(request, MAX_EXAMPLE_JSON_BYTES), name, actor
        )
    else:
        _check_bytes_type(request)
        announced = None if sha256 is None else parse_digest(sha256)
        tags = _tags(tag or [])
        with services.open_spool() as spool:
            upload = await _receive(services, request, spool)
            registered = await services.register(
                services.registration.register_upload,
                name,
                upload,
                announced=announced,
                description=description,
                tags=tags,
                isolation=Isolation(isolation),
                actor=actor,
            )
        registered = await _keep_isolation(services, registered, isolation, actor)
    services.preparing.want(registered.version)
    return _registered(services, registered)


async def _register_named(services: Services, body: bytes, name: str, actor: str) -> Registered:
    """Register what a JSON body names: files of the store, or an object of somebody's bucket."""
    if _names_source(body):
        wanted_source = _parse(SourceBody, body)
        registered = await services.register(_import, services, wanted_source, name, actor)
        registered = await _keep_examples(services, registered, wanted_source.examples, actor)
        return await _keep_isolation(services, registered, wanted_source.isolation, actor)
    wanted = _parse(FilesBody, body)
    files: dict[str, Digest] = {file: parse_digest(digest) for file, digest in wanted.files.items()}
    registered = await services.register(
        services.registration.register_blobs,
        name,
        files,
        description=wanted.description,
        tags=wanted.tags,
        isolation=Isolation(wanted.isolation),
        read_examples=reader(wanted.examples),
        actor=actor,
    )
    registered = await _keep_examples(services, registered, wanted.examples, actor)
    return await _keep_isolation(services, registered, wanted.isolation, actor)


async def _keep_examples(
    services: Services, registered: Registered, bodies: list[ExampleBody], actor: str
) -> Registered:
    """Give the examples to a version that had these bytes before; a new one has them already."""
    read = reader(bodies)
    version = registered.version
    if registered.is_new or read is None:
        return registered
    edit = partial(_replaced, read)
    changed = await services.register(services.recording.change, version.model, version.number, edit, actor=actor)
    return Registered(version=changed, is_new=False)


async def _keep_isolation(
    services: Services, registered: Registered, wanted: WantedIsolation, actor: str
) -> Registered:
    """Isolate a version that had these bytes before, if that was asked for; a new one is where it was asked to be."""
    version, isolation = registered.version, Isolation(wanted)
    if registered.is_new or isolation is Isolation.IN_PROCESS:
        return registered
    change = services.editing.change_version
    changed = await services.write(change, version.model, version.number, isolation=isolation, actor=actor)
    return Registered(version=changed, is_new=False)


def _replaced(read: ReadExamples, signature: Signature, _before: Examples) -> Examples:
    return read(signature)


def _import(services: Services, wanted: SourceBody, name: str, actor: str) -> Registered:
    """Copy the object into a spool file, then do as if it had been uploaded; blocks."""
    check_annotations(description=wanted.description, tags=wanted.tags)  # before the bytes travel
    with services.open_spool() as spool:
        for chunk in services.sources.open(wanted.source, limit_bytes=services.settings.max_upload_bytes):
            spool.write(chunk)
        return services.registration.register_upload(
            name,
            spool.finish(),
            description=wanted.description,
            tags=wanted.tags,
            isolation=Isolation(wanted.isolation),
            read_examples=reader(wanted.examples),
            actor=actor,
        )


def _names_source(body: bytes) -> bool:
    try:
        return "source" in json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return False  # whatever it is, it is refused as a list of files


def _check_query(request: Request) -> None:
    if request.query_params:
        first = quoted(next(iter(request.query_params)))
        raise InvalidRequest(
            f"{first} does not go with a JSON body: write it into the body, where it has its place there"
        )


def _parse(kind: type[B], body: bytes) -> B:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        if any(fault["type"] == "json_invalid" for fault in faults):
            raise UndecodableBody("the body must be a JSON object with files") from error
        raise invalid_fields((fault["loc"], dict(fault)) for fault in faults) from error


def _registered(services: Services, registered: Registered) -> Response:
    version = registered.version
    location = f"/registry/models/{version.model}/versions/{version.number}"
    body = version_json(version, services.store.locate)
    if registered.is_new:
        return JSONResponse(body, status_code=201, headers={"location": location})
    return JSONResponse(body, status_code=200, headers={"content-location": location})


async def _receive(services: Services, request: Request, spool: Spool) -> Upload:
    """Write the body to the spool, a megabyte at a time and off the event loop."""
    limit_bytes = services.settings.max_upload_bytes
    check_length(request.headers.get("content-length", "").encode() or None, limit_bytes)
    async for chunk in _megabytes(request, limit_bytes):
        await services.call(spool.write, chunk)
    return await services.call(spool.finish)


async def _megabytes(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body in large pieces; what passes the limit at once, since the rest may never come."""
    waiting: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            waiting.append(chunk)
            size += len(chunk)
            limit_bytes -= len(chunk)
            if size >= _CHUNK_BYTES or limit_bytes < 0:
                yield b"".join(waiting)
                waiting, size = [], 0
    except ClientDisconnect as error:
        raise ClientGone from error
    if waiting:
        yield b"".join(waiting)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


def _check_bytes_type(request: Request) -> None:
    given = _media_type(request)
    if given not in ("", "application/octet-stream", "application/onnx", "application/x-onnx"):
        raise UnsupportedMediaType(
            f"{quoted(given)} is not supported here: send the file's bytes as they are, "
            "with Content-Type: application/octet-stream"
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedEncoding(f"{quoted(encoding)} is not supported for files: send plain bytes")


def _tags(pairs: list[str]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        key, separator, value = pair.partition(":")
        if not separator:
            raise InvalidRequest(f"{quoted(pair)} is not a tag: write key:value")
        if key in tags:
            raise InvalidRequest(f"the tag {quoted(key)} is given twice")
        tags[key] = value
    return tags
