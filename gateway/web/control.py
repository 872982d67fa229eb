"""The control plane as a FastAPI application: the framework is welcome where milliseconds do not matter."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gateway.web import (
    aliases,
    direct_uploads,
    documentation,
    examples,
    feed,
    graph,
    health,
    inputs,
    models,
    open_inference_repository,
    open_inference_routes,
    quarantine,
    tensorflow_models,
    tokens,
    uploads,
    versions,
    webhooks,
)
from gateway.web.console import refusals
from gateway.web.console.routes import ROUTERS as CONSOLE_ROUTERS
from gateway.web.elsewhere import mark
from gateway.web.exchange import CONTEXT, Exchange
from gateway.web.guarded import GuardedRoute, public_paths
from gateway.web.limits import ClientGone
from gateway.web.paths import dialect_of
from gateway.web.problems import problem_answer
from gateway.web.reception import log_withheld
from gateway.web.schemas import invalid_fields
from gateway.web.services import Services
from registry.errors import (
    BodyTooLarge,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    RequestTimeout,
    RouteNotFound,
    ServiceError,
    UndecodableBody,
)

ROUTERS = (
    models.router,
    uploads.router,
    direct_uploads.router,
    versions.router,
    graph.router,
    examples.router,
    inputs.router,
    aliases.router,
    quarantine.router,
    feed.router,
    tokens.router,
    webhooks.router,
    health.router,
    open_inference_routes.router,
    open_inference_repository.router,
    tensorflow_models.router,
    *CONSOLE_ROUTERS,
)

PUBLIC_PATHS = public_paths(route for router in ROUTERS for route in router.routes)
"""What anybody may ask for; everything else needs a role."""


_PROBED = frozenset({"/health/live", "/health/ready", "/metrics"})
"""What is asked for every few seconds, and has no story to tell."""

_READING = frozenset({"GET", "HEAD"})

_TELEMETRY: Any = {
    "metrics": False,
    "logs": False,
    "auto_configure": False,
    "exclude": lambda scope: scope["path"] in _PROBED,
}
"""The framework's own spans are sent where ``gateway.traces`` sends ours, and nothing else of what it could tell."""

_built: list[FastAPI] = []
"""Ahead of time: this takes a tenth of a second, in which a worker that has just been forked would answer nobody."""


def build_ahead() -> None:
    """Have the next ``make_control_application`` of this process, and of each fork of it, find its work done."""
    _built.append(_build())
    refusals.build_ahead()


def make_control_application(services: Services) -> FastAPI:
    """Return the application that answers everything but predict requests."""
    control = _built.pop() if _built else _build()
    control.state.services = services
    return control


def _build() -> FastAPI:
    control = FastAPI(
        title="Sardonyx",
        summary="A multi-model registry gateway for ONNX",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        telemetry=_TELEMETRY,
    )
    control.router.route_class = GuardedRoute
    for router in ROUTERS:
        control.include_router(router)
    documentation.add_to(control)
    control.add_exception_handler(ServiceError, _answer_error)
    control.add_exception_handler(RequestValidationError, _answer_invalid)
    control.add_exception_handler(HTTPException, _answer_framework)
    control.add_exception_handler(ClientGone, _answer_nobody)
    control.add_exception_handler(Exception, _answer_unexpected)
    for route in control.routes:  # each works out its parameters when it is first looked at
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})
    return control


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - what the handler is registered for
    exchange: Exchange = request.scope[CONTEXT]
    exchange.code = error.code
    log_withheld(error, exchange.request_id)
    dialect = dialect_of(exchange.path)
    answer = refusals.console_refusal(error, exchange, request.scope)
    status, headers, body = answer or problem_answer(error, request_id=exchange.request_id, dialect=dialect)
    if exchange.method in _READING:  # of a change, nobody knows here how far it has come
        status = mark(exchange, error, status, headers)
    response = Response(body, status_code=status)
    response.raw_headers = headers
    if isinstance(error, BodyTooLarge | Forbidden | RequestTimeout):  # the rest of the body is left unread
        response.headers["connection"] = "close"
    return response


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    return await _answer_error(request, _translate(error))


async def _answer_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    response = await _answer_error(request, _translate_status(error))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if "allow" in response.headers:  # the framework names the methods of the first route only
        response.headers["allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    """Return every method that the path of a request takes."""
    routes = [*request.app.routes, *(route for router in ROUTERS for route in router.routes)]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in matching if isinstance(route, GuardedRoute) for method in route.methods or ()}


async def _answer_nobody(request: Request, _error: Exception) -> Response:
    """Take note that the client has left; what is answered reaches nobody."""
    exchange: Exchange = request.scope[CONTEXT]
    exchange.give_up()
    return Response(status_code=exchange.status)


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    """Answer for our own mistake; the framework raises it again afterwards, and the front logs its stack."""
    return await _answer_error(request, InternalError(f"unexpected {type(error).__name__}"))


def _translate(error: RequestValidationError) -> ServiceError:
    faults: list[dict[str, Any]] = list(error.errors())
    if any(fault["type"] == "json_invalid" for fault in faults):
        return UndecodableBody("the body must be a JSON object")
    return invalid_fields((fault["loc"][1:], fault) for fault in faults)  # the first part says body, query or path


def _translate_status(error: HTTPException) -> ServiceError:
    match error.status_code:
        case 404:
            return RouteNotFound("no route has this path; the documentation is at /docs")
        case 405:
            return MethodNotAllowed("this route does not take this method")
        case _:
            return UndecodableBody("the body must be a JSON object")
