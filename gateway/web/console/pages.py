"""One page: gathered and drawn off the event loop, for whoever asks."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from gateway.web.console.templates import render
from gateway.web.exchange import CONTEXT, Exchange
from gateway.web.problems import status_of
from gateway.web.reception import log_withheld
from gateway.web.services import Services
from registry.errors import ServiceError
from registry.roles import Caller, Role

Gather = Callable[[], Mapping[str, Any]]
"""Returns what a template needs; may block."""


async def page(
    request: Request, template: str, gather: Gather = dict, *, error: ServiceError | None = None
) -> Response:
    """Return a template filled with what ``gather`` returns; raises what that raises.

    Args:
        request: whose answer it is.
        template: its name.
        gather: called off the event loop.
        error: what the page refuses; it has the status then, and is counted and logged as any refusal is.
    """
    services = services_of(request)
    common = _common(request, services)
    if error is not None:
        exchange = exchange_of(request)
        exchange.code = error.code
        log_withheld(error, exchange.request_id)

    def draw() -> str:
        return render(template, {**common, **gather()})

    return HTMLResponse(await services.call(draw), status_code=200 if error is None else status_of(error))


def services_of(request: Request) -> Services:
    """Return what routes work with."""
    services: Services = request.app.state.services
    return services


def exchange_of(request: Request) -> Exchange:
    """Return the request as the front has it."""
    exchange: Exchange = request.scope[CONTEXT]
    return exchange


def _common(request: Request, services: Services) -> dict[str, Any]:
    """Return what every page shows: who is signed in, and where."""
    return {**frame(exchange_of(request)), "now": services.clock.now()}


def frame(exchange: Exchange) -> dict[str, Any]:
    """Return what the layout needs to know of a request."""
    caller = exchange.caller
    has_tokens = caller is None or caller.token is not None
    return {"caller": caller, "has_tokens": has_tokens, "path": exchange.path, "query": ""}


def may(caller: Caller, role: Role, model: str) -> bool:
    """Return whether somebody may do what a role may, to a model: a page shows no button to others."""
    return caller.role.includes(role) and caller.sees(model)
