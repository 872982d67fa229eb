"""The model repository of the Open Inference Protocol: what there is, and what is to be loaded or unloaded."""

from collections.abc import Iterable
from time import monotonic
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from gateway.open_inference.repository import repository_index
from gateway.web.context import Actor, Asking, ModelName, UsesServices
from gateway.web.guarded import GuardedRoute, needs
from gateway.web.json_routes import MAX_JSON_BYTES
from gateway.web.limits import read_body
from gateway.web.open_inference_routes import find_version
from gateway.web.services import Services
from registry.errors import InvalidRequest, ModelPinned, UndecodableBody
from registry.lookup import resolve_model, visible_models
from registry.names import Reference, quoted
from registry.ports import Registry
from registry.roles import Caller, Role

router = APIRouter(prefix="/v2/repository", tags=["open inference protocol"], route_class=GuardedRoute)

_LOAD_SECONDS = 60.0
_INDEX = list[dict[str, Any]]


@router.post(
    "/index", summary="The versions that there are, and whether they answer", response_model=list[dict[str, Any]]
)
@needs(Role.PREDICT)
async def show_index(request: Request, services: UsesServices, asking: Asking) -> Response:
    """Return the versions that aliases point to and each model's newest; ``{"ready": true}`` leaves out the others."""
    asked = await _read(request)
    only_ready = asked.get("ready", False)
    if not isinstance(only_ready, bool):
        raise InvalidRequest("ready is true or false")
    found = await index(services, asking, only_ready=only_ready)
    # Written in a thread: the framework would take a while over thousands of models, and all others would wait.
    return await services.call(lambda: Response(orjson.dumps(found), media_type="application/json"))


@router.post("/models/{name}/load", summary="Load what is promoted")
@needs(Role.ADMIN)
async def load_model(request: Request, services: UsesServices, actor: Actor, name: ModelName) -> dict[str, Any]:
    """Load the version that production points to into this worker, and answer when it is there."""
    given = _parameters(await _read(request))
    await load(services, name, given, actor=actor)
    return {}


@router.post("/models/{name}/unload", summary="Unload a model everywhere")
@needs(Role.ADMIN)
async def unload_model(request: Request, services: UsesServices, actor: Actor, name: ModelName) -> dict[str, Any]:
    """Drop every loaded version of the model, in all workers of all gateways, when its requests have been answered."""
    _parameters(await _read(request))
    await unload(services, name, actor=actor)
    return {}


async def index(services: Services, asking: Caller, *, only_ready: bool) -> list[dict[str, Any]]:
    """Return the versions that aliases point to and each model's newest, of the models that the caller may use."""
    models = await services.call(visible_models, services.registry, asking)
    return repository_index(models, unloaded=services.residence.unloaded, only_ready=only_ready)


async def load(services: Services, name: str, parameters: Iterable[str], *, actor: str) -> None:
    """Load what is promoted into this worker.

    Raises:
        InvalidRequest: a parameter would load something else.
        ServiceError: there is nothing promoted, or it cannot be loaded.
    """
    overrides = [key for key in parameters if key == "config" or key.startswith("file:")]
    if overrides:
        raise InvalidRequest(
            f"{quoted(overrides[0])} is not supported: a model is loaded as it is; register a new version instead"
        )
    version = await find_version(services, Reference(name))
    await services.residence.load(version, monotonic() + _LOAD_SECONDS)
    await services.write(services.residence.records.record_load, name, version.number, actor=actor)


async def unload(services: Services, name: str, *, actor: str) -> None:
    """Drop every loaded version of a model, everywhere.

    Raises:
        ModelNotFound: there is no such model.
        ModelPinned: it is to stay loaded.
    """
    await services.call(_check_model, services.registry, name)
    if services.residence.is_pinned(name):
        raise ModelPinned(f"model {quoted(name)} is pinned by the gateway's settings: it stays loaded")
    await services.write(services.residence.records.record_unload, name, actor=actor)


async def _read(request: Request) -> dict[str, Any]:
    """Return the body, which says no type of its own where Triton's clients send it; absent, it asks for nothing."""
    body = await read_body(
        request.receive,
        limit_bytes=MAX_JSON_BYTES,
        content_length=request.headers.get("content-length", "").encode("latin-1") or None,
        content_encoding=request.headers.get("content-encoding", "").encode("latin-1") or None,
    )
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UndecodableBody("the body must be a JSON object") from error
    if not isinstance(document, dict):
        raise InvalidRequest("the body must be a JSON object")
    return document


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidRequest("parameters is an object")
    return parameters


def _check_model(registry: Registry, name: str) -> None:
    with registry.reading() as catalog:
        resolve_model(catalog, name)
