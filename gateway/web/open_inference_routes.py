"""The Open Inference Protocol beside inference: health, metadata, readiness, configuration, statistics.

Answers are those that Triton's and KServe's clients read; a status of 200 is what both take for ready.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from gateway.metrics import Answered
from gateway.open_inference.config import model_config
from gateway.open_inference.metadata import model_metadata, server_metadata
from gateway.open_inference.statistics import model_statistics
from gateway.web.context import Asking, ModelName, UsesServices
from gateway.web.guarded import GuardedRoute, needs
from gateway.web.paths import read_version
from gateway.web.services import Services
from registry.errors import ModelUnloaded, NoActiveVersion
from registry.lookup import visible_models
from registry.names import Reference, quoted
from registry.ports import Registry
from registry.records import Version
from registry.roles import Role

router = APIRouter(prefix="/v2", tags=["open inference protocol"], route_class=GuardedRoute)

_PAGE = 1000


VersionWord = Annotated[str, Path(description="a version's number, or an alias", examples=["1"])]


@router.get("/health/live", summary="The process answers")
@needs(None)
async def live() -> dict[str, Any]:
    """Return 200 for as long as the process can answer at all."""
    return {"live": True}


@router.get("/health/ready", summary="Infer requests can be answered")
@needs(None)
async def ready(services: UsesServices) -> dict[str, Any]:
    """Return 200 once the change feed has been read."""
    await services.check_ready()
    return {"ready": True}


@router.get("", summary="Name, version and extensions of the server")
@router.get("/", include_in_schema=False)
@needs(Role.PREDICT)
async def show_server() -> dict[str, Any]:
    """Return the server's metadata."""
    return server_metadata()


@router.get("/models", summary="The names of all models")
@needs(Role.PREDICT)
async def list_models(services: UsesServices, asking: Asking) -> dict[str, Any]:
    """Return the models that the caller may use, as KServe lists them."""
    return {"models": [model.name for model in await services.call(visible_models, services.registry, asking)]}


@router.get("/models/stats", summary="What all versions have answered")
@needs(Role.PREDICT)
async def show_all_statistics(services: UsesServices, asking: Asking) -> dict[str, Any]:
    """Return the statistics of every version that has been asked for since the gateway was started."""
    answered = await services.call(services.metrics.answered)
    return model_statistics(one for one in answered if asking.sees(one.model))


@router.get("/models/{name}", summary="Inputs and outputs of what is promoted")
@needs(Role.PREDICT)
async def show_model(services: UsesServices, name: ModelName) -> dict[str, Any]:
    """Return the model's metadata."""
    return await _metadata(services, Reference(name))


@router.get("/models/{name}/versions/{version}", summary="Inputs and outputs of a version")
@needs(Role.PREDICT)
async def show_version(services: UsesServices, name: ModelName, version: VersionWord) -> dict[str, Any]:
    """Return the metadata of the version that a number or an alias means."""
    return await _metadata(services, read_version(name, version))


@router.get("/models/{name}/ready", summary="What is promoted can answer")
@needs(Role.PREDICT)
async def is_model_ready(services: UsesServices, name: ModelName) -> dict[str, Any]:
    """Return 200 if infer requests for the model will be answered: what is not loaded is loaded by the first one."""
    return await _ready(services, Reference(name))


@router.get("/models/{name}/versions/{version}/ready", summary="A version can answer")
@needs(Role.PREDICT)
async def is_version_ready(services: UsesServices, name: ModelName, version: VersionWord) -> dict[str, Any]:
    """Return 200 if infer requests for the version will be answered."""
    return await _ready(services, read_version(name, version))


@router.get("/models/{name}/config", summary="What is promoted, as Triton configures models")
@needs(Role.PREDICT)
async def show_config(services: UsesServices, name: ModelName) -> dict[str, Any]:
    """Return the configuration."""
    return model_config(await find_version(services, Reference(name)))


@router.get("/models/{name}/versions/{version}/config", summary="A version, as Triton configures models")
@needs(Role.PREDICT)
async def show_version_config(services: UsesServices, name: ModelName, version: VersionWord) -> dict[str, Any]:
    """Return the configuration."""
    return model_config(await find_version(services, read_version(name, version)))


@router.get("/models/{name}/stats", summary="What the versions of a model have answered")
@needs(Role.PREDICT)
async def show_statistics(services: UsesServices, name: ModelName) -> dict[str, Any]:
    """Return the statistics of each of the model's versions that has been asked for, and of what is promoted."""
    try:
        version: Version | None = await find_version(services, Reference(name))
    except NoActiveVersion:  # its versions can be asked for by number all the same
        version = None
    answered = [one for one in await services.call(services.metrics.answered) if one.model == name]
    return model_statistics(answered if version is None else _with(version, answered))


@router.get("/models/{name}/versions/{version}/stats", summary="What a version has answered")
@needs(Role.PREDICT)
async def show_version_statistics(services: UsesServices, name: ModelName, version: VersionWord) -> dict[str, Any]:
    """Return the statistics of the version."""
    found = await find_version(services, read_version(name, version))
    answered = _with(found, await services.call(services.metrics.answered))
    return model_statistics(one for one in answered if (one.model, one.version) == (found.model, str(found.number)))


async def find_version(services: Services, reference: Reference) -> Version:
    """Return the version that a reference means, a canary beside it not counted.

    Raises:
        NotFound, Conflict: there is none.
        RegistryUnavailable, RegistryBusy.
    """
    return (await services.routing.versions(reference))[0]


async def _metadata(services: Services, reference: Reference) -> dict[str, Any]:
    version = await find_version(services, reference)
    numbers = await services.call(_list_numbers, services.registry, version.model)
    return model_metadata(version, numbers)


async def _ready(services: Services, reference: Reference) -> dict[str, Any]:
    version = await find_version(services, reference)
    if services.residence.is_unloaded(version.model):
        raise ModelUnloaded(
            f"model {quoted(version.model)} was unloaded; a request, or whoever loads it, brings it back"
        )
    return {"name": reference.model, "ready": True}


def _with(version: Version, answered: list[Answered]) -> list[Answered]:
    """Return what has been answered, with the version among it though it has never been asked for."""
    number = str(version.number)
    if any((one.model, one.version) == (version.model, number) for one in answered):
        return answered
    none = Answered(model=version.model, version=number, good=0, failed=0, good_seconds=0.0, failed_seconds=0.0)
    return [*answered, none]


def _list_numbers(registry: Registry, model: str) -> list[int]:
    numbers: list[int] = []
    after: str | None = None
    with registry.reading() as catalog:
        while True:
            page = catalog.list_versions(model, limit=_PAGE, after=after)
            numbers += [version.number for version in page.items if not version.is_retired]
            after = page.next
            if after is None:
                return sorted(numbers)
