"""What an admin does to one version: retire it for good, or forget what it has done to its processes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.web.console.model_page import answer_model, uses_of
from gateway.web.console.pages import exchange_of, page, services_of
from gateway.web.console.policy import ConsoleRoute
from gateway.web.context import Asking, ModelName, UsesServices, VersionNumber
from gateway.web.guarded import needs
from gateway.web.problems import problem
from registry.errors import ServiceError
from registry.lookup import resolve_model, resolve_present_version
from registry.records import Version
from registry.roles import Caller, Role

router = APIRouter(prefix="/console/models/{name}/versions/{number}", include_in_schema=False, route_class=ConsoleRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    title: str
    verb: str
    warning: str
    command: str
    done: str


def _retiring(name: str, number: int) -> _Words:
    return _Words(
        title=f"Retire version {number} of {name}",
        verb="Retire",
        warning="There is no way back. The version answers nobody any more, and its number is never used again; its "
        "history, and its bytes, stay.",
        command=f"sardonyx retire {name} {number}",
        done=f"Version {number} is retired",
    )


def _clearing(name: str, number: int) -> _Words:
    return _Words(
        title=f"Clear version {number} of {name}",
        verb="Clear",
        warning="Everything that it has done to its processes is forgotten, and it runs where it was asked to again. "
        "If it goes on as before, it ends a worker once more.",
        command=f"sardonyx quarantine clear {name} {number}",
        done=f"What version {number} has done is forgotten",
    )


@router.get("/retire")
@needs(Role.ADMIN)
async def show_retiring(request: Request, name: ModelName, number: VersionNumber) -> Response:
    """Say what retiring means, and ask."""
    return await _ask(request, name, number, words=_retiring(name, number))


@router.post("/retire")
@needs(Role.ADMIN)
async def retire(
    request: Request, services: UsesServices, asking: Asking, name: ModelName, number: VersionNumber
) -> Response:
    """Retire the version, and show the model as it is then."""

    async def carry_out() -> Version:
        return await services.write(services.retirement.retire, name, number, actor=asking.name)

    return await _carry_out(request, asking, name, number=number, words=_retiring(name, number), carry_out=carry_out)


@router.get("/clear")
@needs(Role.ADMIN)
async def show_clearing(request: Request, name: ModelName, number: VersionNumber) -> Response:
    """Say what clearing means, and ask."""
    return await _ask(request, name, number, words=_clearing(name, number))


@router.post("/clear")
@needs(Role.ADMIN)
async def clear(
    request: Request, services: UsesServices, asking: Asking, name: ModelName, number: VersionNumber
) -> Response:
    """Forget what the version has done, and show the model as it is then."""

    async def carry_out() -> Version:
        return await services.write(services.crashes.clear, name, number, actor=asking.name)

    return await _carry_out(request, asking, name, number=number, words=_clearing(name, number), carry_out=carry_out)


async def _carry_out(
    request: Request,
    asking: Caller,
    name: str,
    *,
    number: int,
    words: _Words,
    carry_out: Callable[[], Awaitable[Version]],
) -> Response:
    try:
        await carry_out()
    except ServiceError as error:
        return await _ask(request, name, number, words=words, error=error)
    return await answer_model(request, asking, name, flash={"words": words.done})


async def _ask(
    request: Request, name: str, number: int, *, words: _Words, error: ServiceError | None = None
) -> Response:
    services = services_of(request)
    told = None if error is None else problem(error, request_id=exchange_of(request).request_id)

    def gather() -> Mapping[str, Any]:
        with services.registry.reading() as catalog:
            version = resolve_present_version(catalog, name, number)
            uses = uses_of(resolve_model(catalog, name)).get(number, [])
        return {"version": version, "uses": uses, "words": words, "problem": told}

    return await page(request, "confirm.html", gather, error=error)
