"""Versions that do not run beside all others: which, why, and how they come back."""

from typing import Any

from fastapi import APIRouter

from gateway.web.context import Actor, After, Asking, Limit, ModelName, UsesServices, VersionNumber
from gateway.web.guarded import GuardedRoute, needs
from gateway.web.schemas import page_json, standing_json, version_json
from registry.ports import Registry
from registry.records import Page, Version
from registry.roles import Caller, Role

router = APIRouter(prefix="/registry/quarantine", tags=["quarantine"], route_class=GuardedRoute)


@router.get("", summary="List the versions that do not run in process")
@needs(Role.PREDICT)
async def list_isolated(
    services: UsesServices, asking: Asking, limit: Limit = 100, after: After = None
) -> dict[str, Any]:
    """Return versions that run in a child process of their own, or not at all, by model and number."""
    return page_json(await services.call(_list, services.registry, asking, limit, after), standing_json)


@router.delete("/{name}/{number}", summary="Forget what a version has done")
@needs(Role.ADMIN)
async def clear_version(services: UsesServices, actor: Actor, name: ModelName, number: VersionNumber) -> dict[str, Any]:
    """Return the version, which runs where it was asked to again; clearing it once more changes nothing."""
    version = await services.write(services.crashes.clear, name, number, actor=actor)
    return version_json(version, services.store.locate)


def _list(registry: Registry, asking: Caller, limit: int, after: str | None) -> Page[Version]:
    """Return a page of what the caller may see; its cursor is a version that they have seen."""
    seen: list[Version] = []
    with registry.reading() as catalog:
        while True:
            page = catalog.list_isolated(limit=limit, after=after)
            seen += [version for version in page.items if asking.sees(version.model)]
            after = page.next
            if after is None or len(seen) >= limit:
                break
    items = tuple(seen[:limit])
    has_more = after is not None or len(seen) > limit
    return Page(items=items, next=f"{items[-1].model}:{items[-1].number}" if has_more and items else None)
