"""The door: every request comes in here, is identified, guarded, answered, counted and logged.

Predict requests are answered right here; the framework's router and middlewares see the control plane only, since they
cost several times what a prediction does.
"""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import structlog

from gateway.web.access import LoopbackGuard
from gateway.web.exchange import Exchange, RequestIds
from gateway.web.limits import ClientGone, Receive, Scope, Send
from gateway.web.paths import PredictPaths, Target
from gateway.web.predict import PredictRoutes
from gateway.web.problems import problem_answer
from gateway.web.services import Services
from registry.errors import InternalError, InvalidHost, MethodNotAllowed, ServiceError

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTEXT = "sardonyx"
"""The key of a scope under which the control plane finds its Exchange."""

_SMALL_BYTES = 64 * 1024

_GONE = "client_gone"
_GONE_STATUS = 499


class Front:
    """The HTTP application, as ASGI sees it; lifespan is the business of ``gateway.app``."""

    def __init__(self, services: Services, control: Application) -> None:
        self._predict = PredictRoutes(services)
        self._control = control
        self._paths = PredictPaths()
        self._guard = LoopbackGuard()
        self._metrics = services.metrics
        self._log = services.access_log
        self._ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(scope, receive, send, fallback_id=self._ids.draw())
        target: Target | None = None
        try:
            self._let_in(exchange)
            target = self._paths.read(scope["path"])
            if target is None:
                await self._pass_on(exchange)
            else:
                await self._answer(exchange, target)
        except ServiceError as error:
            await self._refuse(exchange, error)
        except ClientGone:
            exchange.status, exchange.code = _GONE_STATUS, _GONE
        except Exception as unexpected:  # noqa: BLE001 - whatever it is, the caller gets an answer and we a stack
            structlog.get_logger().error("unexpected_error", request_id=exchange.request_id, exc_info=unexpected)
            await self._refuse(exchange, InternalError("unexpected error"))
        self._record(exchange, is_predict=target is not None)

    def _let_in(self, exchange: Exchange) -> None:
        headers = exchange.headers
        every = exchange.scope["headers"]
        if len(headers) != len(every) and sum(name == b"host" for name, _ in every) > 1:
            raise InvalidHost("there is more than one Host header")
        self._guard.check(headers.get(b"host", b""), headers.get(b"origin", b""))

    async def _answer(self, exchange: Exchange, target: Target) -> None:
        if exchange.scope["method"] != "POST":
            raise MethodNotAllowed("this route takes POST")
        predict = self._predict
        endpoint = exchange.endpoint = predict.find(target, exchange.headers) or await predict.resolve(
            target, exchange.headers
        )
        body = await predict.read(exchange.headers, exchange.receive)
        exchange.is_body_read = True
        headers, payload = await predict.answer(endpoint, target.verb, body, exchange.receive)
        await exchange.respond(
            200,
            [
                *headers,
                (b"content-length", str(len(payload)).encode()),
                (b"x-request-id", exchange.request_id.encode()),
            ],
            payload,
        )

    async def _pass_on(self, exchange: Exchange) -> None:
        """Let the control plane answer."""

        async def send_identified(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.is_started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", exchange.request_id.encode())]
            await exchange.send(message)

        exchange.scope[CONTEXT] = exchange
        await self._control(exchange.scope, exchange.receive, send_identified)

    async def _refuse(self, exchange: Exchange, error: ServiceError) -> None:
        exchange.code = error.code
        if exchange.is_started:
            # The answer breaks off where it is; the server notices that it is short and closes the connection.
            return
        status, headers, body = problem_answer(error, request_id=exchange.request_id)
        headers.append((b"x-request-id", exchange.request_id.encode()))
        if isinstance(error, MethodNotAllowed):
            headers.append((b"allow", b"POST"))
        if exchange.endpoint is not None:
            headers.extend(exchange.endpoint.headers[1:])
        if not exchange.is_body_read and not _is_small(exchange.headers.get(b"content-length")):
            # The server would read the rest of the body and throw it away before it could take another request.
            headers.append((b"connection", b"close"))
        await exchange.respond(status, headers, body)

    def _record(self, exchange: Exchange, *, is_predict: bool) -> None:
        seconds = perf_counter() - exchange.started
        endpoint = exchange.endpoint
        if endpoint is not None:
            counts = endpoint.counts
        else:
            counts = self._metrics.unrouted if is_predict else self._metrics.control
        counts.add(exchange.code, seconds)
        if self._log.is_on:
            self._log.add(
                {
                    "event": "request",
                    "request_id": exchange.request_id,
                    "method": exchange.scope["method"],
                    "path": exchange.scope["path"][:256],
                    "status": exchange.status,
                    "code": exchange.code,
                    "seconds": round(seconds, 6),
                    "model": None if endpoint is None else endpoint.version.model,
                    "version": None if endpoint is None else endpoint.version.number,
                }
            )


def _is_small(content_length: bytes | None) -> bool:
    return content_length is not None and content_length.isdigit() and int(content_length) <= _SMALL_BYTES
