"""Aliases: promote, roll back, look up what was live when."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from gateway.web.alias_schemas import (
    AliasBody,
    RollbackBody,
    alias_json,
    difference_json,
    move_json,
    shadow_json,
    shadow_report_json,
)
from gateway.web.context import Actor, AfterNumber, AliasName, Limit, ModelName, UsesServices
from gateway.web.guarded import needs
from gateway.web.json_routes import JsonRoute
from gateway.web.schemas import timestamp
from gateway.web.shadow_reports import find_trial
from registry.errors import AliasNotFound, InvalidRequest, NoActiveVersion
from registry.lookup import resolve_model
from registry.names import PRODUCTION
from registry.ports import Registry
from registry.promotion import AliasMove, Plan
from registry.records import Alias, Move, Trial, Version
from registry.resolution import alias_at
from registry.roles import Role
from registry.shadow import ShadowReport

router = APIRouter(prefix="/registry/models/{name}", tags=["promoting"], route_class=JsonRoute)


@router.put("/aliases/{alias}", summary="Promote: point an alias at a version")
@needs(Role.ADMIN)
async def move_alias(
    services: UsesServices,
    actor: Actor,
    name: ModelName,
    alias: AliasName,
    body: AliasBody,
    *,
    dry_run: Annotated[bool, Query(description="only say what would happen")] = False,
) -> dict[str, Any]:
    """Move the alias if it still points where the caller believes, and return it with the feed's sequence number."""
    proposal = body.proposal()
    if dry_run:
        return _plan_json(await services.rehearse(services.promotion.plan, name, alias, proposal))
    moved = await services.promote(services.promotion.move, name, alias, proposal, reason=body.reason, actor=actor)
    return _moved_json(moved)


@router.post("/aliases/{alias}/rollback", summary="Roll back: return an alias to what was live before")
@needs(Role.ADMIN)
async def roll_back(
    services: UsesServices, actor: Actor, name: ModelName, alias: AliasName, body: RollbackBody | None = None
) -> dict[str, Any]:
    """Undo the last promotion that is not undone yet, or go to a version or a moment of the past."""
    asked = body or RollbackBody()
    moved = await services.write(
        services.promotion.rollback,
        name,
        alias,
        to=asked.to,
        to_time=asked.to_time,
        expected_generation=asked.expected_generation,
        reason=asked.reason,
        actor=actor,
    )
    return _moved_json(moved)


@router.get("/aliases/{alias}", summary="What an alias points to, or pointed to then")
@needs(Role.PREDICT)
async def show_alias(
    services: UsesServices,
    name: ModelName,
    alias: AliasName,
    at: Annotated[
        datetime | None, Query(description="a moment with its time zone, such as 2026-11-22T03:00:00Z")
    ] = None,
) -> dict[str, Any]:
    """Return the alias as it is, or the move that was the last one at the given moment."""
    if at is None:
        return alias_json(await services.call(_find_alias, services.registry, name, alias))
    if at.tzinfo is None:
        raise InvalidRequest("at needs a time zone, such as 2026-11-22T03:00:00Z")
    move = await services.call(_find_alias_at, services.registry, name, alias, at)
    return {"model": name, "alias": alias, "version": move.to_version, "at": timestamp(at), "move": move_json(move)}


@router.get("/aliases/{alias}/shadow", summary="What comparing a shadow's answers with the live ones has shown")
@needs(Role.PREDICT)
async def show_shadow(services: UsesServices, name: ModelName, alias: AliasName) -> dict[str, Any]:
    """Return the shadow that the alias has, and the report of it, or of the last one that it had."""
    found, shown = await services.call(_find_shadow, services.registry, name, alias)
    return {
        "model": name,
        "alias": alias,
        "version": found.version,
        "shadow": shadow_json(found.shadow),
        "trial": None if shown is None else shown[0].number,
        "report": None if shown is None else shadow_report_json(*shown),
    }


@router.get("/history", summary="Every move of a model's aliases, oldest first")
@needs(Role.PREDICT)
async def show_history(
    services: UsesServices,
    name: ModelName,
    alias: Annotated[str | None, Query(description="only this alias")] = None,
    limit: Limit = 1000,
    after: AfterNumber = 0,
) -> dict[str, Any]:
    """Return promotions and rollbacks with actor, reason and time; nothing is ever rewritten.

    `number` is the move's own in its alias, from 1; `id` grows over all models.
    """
    moves = await services.call(_list_moves, services.registry, name, alias, after, limit)
    return {"items": [move_json(move) for move in moves], "next": moves[-1].id if len(moves) == limit else None}


def _moved_json(moved: AliasMove) -> dict[str, Any]:
    move = None if moved.move is None else move_json(moved.move)
    return {**alias_json(moved.alias), "sequence": moved.sequence, "move": move}


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "model": plan.model,
        "alias": plan.alias,
        "from": plan.from_version,
        "to": plan.version,
        "compatibility": plan.compatibility,
        "differences": [difference_json(difference) for difference in plan.differences],
        "changes": [difference_json(difference) for difference in plan.changes],
        "costs": {"from": _costs_json(plan.replaced), "to": _costs_json(plan.candidate)},
        "sequence": None,
        "dry_run": True,
    }


def _costs_json(version: Version | None) -> dict[str, Any] | None:
    """Return what operators compare; its seconds are those of inspection: a load, and a run of the smallest probe."""
    if version is None:
        return None
    inspection = version.inspection
    return {
        "size_bytes": version.artifact.size_bytes,
        "memory_bytes": inspection.memory_bytes,
        "opset": inspection.opset_imports.get("ai.onnx"),
        "load_seconds": inspection.load_seconds,
        "run_seconds": inspection.run_seconds,
    }


def _find_alias(registry: Registry, name: str, alias: str) -> Alias:
    with registry.reading() as catalog:
        found = catalog.find_alias(name, alias)
        if found is not None:
            return found
        resolve_model(catalog, name)
    if alias == PRODUCTION:
        raise NoActiveVersion(f"no version of '{name}' is promoted")
    raise AliasNotFound(f"'{name}' has no alias '{alias}'")


def _find_shadow(registry: Registry, name: str, alias: str) -> tuple[Alias, tuple[Trial, ShadowReport] | None]:
    found = _find_alias(registry, name, alias)
    with registry.reading() as catalog:
        return found, find_trial(catalog, found)


def _find_alias_at(registry: Registry, name: str, alias: str, at: datetime) -> Move:
    with registry.reading() as catalog:
        resolve_model(catalog, name)
        return alias_at(catalog, name, alias, at)


def _list_moves(registry: Registry, name: str, alias: str | None, after: int, limit: int) -> list[Move]:
    with registry.reading() as catalog:
        resolve_model(catalog, name)
        return list(catalog.list_moves(name, alias, after=after, limit=limit))
