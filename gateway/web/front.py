"""The door: every request comes in here, is identified, guarded, answered, counted and logged.

Predict requests are answered right here; the framework's router and middlewares see the control plane only, since they
cost several times what a prediction does. What can be answered without waiting does not even need a task of the event
loop: ``gateway.web.fast_path`` puts it into the ``tick`` where the request is parsed.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import orjson

from gateway.codec.body import PredictBody
from gateway.phases import Moments
from gateway.serving.token_verdicts import REFUSAL
from gateway.traces import current_trace_id
from gateway.web.asked import Asked
from gateway.web.console.refusals import console_refusal
from gateway.web.elsewhere import mark
from gateway.web.endpoint import Endpoint
from gateway.web.exchange import CONTEXT, Exchange, RequestIds
from gateway.web.heads import Head, KnownHeads
from gateway.web.lessons import lesson_of
from gateway.web.limits import ClientGone, Receive, Scope, Send
from gateway.web.native import JSON_FORM
from gateway.web.paths import Dialect, PredictPaths, Target, Verb, dialect_of
from gateway.web.patience import patient
from gateway.web.planes import ServerRole, check_plane
from gateway.web.predict import PredictRoutes
from gateway.web.problems import Headers, header_lines, problem_answer
from gateway.web.reception import Reception
from gateway.web.services import Services
from gateway.web.tick import Tick
from gateway.web.tick_answers import Lines, TickAnswers
from gateway.web.wire import LARGE_BYTES, Written
from gateway.web.wires import WIRES
from registry.errors import (
    InvalidHost,
    MethodNotAllowed,
    RequestTimeout,
    ServiceError,
    Unauthenticated,
)
from registry.roles import Role

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = tuple[int, Headers, bytes]
"""Status, headers and body."""

BEGUN = "sardonyx.begun"
"""The key of a scope under which the request is that could not be answered within its tick."""

_READ_OUT_BYTES = 64 * 1024
"""So much of a body that nobody wants is read and thrown away rather than the connection closed."""


class Front:
    """The HTTP application, as ASGI sees it; lifespan is the business of ``gateway.app``.

    Args:
        services: what it works with.
        control: answers everything but predict requests.
        public_paths: those of ``control`` that anybody may ask for.
        role: which requests are answered here.
    """

    def __init__(
        self, services: Services, control: Application, *, public_paths: frozenset[str], role: ServerRole = "all"
    ) -> None:
        self._role = role
        self._predict = PredictRoutes(services)
        self._control = control
        self._paths = PredictPaths()
        self._reception = Reception(services)
        self._public_paths = public_paths
        self._ids = RequestIds()
        self._is_tracing = services.traces is not None
        self._known_heads = KnownHeads()
        self.find_head = self._known_heads.find
        """Return the head that these bytes are, if a plain predict request has begun with them before."""
        self.remember_head = self._known_heads.remember
        answers = TickAnswers(
            self._ids,
            services.access_log,
            services.decoding,
            refuse=self._refuse_in_lines,
            record=self._reception.record,
            traces=services.traces,
        )
        self.tick = Tick(services, answers)
        self._small_body_bytes = min(LARGE_BYTES, services.settings.max_body_bytes)
        """How long a body may be that is answered within its tick."""
        self.most_body_bytes = services.settings.max_body_bytes
        """How long a body may be that is collected for the ordinary way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        begun: Asked | None = scope.get(BEGUN)
        started = begun.started if begun is not None and begun.started else None
        receive = patient(receive)
        exchange = Exchange(scope["method"], scope["path"], headers, self._ids.draw(), started=started)
        answer: Answer | None = None
        try:
            if len(headers) != len(scope["headers"]):
                _refuse_doubles(scope)
            check_plane(self._role, exchange.method, exchange.path)
            await self._reception.identify(exchange, scope, is_public=exchange.path in self._public_paths)
            exchange.target = self._paths.read(exchange.path)
            if exchange.target is None:
                await self._pass_on(exchange, scope, receive, send)
            else:
                self._reception.require(exchange, Role.PREDICT, exchange.target.reference.model)
                answer = await self._answer(exchange, exchange.target, scope, receive)
        except ClientGone:
            exchange.give_up()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            answer = self._refusal(exchange, error, scope)
        try:
            if answer is not None and not exchange.is_started:
                await _respond(exchange, answer, send)
        finally:
            self._reception.record(exchange)

    def read_head(self, url: bytes, headers: dict[bytes, bytes], length: int) -> Head | None:
        """Return what the head of a plain POST says; None if the request has to go the ordinary way.

        It may be collected if its URL, as it stands in the request line, has been a predict path before, and if it is
        known who sends it and that they may: others are told so before their body is waited for. It may be answered
        within its tick as well if it is short, and JSON in and out.

        Args:
            url: as it stands in the request line.
            headers: no name of which came twice.
            length: of the body.
        """
        known = self._paths.known(url)
        if known is None or known[1].verb is not Verb.PREDICT or known[1].dialect is not Dialect.NATIVE:
            return None
        try:
            form = WIRES[known[1].dialect].form(headers)
        except ServiceError:
            return None
        is_for_tick = form is JSON_FORM and length <= self._small_body_bytes
        head = Head(url, known[0], known[1], headers, length, is_for_tick=is_for_tick)
        if head.coding is not None and head.coding.is_forced:
            return None  # the tick looks at long answers only
        self.tick.check(head, monotonic())
        return None if head.caller is None else head

    async def _answer(self, exchange: Exchange, target: Target, scope: Scope, receive: Receive) -> Answer:
        if exchange.method != "POST":
            raise MethodNotAllowed("this route takes POST")
        predict = self._predict
        form = WIRES[target.dialect].form(exchange.headers)
        endpoint = exchange.endpoint = predict.find(target, exchange.headers) or await predict.resolve(
            target, exchange.headers
        )
        self._paths.remember(exchange.path, target)
        # Out of the scope, which the connection keeps until its next request: a body is too large to be kept so long.
        begun: Asked | None = scope.pop(BEGUN, None)
        body = await predict.read(exchange.headers, receive) if begun is None else begun.body
        exchange.is_body_read = True
        request = _decoded(begun, endpoint, exchange.moments)
        if request is None:
            exchange.moments.decode_began = monotonic()
            request = await predict.decode(form, endpoint, body)
            exchange.moments.decode_ended = monotonic()
        if target.verb is Verb.VALIDATE:
            return _good(exchange, endpoint, _valid(endpoint))
        deadline = predict.deadline(exchange.started)
        arrays = predict.try_now(endpoint, request, deadline, exchange.moments)
        if arrays is None:
            caller = exchange.asker(scope)
            arrays = await predict.wait(endpoint, request, receive, deadline, caller=caller, moments=exchange.moments)
        exchange.moments.encode_began = monotonic()
        written = await predict.compress(await predict.encode(form, endpoint, request, arrays), exchange.headers)
        return _good(exchange, endpoint, written)

    async def _pass_on(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the control plane answer."""

        async def send_identified(message: Any) -> None:
            if message["type"] == "http.response.start":
                if self._is_tracing:
                    exchange.trace_id = current_trace_id()
                exchange.status = message["status"]
                exchange.is_started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", exchange.request_id.encode())]
            await send(message)

        scope[CONTEXT] = exchange
        await self._control(scope, receive, send_identified)

    def _refuse_in_lines(self, exchange: Exchange, error: Exception) -> Lines:
        status, headers, body = self._refusal(exchange, error, {})
        exchange.status = status
        return status, header_lines(headers), body

    def _refusal(self, exchange: Exchange, error: Exception, scope: Scope) -> Answer:
        """Return the problem that tells the caller, or the page that tells a person."""
        error = self._reception.understand(exchange, error)
        dialect = dialect_of(exchange.path) if exchange.target is None else exchange.target.dialect
        status, headers, body = console_refusal(error, exchange, scope) or problem_answer(
            error,
            request_id=exchange.request_id,
            dialect=dialect,
            lesson=lesson_of(error, exchange.endpoint, dialect) if exchange.is_body_read else None,
        )
        headers.append((b"x-request-id", exchange.request_id.encode()))
        status = mark(exchange, error, status, headers)
        if isinstance(error, MethodNotAllowed):
            headers.append((b"allow", b"POST"))
        if exchange.endpoint is not None:
            headers.extend(exchange.endpoint.identity)
        is_rest_unread = not exchange.is_body_read and not _is_short(exchange.headers)
        if is_rest_unread or isinstance(error, RequestTimeout):
            # The server would read the rest of the body and throw it away before it could take another request.
            headers.append((b"connection", b"close"))
        return status, headers, body


def _good(exchange: Exchange, endpoint: Endpoint, written: Written) -> Answer:
    length = (b"content-length", b"%d" % len(written.payload))
    headers = [*written.content, *endpoint.identity, length, (b"x-request-id", exchange.request_id.encode())]
    return 200, headers, written.payload


def _valid(endpoint: Endpoint) -> Written:
    version = endpoint.version
    valid = {"model": version.model, "version": version.number, "valid": True}
    return Written(orjson.dumps(valid), [endpoint.headers[0]])


async def _respond(exchange: Exchange, answer: Answer, send: Send) -> None:
    exchange.status, headers, body = answer
    await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _decoded(begun: Asked | None, endpoint: Endpoint, moments: Moments) -> PredictBody | None:
    """Return what the body says if that is known already, and by this endpoint's own signature."""
    if begun is None or begun.endpoint is not endpoint or begun.decoded is None:
        return None
    moments.decode_ended = monotonic()
    moments.decode_began = moments.decode_ended - begun.decode_seconds
    return begun.decoded


def _refuse_doubles(scope: Scope) -> None:
    """Refuse two headers where one decides: whoever stood in front of us may have read the other."""
    names = [name for name, _ in scope["headers"]]
    if names.count(b"host") > 1:
        raise InvalidHost("there is more than one Host header")
    if names.count(b"authorization") > 1:
        raise Unauthenticated(REFUSAL)


def _is_short(headers: dict[bytes, bytes]) -> bool:
    """True if the request's body is absent or so short that reading it costs less than a new connection."""
    length = headers.get(b"content-length")
    if length is None:
        return b"transfer-encoding" not in headers
    return length.isdigit() and int(length) <= _READ_OUT_BYTES
