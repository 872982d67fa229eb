"""Heads of requests (request line and headers) that have been understood, so that the same bytes need no parsing.

1. A client that keeps its connection sends the same head again and again; only the body differs. A head that has been
   parsed as a plain predict request means the same whenever, and on whichever connection, it comes again.
2. A head is remembered by all its bytes. What it led to is not: who sends it, and where its path leads, are asked for
   each tick of the event loop anew.
3. Heads with an id of their own for each request would only fill the table, and are not remembered. The table is
   bounded; the oldest goes first.
"""

from weakref import ref

import orjson

from gateway.web.compression import coding_of
from gateway.web.endpoint import Endpoint
from gateway.web.paths import Target
from registry.roles import Caller

_MAX_HEADS = 4_096
_MAX_HEAD_BYTES = 2_048
_UNIQUE = frozenset({b"x-request-id", b"traceparent", b"tracestate", b"idempotency-key", b"date"})


class Head:
    """A head that begins a plain predict request.

    Args:
        url: as it stands in the request line.
        path: of the URL.
        target: what the path means.
        headers: names in lower case, no name twice.
        length: of the body that follows, in bytes.
        is_for_tick: whether the request may be answered within its tick; if not, it is only collected there.
    """

    __slots__ = (
        "caller",
        "checked_at",
        "coding",
        "has_id",
        "headers",
        "is_for_tick",
        "length",
        "line",
        "path",
        "routing_key",
        "target",
        "url",
    )

    def __init__(
        self,
        url: bytes,
        path: str,
        target: Target,
        headers: dict[bytes, bytes],
        length: int,
        *,
        is_for_tick: bool = True,
    ) -> None:
        self.url = url
        self.path = path
        self.target = target
        self.headers = headers
        self.length = length
        self.is_for_tick = is_for_tick
        self.routing_key = headers.get(b"x-routing-key")
        self.coding = coding_of(headers.get(b"accept-encoding"))
        """How its client wants longer answers to be compressed, if at all."""
        self.caller: Caller | None = None
        """Who sends it, and may; None if that cannot be told without waiting."""
        self.checked_at = -1.0
        """The tick in which that was found out; infinite where it cannot change."""
        self.has_id = b"x-request-id" in headers
        """True if the client brings an id for the request."""
        self.line: tuple[ref[Endpoint], Caller | None, bytes] | None = None
        """What the log says of every good answer from that endpoint, which may go meanwhile, to that caller."""

    def log_line(self, endpoint: Endpoint) -> bytes:
        """Return the access log's line of a good answer, up to what differs from request to request."""
        line = self.line
        if line is None or line[0]() is not endpoint or line[1] is not self.caller:
            common = {
                "event": "request",
                "method": "POST",
                "path": self.path,
                "actor": None if self.caller is None else self.caller.name,
                "status": 200,
                "code": "ok",
                "model": endpoint.version.model,
                "version": endpoint.version.number,
            }
            line = self.line = ref(endpoint), self.caller, orjson.dumps(common)[:-1]
        return line[2]


class KnownHeads:
    """The newest heads, by their bytes."""

    def __init__(self, limit: int = _MAX_HEADS) -> None:
        self._limit = limit
        self._known: dict[bytes, Head] = {}
        self.find = self._known.get
        """Return the head that these bytes are, or None."""

    def remember(self, octets: bytes, head: Head) -> None:
        """Spare the next request with this head the parsing."""
        if len(octets) > _MAX_HEAD_BYTES or not _UNIQUE.isdisjoint(head.headers) or octets in self._known:
            return
        if len(self._known) >= self._limit:
            del self._known[next(iter(self._known))]
        self._known[octets] = head
