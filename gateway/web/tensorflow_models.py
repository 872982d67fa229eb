"""What TensorFlow Serving and KServe's version 1 say of models: which there are, which versions answer, what they take.

1. One document serves the clients of both, and those of OpenVINO's server, which writes the same names in another case.
2. A model is ready if something answers where no version is named. It is loaded when it is first asked for.
"""

from typing import Any

from fastapi import APIRouter

from gateway.web.context import Asking, ModelName, UsesServices
from gateway.web.guarded import GuardedRoute, needs
from gateway.web.paths import tensorflow_version
from gateway.web.services import Services
from gateway.web.tensorflow_metadata import metadata_json
from registry.errors import NoActiveVersion, RouteNotFound
from registry.lookup import resolve_model, visible_models
from registry.names import PRODUCTION, Reference
from registry.ports import Registry
from registry.records import Version
from registry.roles import Role

router = APIRouter(prefix="/v1/models", tags=["TensorFlow Serving and KServe v1"], route_class=GuardedRoute)

_NEWEST = 100
_NOT_SERVED = ("classify", "regress", "explain")


@router.get("", summary="List models by name, as KServe does")
@needs(Role.PREDICT)
async def list_models(services: UsesServices, asking: Asking) -> dict[str, Any]:
    """Return the names of all models."""
    return {"models": [model.name for model in await services.call(visible_models, services.registry, asking)]}


@router.get("/{name}", summary="Show which versions of a model answer, newest first")
@needs(Role.PREDICT)
async def show_status(services: UsesServices, name: ModelName) -> dict[str, Any]:
    """Return the newest versions that are not retired, and whether the model answers where no version is named."""
    numbers = await services.call(_numbers, services.registry, name)
    try:
        await services.routing.resolve(Reference(name, alias=PRODUCTION), b"")
    except NoActiveVersion:
        return _status(name, numbers, is_ready=False)
    return _status(name, numbers)


@router.get("/{name}/versions/{version}", summary="Show whether a version answers")
@needs(Role.PREDICT)
async def show_version_status(services: UsesServices, name: ModelName, version: str) -> dict[str, Any]:
    """Return the version; 0 stands for what answers where no version is named."""
    return await _status_of(services, tensorflow_version(name, version, None))


@router.get("/{name}/labels/{label}", summary="Show which version an alias leads to")
@needs(Role.PREDICT)
async def show_label_status(services: UsesServices, name: ModelName, label: str) -> dict[str, Any]:
    """Return the version that the alias leads to, and its canary's if it has one."""
    return await _status_of(services, tensorflow_version(name, None, label))


@router.get("/{name}/metadata", summary="Show what a model takes and gives")
@needs(Role.PREDICT)
async def show_metadata(services: UsesServices, name: ModelName) -> dict[str, Any]:
    """Return the signature of the version that answers where none is named."""
    return await _metadata_of(services, tensorflow_version(name, None, None))


@router.get("/{name}/versions/{version}/metadata", summary="Show what a version takes and gives")
@needs(Role.PREDICT)
async def show_version_metadata(services: UsesServices, name: ModelName, version: str) -> dict[str, Any]:
    """Return the version's signature."""
    return await _metadata_of(services, tensorflow_version(name, version, None))


@router.get("/{name}/labels/{label}/metadata", summary="Show what the version takes and gives that an alias leads to")
@needs(Role.PREDICT)
async def show_label_metadata(services: UsesServices, name: ModelName, label: str) -> dict[str, Any]:
    """Return the signature of the version that the alias leads to."""
    return await _metadata_of(services, tensorflow_version(name, None, label))


@needs(Role.PREDICT)
async def refuse(name: ModelName) -> None:
    """Say that only predictions are served."""
    raise RouteNotFound(f"models are served by :predict only: send POST /v1/models/{name}:predict")


for _verb in _NOT_SERVED:
    for _path in ("/{name}", "/{name}/versions/{version}", "/{name}/labels/{label}"):
        router.add_api_route(f"{_path}:{_verb}", refuse, methods=["POST"], include_in_schema=False)


async def _status_of(services: Services, reference: Reference) -> dict[str, Any]:
    versions = await services.routing.versions(reference)
    return _status(reference.model, [version.number for version in versions])


def _status(name: str, numbers: list[int], *, is_ready: bool = True) -> dict[str, Any]:
    no_error = {"error_code": "OK", "error_message": ""}
    return {
        "name": name,
        "ready": is_ready,
        "model_version_status": [
            {"version": str(number), "state": "AVAILABLE", "status": no_error} for number in numbers
        ],
    }


async def _metadata_of(services: Services, reference: Reference) -> dict[str, Any]:
    return metadata_json((await services.routing.versions(reference))[0])


def _numbers(registry: Registry, name: str) -> list[int]:
    with registry.reading() as catalog:
        resolve_model(catalog, name)
        versions: tuple[Version, ...] = catalog.list_versions(name, limit=_NEWEST).items
    return [version.number for version in versions if not version.is_retired]
