"""What every call goes through: who asks is found out before its message is read, and it is counted and logged."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from grpc.aio import ServicerContext  # type: ignore[import-untyped]  # it ships no types

from gateway.placement.elsewhere import ASKING
from gateway.rpc.schema import PACKAGE, SERVICE
from gateway.rpc.statuses import STATUS_CODE, message_of
from gateway.web.elsewhere import may_go_elsewhere
from gateway.web.exchange import Exchange, RequestIds
from gateway.web.problems import status_of
from gateway.web.reception import Reception
from gateway.web.services import Services
from registry.errors import ServiceError, Unauthenticated

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
Work: TypeAlias = Callable[[Exchange], Awaitable[bytes]]

_OUR_HOST: Final = b"localhost"
"""Stands for the Host header, which the library keeps to itself. No page of the web can speak this protocol: browsers
speak HTTP/2 over TLS only. So there is no stranger's name that the gateway could be reached by."""


class Calls:
    """Receives calls.

    Args:
        services: what it works with.
    """

    def __init__(self, services: Services) -> None:
        self.reception = Reception(services)
        self._gate = services.gate
        self._ids = RequestIds()

    def begin(self, method: str, metadata: Metadata) -> Exchange:
        """Return the exchange of a call that has just come."""
        return Exchange("POST", f"/{PACKAGE}.{SERVICE}/{method}", headers_of(metadata), self._ids.draw())

    def is_known(self, metadata: Metadata) -> bool:
        """Return whether it is known already who sends a call: then its message may be read at once."""
        try:
            return self._gate.find(headers_of(metadata), {}, asyncio.get_running_loop().time()) is not None
        except ServiceError:
            return False

    async def admit(self, exchange: Exchange, context: ServicerContext, *, is_public: bool = False) -> None:
        """Find out who sends a call; raises what ``Reception.identify`` raises."""
        _refuse_doubles(context.invocation_metadata())
        await self.reception.identify(exchange, {"client": client_of(context.peer())}, is_public=is_public)

    async def answer(self, exchange: Exchange, context: ServicerContext, work: Work) -> bytes:
        """Return what ``work`` returns, or end the call with the status that its error has; count and log it."""
        refusal: ServiceError | None = None
        payload = b""
        try:
            payload = await work(exchange)
        except asyncio.CancelledError:
            exchange.give_up()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            refusal = self.refuse(exchange, error)
        finally:
            self.reception.record(exchange)
        if refusal is not None:
            elsewhere = ((ASKING, "yes"),) if may_go_elsewhere(exchange, refusal) else ()
            await context.abort(STATUS_CODE[type(refusal)], message_of(refusal), (*_identity(exchange), *elsewhere))
        context.set_trailing_metadata(_identity(exchange))
        return payload

    def refuse(self, exchange: Exchange, error: Exception) -> ServiceError:
        """Return what the caller is to be told."""
        refusal = self.reception.understand(exchange, error)
        exchange.status = status_of(refusal)
        return refusal


def headers_of(metadata: Metadata) -> dict[bytes, bytes]:
    """Return metadata as HTTP's headers, with our own name for Host."""
    headers = {
        key.encode("latin-1"): value if isinstance(value, bytes) else value.encode("latin-1", "replace")
        for key, value in metadata
    }
    headers[b"host"] = _OUR_HOST
    return headers


def client_of(peer: str) -> tuple[str, int] | None:
    """Return address and port out of ``ipv4:127.0.0.1:1234``; None if it is something else."""
    kind, _, place = peer.partition(":")
    address, _, port = place.replace("%5B", "[").replace("%5D", "]").rpartition(":")
    return (address.strip("[]"), int(port)) if kind in ("ipv4", "ipv6") and port.isdigit() else None


def _identity(exchange: Exchange) -> tuple[tuple[str, str], ...]:
    """Return the trailing metadata that say which request this was, what became of it, and which version answered."""
    told: list[tuple[str, str]] = [("x-request-id", exchange.request_id)]
    if exchange.code != "ok":
        told.append(("x-problem-code", exchange.code))
    if exchange.endpoint is not None:
        identity = exchange.endpoint.identity  # beside what only HTTP knows, such as Vary
        told += [(name.decode(), value.decode()) for name, value in identity if name.startswith(b"x-")]
    return tuple(told)


def _refuse_doubles(metadata: Any) -> None:
    """Refuse two tokens where one decides: whoever stood in front of us may have read the other."""
    if sum(key == "authorization" for key, _ in metadata) > 1:
        raise Unauthenticated("there is more than one authorization")
