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
from registry.roles import Caller, Role

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
    found = await services.call(list_visible_models, services.registry, asking, limit=limit, after=after, query=q)
    return page_json(found, model_json)


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


def list_visible_models(
    registry: Registry, asking: Caller, *, limit: int, after: str | None, query: str | None
) -> Page[Model]:
    """Return a page of what the caller may see; its cursor is the name of a model that they have seen."""
    seen: list[Model] = []
    with registry.reading() as catalog:
        while True:
            page = catalog.list_models(limit=limit, after=after, query=query, pattern=asking.models)
            seen += [model for model in page.items if asking.sees(model.name)]
            after = page.next
            if after is None or len(seen) >= limit:
                break
    items = tuple(seen[:limit])
    has_more = after is not None or len(seen) > limit
    return Page(items=items, next=items[-1].name if has_more and items else None)
