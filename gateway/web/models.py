"""Models: list, show, describe."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from gateway.web.context import Actor, After, Asking, Limit, ModelName, UsesServices
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.schemas import ModelChange, model_json, page_json
from registry.lookup import resolve_model
from registry.ports import Registry
from registry.records import Model, Page
from registry.roles import Role

router = APIRouter(prefix="/registry/models", tags=["models"], route_class=JsonRoute)


@router.get("", summary="List models by name")
@needs(Role.PREDICT)
async def list_models(
    services: UsesServices,
    asking: Asking,
    limit: Limit = 100,
    after: After = None,
    q: Annotated[str | None, Query(max_length=128, description="part of a name or a description")] = None,
) -> dict[str, Any]:
    """Return models with their latest version and what their aliases point to."""
    page = await services.call(_list, services.registry, limit, after, q)
    seen = Page(items=tuple(model for model in page.items if asking.sees(model.name)), next=page.next)
    return page_json(seen, model_json)


@router.get("/{name}", summary="Show a model")
@needs(Role.PREDICT)
async def show_model(services: UsesServices, name: ModelName) -> dict[str, Any]:
    """Return one model."""
    return model_json(await services.call(_find, services.registry, name))


@router.patch("/{name}", summary="Describe a model")
@needs(Role.PUBLISH)
async def change_model(services: UsesServices, actor: Actor, name: ModelName, change: ModelChange) -> dict[str, Any]:
    """Replace the description or the tags, and return the model."""
    await services.write(
        services.editing.change_model, name, description=change.description, tags=change.tags, actor=actor
    )
    return model_json(await services.call(_find, services.registry, name))


def _find(registry: Registry, name: str) -> Model:
    with registry.reading() as catalog:
        return resolve_model(catalog, name)


def _list(registry: Registry, limit: int, after: str | None, query: str | None) -> Page[Model]:
    with registry.reading() as catalog:
        return catalog.list_models(limit=limit, after=after, query=query)
