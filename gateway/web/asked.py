"""A predict request that is complete, and the connection that it came from."""

from collections.abc import Callable
from typing import Protocol

from gateway.codec.json_tensors import PredictBody
from gateway.web.endpoint import Endpoint
from gateway.web.heads import Head


class Connection(Protocol):
    """Where a request came from."""

    @property
    def is_gone(self) -> bool:
        """True if nobody listens any more."""
        ...

    is_passing: bool
    """True if the connection ends with this answer, which has to say so."""

    @property
    def can_wait(self) -> bool:
        """True if a request may take longer than the tick: nothing else of what the client sends has begun to come."""
        ...

    def wait(self, give_up: Callable[[], None]) -> None:
        """Wait for the answer to the request beyond the tick; ``give_up`` is called if the client leaves first."""
        ...

    def waits_for(self, asked: "Asked") -> bool:
        """Return whether the request has been neither answered nor taken back."""
        ...

    def begin_answer(self, status: int) -> bytes:
        """Return the status line and the headers that every answer has."""
        ...

    def answer(self, octets: bytes) -> None:
        """Write a whole answer, and wait for the next request."""
        ...

    def go_ordinary_way(self, asked: "Asked") -> None:
        """Have the request answered by the ASGI application."""
        ...


class Asked:
    """A complete request that waits for its answer.

    Args:
        connection: where it came from.
        head: its head.
        body: its body.
    """

    __slots__ = (
        "body",
        "connection",
        "decode_seconds",
        "decoded",
        "endpoint",
        "head",
        "is_plain",
        "is_waiting",
        "started",
    )

    def __init__(self, connection: Connection, head: Head, body: bytes) -> None:
        self.connection = connection
        self.head = head
        self.body = body
        self.started = 0.0
        """When its tick began, in monotonic seconds."""
        self.is_waiting = True
        """True if it is still to be answered in a tick: not answered, begun or taken back, its caller not gone."""
        self.is_plain = True
        """False once its rows have turned out to be none that can be joined unread."""
        self.endpoint: Endpoint | None = None
        self.decoded: PredictBody | None = None
        """What the body says to ``endpoint``, if that is known."""
        self.decode_seconds = 0.0
        """How long it took to find that out, if it then went the ordinary way."""
