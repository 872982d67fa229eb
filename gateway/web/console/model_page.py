"""A model's page: what is live, its versions, who moved what and why."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from gateway.web.console.pages import may, page, services_of
from gateway.web.console.policy import ConsoleRoute
from gateway.web.console.trials import canary_trials, shadow_trials
from gateway.web.context import After, Asking, ModelName
from gateway.web.guarded import needs
from gateway.web.services import Services
from registry.lookup import resolve_model
from registry.ports import Catalog
from registry.promotion import previous_version
from registry.records import Model, Move
from registry.roles import Caller, Role

router = APIRouter(prefix="/console/models/{name}", include_in_schema=False, route_class=ConsoleRoute)

_VERSIONS = 50
_MOVES = 20
"""On one page."""

BeforeMove = Annotated[int | None, Query(ge=1, lt=2**63, description="goes on in the history")]


@router.get("")
@needs(Role.PREDICT)
async def show_model(
    request: Request, asking: Asking, name: ModelName, after: After = None, before: BeforeMove = None
) -> Response:
    """Show one model; ``after`` goes on in the list of its versions, ``before`` in its history."""
    return await answer_model(request, asking, name, after=after, before=before)


async def answer_model(
    request: Request,
    asking: Caller,
    name: str,
    *,
    after: str | None = None,
    before: int | None = None,
    flash: Mapping[str, Any] | None = None,
) -> Response:
    """Return a model's page; ``flash`` says what has just been done to it."""
    services = services_of(request)

    def gather() -> Mapping[str, Any]:
        may_move = may(asking, Role.ADMIN, name)
        return {**_gather(services, name, after=after, before=before, may_move=may_move), "flash": flash}

    response = await page(request, "model.html", gather)
    if flash is not None:
        response.headers["hx-push-url"] = f"/console/models/{name}"
    return response


def _gather(
    services: Services, name: str, *, after: str | None, before: int | None, may_move: bool
) -> Mapping[str, Any]:
    with services.registry.reading() as catalog:
        model = resolve_model(catalog, name)
        versions = catalog.list_versions(name, limit=_VERSIONS, after=after)
        moves = catalog.list_newest_moves(name, before=before, limit=_MOVES + 1)
        shadows = list(shadow_trials(catalog, model))
        back_to = {alias.name: previous_version(catalog, alias) for alias in model.aliases if may_move}
        returns = _returns(catalog, model, moves[:_MOVES]) if may_move else frozenset()
    return {
        "model": model,
        "uses": uses_of(model),
        "versions": versions,
        "moves": moves[:_MOVES],
        "older": moves[_MOVES - 1].id if len(moves) > _MOVES else None,
        "asked": {key: value for key, value in (("after", after), ("before", before)) if value is not None},
        "traffic": services.rates.of_model(name),
        "traffic_of": {version.number: services.rates.of_version(name, version.number) for version in versions.items},
        "canaries": list(canary_trials(model, services.rates)),
        "shadows": shadows,
        "may_move": may_move,
        "back_to": back_to,
        "returns": returns,
    }


def _returns(catalog: Catalog, model: Model, moves: Sequence[Move]) -> frozenset[int]:
    """Return the moves that an alias can go back to: the newest to each version that could be live and is not."""
    live = {alias.name: alias.version for alias in model.aliases}
    newest = {(move.alias, move.to_version): move.id for move in reversed(moves)}
    found = {number: catalog.find_version(model.name, number) for _, number in newest}
    usable = {number for number, version in found.items() if version is not None and not version.is_retired}
    held = {number for number in usable if (version := found[number]) and version.standing.is_quarantined}
    return frozenset(
        id_ for (alias, number), id_ in newest.items() if number in usable - held and live.get(alias) != number
    )


def uses_of(model: Model) -> Mapping[int, list[tuple[str, str]]]:
    """Return by version what aliases send it: the alias's name, and ``live``, ``canary`` or ``shadow``."""
    uses: dict[int, list[tuple[str, str]]] = {}
    for alias in model.aliases:
        uses.setdefault(alias.version, []).append((alias.name, "live"))
        for kind, other in (("canary", alias.canary), ("shadow", alias.shadow)):
            if other is not None:
                uses.setdefault(other.version, []).append((alias.name, kind))
    return uses
