"""Control-plane routes that say which role they need, and ask for it before anything of the body is read.

A route that says nothing is not made at all: the gateway does not start with it.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from gateway.web.exchange import CONTEXT, Exchange
from gateway.web.services import Services
from registry.errors import Forbidden, Unauthenticated
from registry.roles import Role

F = TypeVar("F", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_OF_ONE_MODEL = ("/models/{name}", "/quarantine/{name}")
"""One of these is what the paths hold whose requests touch one model, whatever the dialect."""

_NEEDED: WeakKeyDictionary[Callable[..., Any], Role | None] = WeakKeyDictionary()


def needs(role: Role | None) -> Callable[[F], F]:
    """Mark a route's function with the role that its callers need; None for nobody's business."""

    def mark(function: F) -> F:
        _NEEDED[function] = role
        return function

    return mark


class GuardedRoute(APIRoute):
    """A route that answers only those who have its role, for the model of its path if there is one."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if endpoint not in _NEEDED:
            raise TypeError(f"{path} does not say which role it needs: mark its function with @needs")
        self.role = _NEEDED[endpoint]
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Handler:
        """Return the handler behind the question for the role."""
        handle, role = self.make_handler(), self.role
        if role is None:
            return handle
        names_model = any(part in self.path for part in _OF_ONE_MODEL)

        async def ask_and_handle(request: Request) -> Response:
            _check(request, role, request.path_params["name"] if names_model else None)
            return await handle(request)

        return ask_and_handle

    def make_handler(self) -> Handler:
        """Return what answers those who may ask."""
        return super().get_route_handler()


def public_paths(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """Return the paths that anybody may ask for.

    Raises:
        TypeError: a route asks nobody for a role.
    """
    guarded = [_guarded(route) for route in routes]
    return frozenset(route.path for route in guarded if route.role is None)


def _guarded(route: BaseRoute) -> GuardedRoute:
    if not isinstance(route, GuardedRoute):
        raise TypeError(f"{route} asks nobody for a role: make its router with route_class=GuardedRoute")
    return route


def _check(request: Request, role: Role, model: str | None) -> None:
    exchange: Exchange = request.scope[CONTEXT]
    caller = exchange.caller
    if caller is None:  # the front lets nobody come so far; should it ever, this is still no way in
        raise Unauthenticated("this route needs an access token")
    try:
        caller.require(role, model)
    except Forbidden:
        services: Services = request.app.state.services
        services.denials.note(exchange, caller, role)
        raise
