"""What happens to every request, whichever door it came in by: who asks is found out, what became of it is kept."""

from time import monotonic
from typing import Any

import structlog

from gateway.serving.token_verdicts import REFUSAL
from gateway.web.exchange import Exchange
from gateway.web.limits import Scope
from gateway.web.services import Services
from gateway.web.tracing import tell
from registry.errors import Forbidden, InternalError, ServiceError, Unauthenticated
from registry.roles import Role


class Reception:
    """Identifies callers, asks for their roles, counts and logs.

    Args:
        services: what it works with.
    """

    def __init__(self, services: Services) -> None:
        self._gate = services.gate
        self._denials = services.denials
        self._metrics = services.metrics
        self._log = services.access_log
        self._traces = services.traces

    async def identify(self, exchange: Exchange, scope: Scope, *, is_public: bool) -> None:
        """Find out who sends a request.

        Args:
            exchange: of the request.
            scope: of its connection, as ASGI has it.
            is_public: True if anybody may ask for this.

        Raises:
            ServiceError: what ``Gate.find`` and ``Gate.admit`` raise.
        """
        exchange.caller = self._gate.find(exchange.headers, scope, exchange.started)
        if exchange.caller is None and not is_public:
            exchange.caller = await self._gate.admit(exchange.headers, scope)

    def require(self, exchange: Exchange, role: Role, model: str | None = None) -> None:
        """Do nothing if whoever asks may do what the role may.

        Args:
            exchange: of the request.
            role: what is needed.
            model: for which model; None where no single one is touched.

        Raises:
            Unauthenticated, Forbidden.
        """
        if exchange.caller is None:
            raise Unauthenticated(REFUSAL)
        try:
            exchange.caller.require(role, model)
        except Forbidden:
            self._denials.note(exchange, exchange.caller, role)
            raise

    def understand(self, exchange: Exchange, error: Exception) -> ServiceError:
        """Return what the caller is to be told; what is withheld the log gets, of our own mistakes with the stack."""
        if not isinstance(error, ServiceError):
            structlog.get_logger().error("unexpected_error", request_id=exchange.request_id, exc_info=error)
            error = InternalError("unexpected error")
        else:
            log_withheld(error, exchange.request_id)
        exchange.code = error.code
        return error

    def record(self, exchange: Exchange, *, is_chosen: bool = False) -> None:
        """Count and log an exchange that has ended, and tell of it in a trace if it ``is_chosen`` or now is."""
        ended = monotonic()
        seconds = ended - exchange.started
        endpoint, moments = exchange.endpoint, exchange.moments
        if endpoint is not None:
            counts = endpoint.counts
        else:
            counts = self._metrics.control if exchange.target is None else self._metrics.unrouted
        counts.add(exchange.code, seconds)
        if endpoint is not None and exchange.code == "ok" and moments.encode_began:
            endpoint.phases.add(exchange.started, moments.times, ended, load_seconds=moments.load_seconds)
        if (
            self._traces is not None
            and exchange.target is not None
            and (is_chosen or self._traces.chooses(exchange.headers))
        ):
            exchange.trace_id = tell(self._traces, exchange, ended)
        if self._log.is_on:
            self._log.add(_entry(exchange, seconds))


def _entry(exchange: Exchange, seconds: float) -> dict[str, Any]:
    """Return what the access log says of an exchange."""
    endpoint = exchange.endpoint
    entry = {
        "event": "request",
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": exchange.shown_path if endpoint is None else exchange.path,  # names are short, and no secrets
        "actor": None if exchange.caller is None else exchange.caller.name,
        "status": exchange.status,
        "code": exchange.code,
        "seconds": round(seconds, 6),
        "model": None if endpoint is None else endpoint.version.model,
        "version": None if endpoint is None else endpoint.version.number,
    }
    if exchange.moments.load_seconds:
        entry["load_seconds"] = round(exchange.moments.load_seconds, 6)
    if exchange.trace_id is not None:
        entry["trace_id"] = exchange.trace_id
    return entry


def log_withheld(error: ServiceError, request_id: str) -> None:
    """Tell the operator, who has the request's id from its caller, what the caller was not told."""
    if error.is_private:
        structlog.get_logger().error("withheld", request_id=request_id, code=error.code, detail=error.detail)
