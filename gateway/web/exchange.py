"""One request and what has become of it so far."""

import secrets
from collections.abc import Hashable, Mapping
from itertools import count
from time import monotonic
from typing import Any

from gateway.phases import Moments
from gateway.web.endpoint import Endpoint
from gateway.web.paths import Target
from registry.credentials import redact
from registry.roles import Caller

CONTEXT = "sardonyx"
"""The key of a scope under which the control plane finds its Exchange."""

_LONGEST_REQUEST_ID = 128
_LONGEST_SHOWN_PATH = 256

_GONE = "client_gone"
_GONE_STATUS = 499


class Exchange:
    """A request on its way to an answer; what was decided about it is filled in on the way.

    Args:
        method: as the client wrote it.
        path: decoded once.
        headers: names in lower case; of several of one name, the last.
        fallback_id: the request's id, unless it brings one of its own.
        started: when it came, in monotonic seconds; now, if that is not said.
    """

    __slots__ = (
        "caller",
        "code",
        "endpoint",
        "headers",
        "is_body_read",
        "is_started",
        "method",
        "moments",
        "path",
        "request_id",
        "started",
        "status",
        "target",
        "trace_id",
    )

    def __init__(
        self, method: str, path: str, headers: dict[bytes, bytes], fallback_id: str, *, started: float | None = None
    ) -> None:
        self.started = monotonic() if started is None else started
        self.method = method
        self.path = path
        self.headers = headers
        self.request_id = _given_id(headers) or fallback_id
        self.caller: Caller | None = None
        """Who asks; None until that is known, and on routes where it does not matter."""
        self.target: Target | None = None
        """What the path means, if it is a predict path."""
        self.endpoint: Endpoint | None = None
        self.is_body_read = False
        self.is_started = False
        """True once the status is on its way, so that no other can be sent."""
        self.status = 200
        self.code = "ok"
        self.moments = Moments()
        """What was done when, if it is a prediction."""
        self.trace_id: str | None = None
        """Of the trace that tells of it, if one does."""

    def give_up(self) -> None:
        """Take note that the caller has left before there was an answer."""
        self.status, self.code = _GONE_STATUS, _GONE

    def asker(self, scope: Mapping[str, Any]) -> Hashable:
        """Return who asks, as far as turns go: a token's owner; where there are no tokens, a connection.

        Args:
            scope: of the connection, as ASGI has it.
        """
        token = None if self.caller is None else self.caller.token
        return token or scope.get("client")

    @property
    def shown_path(self) -> str:
        """The path as the log may show it: cut, and without the secret of a token that somebody put there."""
        return redact(self.path)[:_LONGEST_SHOWN_PATH]


class RequestIds:
    """Request ids that no other process shares: what is random is drawn once, the rest is counted."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._prefix_bytes = self._prefix.encode()
        self._numbers = count(1)

    def draw(self) -> str:
        """Return the next one."""
        return f"{self._prefix}-{next(self._numbers):x}"

    def draw_bytes(self) -> bytes:
        """Return the next one, as it goes over the wire."""
        return b"%b-%x" % (self._prefix_bytes, next(self._numbers))


def _given_id(headers: dict[bytes, bytes]) -> str | None:
    """Return the caller's own request id, if it is one that can be echoed and logged."""
    given = headers.get(b"x-request-id")
    if given is None or not 0 < len(given) <= _LONGEST_REQUEST_ID:
        return None
    text = given.decode("latin-1")
    return text if text.isascii() and text.isprintable() else None
