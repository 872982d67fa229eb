"""One request and what has become of it so far."""

import secrets
from itertools import count
from time import perf_counter

from gateway.web.endpoint import Endpoint
from gateway.web.limits import Receive, Scope, Send

_LONGEST_REQUEST_ID = 128


class Exchange:
    """A request on its way to an answer; what was decided about it is filled in on the way."""

    __slots__ = (
        "code",
        "endpoint",
        "headers",
        "is_body_read",
        "is_started",
        "receive",
        "request_id",
        "scope",
        "send",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, fallback_id: str) -> None:
        self.started = perf_counter()
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = _given_id(self.headers) or fallback_id
        self.endpoint: Endpoint | None = None
        self.is_body_read = False
        self.is_started = False
        """True once the status is on its way, so that no other can be sent."""
        self.status = 200
        self.code = "ok"

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send the whole answer."""
        self.status = status
        self.is_started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


class RequestIds:
    """Request ids that no other process shares: what is random is drawn once, the rest is counted."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)

    def draw(self) -> str:
        """Return the next one."""
        return f"{self._prefix}-{next(self._numbers):x}"


def _given_id(headers: dict[bytes, bytes]) -> str | None:
    """Return the caller's own request id, if it is one that can be echoed and logged."""
    given = headers.get(b"x-request-id")
    if given is None or not 0 < len(given) <= _LONGEST_REQUEST_ID:
        return None
    text = given.decode("latin-1")
    return text if text.isascii() and text.isprintable() else None
