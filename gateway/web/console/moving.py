"""Promote, try, roll back: what would happen is shown first, what has happened can be undone.

1. A plan (GET) changes nothing and says what the rules say: the one that plans it is the one that does it
   (``registry.planning``). It is a link that can be sent to a colleague.
2. Carrying it out (POST) names the state of the alias that the plan has shown. Where somebody else was quicker, nothing
   moves, and the page shows the conflict and the plan as it is now.
3. What is refused leaves the form as it was, with the problem above it.
4. Afterwards the model's page offers the exact inverse, for as long as nothing else happens to the alias.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fastapi import APIRouter, Request, Response

from gateway.web.console.commands import move_command, rollback_command
from gateway.web.console.forms import read_form
from gateway.web.console.model_page import answer_model
from gateway.web.console.move_forms import Fields, linked, read_move, read_rollback, restoring
from gateway.web.console.pages import exchange_of, page, services_of
from gateway.web.console.policy import ConsoleRoute
from gateway.web.context import Asking, ModelName, UsesServices
from gateway.web.guarded import needs
from gateway.web.problems import problem
from registry.errors import BreakingSignature, InvalidRequest, ServiceError, Violation
from registry.lookup import resolve_model
from registry.planning import plan_promotion
from registry.ports import Catalog, Registry
from registry.promotion import AliasMove, Plan
from registry.records import Alias, MoveKind, Version
from registry.roles import Caller, Role

router = APIRouter(prefix="/console/models/{name}", include_in_schema=False, route_class=ConsoleRoute)

_VERSIONS = 200
"""The newest, to choose from."""
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The form that takes back what has just been done."""

    action: str
    """The path that it is sent to."""
    fields: Fields
    words: str


@router.get("/choose")
@needs(Role.ADMIN)
async def choose(request: Request, services: UsesServices, name: ModelName) -> Response:
    """Ask what is to become of an alias, where a link cannot know: which version, and what share."""
    asked = dict(request.query_params)

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            model = resolve_model(catalog, name)
            versions = _choice(catalog, name, asked.get("number"))
        alias = next((alias for alias in model.aliases if alias.name == asked.get("alias", "production")), None)
        return {
            "model": model,
            "versions": versions,
            "kind": asked.get("kind") if asked.get("kind") in ("canary", "shadow") else "promote",
            "alias": alias,
            "alias_name": asked.get("alias", "production"),
            "number": asked.get("number"),
        }

    return await page(request, "choose.html", gather)


def _choice(catalog: Catalog, name: str, asked: str | None) -> list[Version]:
    """Return the newest versions that may be chosen, and the one that was asked for, however old it is."""
    found = list(catalog.list_versions(name, limit=_VERSIONS).items)
    if asked is not None and _NUMBER.fullmatch(asked) and int(asked) not in {version.number for version in found}:
        older = catalog.find_version(name, int(asked))
        found += [] if older is None else [older]
    return [version for version in found if not version.is_retired]


@router.get("/plan")
@needs(Role.ADMIN)
async def show_plan(request: Request, name: ModelName) -> Response:
    """Show what moving an alias would change."""
    return await _plan_page(request, name, linked(request.query_params))


@router.post("/plan")
@needs(Role.ADMIN)
async def move(request: Request, services: UsesServices, asking: Asking, name: ModelName) -> Response:
    """Move an alias, and show the model as it is then."""
    fields = await read_form(request)
    form = read_move(fields)

    async def carry_out() -> AliasMove:
        proposal = form.proposal()
        return await services.promote(
            services.promotion.take_back if form.takes_back else services.promotion.move,
            name,
            form.alias,
            proposal,
            reason=form.reason,
            actor=asking.name,
        )

    order = _Order(name=name, alias=form.alias, fields=fields, carry_out=carry_out, show=_plan_page)
    return await _carry_out(request, asking, order)


@router.get("/rollback")
@needs(Role.ADMIN)
async def show_rollback(request: Request, name: ModelName) -> Response:
    """Show what rolling an alias back would change."""
    return await _rollback_page(request, name, dict(request.query_params))


@router.post("/rollback")
@needs(Role.ADMIN)
async def roll_back(request: Request, services: UsesServices, asking: Asking, name: ModelName) -> Response:
    """Roll an alias back, and show the model as it is then."""
    fields = await read_form(request)
    form = read_rollback(fields)

    async def carry_out() -> AliasMove:
        return await services.write(
            services.promotion.rollback,
            name,
            form.alias,
            to=form.to,
            expected_generation=form.expected_generation,
            reason=form.reason,
            actor=asking.name,
        )

    order = _Order(name=name, alias=form.alias, fields=fields, carry_out=carry_out, show=_rollback_page)
    return await _carry_out(request, asking, order)


def undo_of(before: Alias | None, moved: AliasMove) -> Undo | None:
    """Return the exact inverse of what has just happened; None where there is none.

    Args:
        before: what the alias was, None if it was not there.
        moved: what it is now.
    """
    after = moved.alias
    if before is None or before.generation == after.generation:
        return None
    base = f"/console/models/{after.model}"
    is_promotion = moved.move is not None and moved.move.kind is MoveKind.PROMOTE
    if is_promotion and before.canary is None and before.shadow is None:
        fields = {"alias": after.name, "to": str(before.version), "expected_generation": str(after.generation)}
        return Undo(action=f"{base}/rollback", fields=fields, words=f"Undo: back to version {before.version}")
    words = "Undo" if moved.move is None else f"Undo: version {before.version} again"
    return Undo(action=f"{base}/plan", fields=restoring(before, after, takes_back=is_promotion), words=words)


async def _carry_out(request: Request, asking: Caller, order: "_Order") -> Response:
    services = services_of(request)
    before = await services.call(_find_alias, services.registry, order.name, order.alias)
    try:
        _require_generation(order.fields)
        moved = await order.carry_out()
    except ServiceError as error:
        return await order.show(request, order.name, order.fields, error=error)
    flash = {"moved": moved, "undo": undo_of(before, moved)}
    return await answer_model(request, asking, order.name, flash=flash)


class _Show(Protocol):
    def __call__(
        self, request: Request, name: str, fields: Fields, *, error: ServiceError | None = None
    ) -> Awaitable[Response]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    name: str
    alias: str
    fields: Fields
    carry_out: Callable[[], Awaitable[AliasMove]]
    show: _Show
    """Shows the plan once more, with what went wrong."""


async def _plan_page(request: Request, name: str, fields: Fields, *, error: ServiceError | None = None) -> Response:
    services = services_of(request)
    form = read_move(fields)
    proposal = replace(form.proposal(), allow_breaking=True, expected_generation=None)

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            plan = plan_promotion(catalog, name, form.alias, proposal)
        is_breaking = bool(plan.differences) or isinstance(error, BreakingSignature)
        return {
            **_shown(request, plan, form.reason, error),
            "kind": "promote",
            "is_breaking": is_breaking,
            "command": move_command(plan, form, is_breaking=is_breaking),
            "fields": {**fields, "expected_generation": str(_generation(plan))},
        }

    return await page(request, "plan.html", gather, error=error)


async def _rollback_page(request: Request, name: str, fields: Fields, *, error: ServiceError | None = None) -> Response:
    services = services_of(request)
    form = read_rollback(fields)

    def gather() -> Mapping[str, Any]:
        plan = services.promotion.plan_rollback(name, form.alias, to=form.to)
        return {
            **_shown(request, plan, form.reason, error),
            "kind": "rollback",
            "is_breaking": False,
            "command": rollback_command(plan),
            "fields": {"alias": form.alias, "to": str(plan.version), "expected_generation": str(_generation(plan))},
        }

    return await page(request, "plan.html", gather, error=error)


def _shown(request: Request, plan: Plan, reason: str, error: ServiceError | None) -> dict[str, Any]:
    told = None if error is None else problem(error, request_id=exchange_of(request).request_id)
    return {"plan": plan, "reason": reason, "problem": told}


def _generation(plan: Plan) -> int:
    return 0 if plan.before is None else plan.before.generation


def _require_generation(fields: Fields) -> None:
    if "expected_generation" not in fields:
        missing = Violation(
            path="/expected_generation", expected="the alias's generation", received="nothing", code="missing"
        )
        raise InvalidRequest("/expected_generation: open the plan, which knows it", violations=[missing])


def _find_alias(registry: Registry, name: str, alias: str) -> Alias | None:
    with registry.reading() as catalog:
        return catalog.find_alias(name, alias)
