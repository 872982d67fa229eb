"""Predict requests answered within the tick of the event loop that brings them: no task, no ASGI messages, one write.

1. Only a small body for a version that is known and loaded is answered here, within the tick or, where the run is not
   short, when it has ended. All else goes the ordinary way, through the same code of ``Front``, as if this module were
   not there.
2. A request qualifies if nothing is outstanding on its connection, the client takes what is written, and it is plain:
   HTTP/1.1, keep-alive, POST, a Content-Length within the cap, no header twice, and no Expect, Upgrade,
   Transfer-Encoding or Content-Encoding. So answers cannot overtake each other, and the rest of HTTP stays uvicorn's.
3. One that comes in one piece, with a head that has been parsed before, is not parsed again (``heads``): the parser
   never sees it, and stays between two messages.
4. While a request waits for the end of the tick, whatever else happens on its connection (more data, the end of what
   the client has to say, the server's shutdown) has the request answered first.
5. While it waits for a run beyond the tick, what else comes is put aside, up to a limit. A client that leaves ends the
   waiting.
6. uvicorn's own handling of the headers is put off until the body is there, and made up for where it is needed, from
   what was kept of the request and not from the parser, which may be in the middle of the next one by then. So a
   large body is collected here as well, though it is answered the ordinary way: once it is whole, and not waking the
   application for each of its pieces.

uvicorn's class is half private: its exact version is pinned, and each of these rules has a test.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.web.asked import Asked
from gateway.web.front import BEGUN, Front
from gateway.web.heads import Head
from gateway.web.http_protocol import HttpProtocol
from gateway.web.patience import LEAST_BYTES, slow_body
from gateway.web.tick import Tick

_ORDINARY = frozenset({b"expect", b"upgrade", b"transfer-encoding", b"content-encoding"})
_END_OF_HEAD = b"\r\n\r\n"
_MOST_EARLY_BYTES = 64 * 1024


class _PlainPost:
    """What the parser says of a request that qualifies, once its head is complete."""

    def get_method(self) -> bytes:
        return b"POST"

    def get_http_version(self) -> str:
        return "1.1"

    def should_keep_alive(self) -> bool:
        return True

    def should_upgrade(self) -> bool:
        return False


_PLAIN_POST: Any = _PlainPost()


class PredictProtocol(HttpProtocol):
    """HTTP/1.1 with a short cut; ``config.app`` must be a ``gateway.app.Application``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application: Any = self.config.app
        self._head: Head | None = None
        """Of the request that is put aside until its body is there."""
        self._parts: list[bytes] = []
        self._head_at = 0.0
        """When the first part of what is put aside had come, in monotonic seconds."""
        self._body_watch = self._watch(self.pause_seconds, LEAST_BYTES, self._body_mark, self._refuse_slow_body)
        self._asked: Asked | None = None
        """The request that waits for the end of the tick."""
        self._tick: Tick | None = None
        """Where it waits."""
        self._is_between = True
        """True if no part of a request has come that the parser has not seen the end of."""
        self._octets = b""
        """What the parser is given."""
        self._is_draining = False
        self._give_up: Callable[[], None] | None = None
        """To be called if the client leaves while its request waits beyond the tick; None while none does."""
        self._early = b""
        """What has come in the meantime."""

    # --- what the client sends ----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what has come, whatever it is."""
        if self._asked is not None:
            self._answer_tick()
        if self._give_up is not None:
            self._early += data
            if len(self._early) > _MOST_EARLY_BYTES:
                self.flow.pause_reading()  # before that, not: a client that leaves is noticed only while we read
            return
        front: Front | None = self._application.front
        if self._is_between and front is not None and self._is_idle():
            begin_of_body = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            head = front.find_head(data[:begin_of_body])
            if head is not None and len(data) - begin_of_body == head.length:
                self._waiting_since = None
                self._asked = Asked(self, head, data[begin_of_body:])
                self._tick = front.tick
                self._tick.add(self._asked)
                return
            self._octets = data
        super().data_received(data)
        self._octets = b""
        if self._head is not None:
            self._body_watch.begin()

    def eof_received(self) -> None:
        """Answer before the connection is closed."""
        self._answer_tick()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        super().connection_lost(exc)
        give_up, self._give_up = self._give_up, None
        if give_up is not None:
            self._asked, self._early = None, b""
            give_up()

    def on_message_begin(self) -> None:
        """Begin with a head."""
        self._is_between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Let the request end."""
        self._is_between = True
        super().on_message_complete()

    def begin(self) -> None:
        """Put the request aside if it may qualify, else let uvicorn begin with it."""
        self._answer_tick()
        self._waiting_since = None  # that answer has begun to wait for this request
        self._head = self._qualify()
        if self._head is None:
            super().begin()
        else:
            self._head_at = monotonic()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._head is None:
            super().on_body(body)
        else:
            self._parts.append(body)

    def end(self) -> None:
        """Have what was put aside answered at the end of the tick."""
        head, self._head = self._head, None
        if head is None:
            super().end()
            return
        parts, self._parts = self._parts, []
        front: Front | None = self._application.front
        asked = Asked(self, head, b"".join(parts))
        if front is None or self._is_draining or not head.is_for_tick:
            self.go_ordinary_way(asked)
            return
        begin_of_body = len(self._octets) - head.length
        if self._octets[:begin_of_body].find(_END_OF_HEAD) == begin_of_body - len(_END_OF_HEAD):
            front.remember_head(self._octets[:begin_of_body], head)
        self._asked = asked
        self._tick = front.tick
        self._tick.add(asked)

    def shutdown(self) -> None:
        """Close when nothing is outstanding; uvicorn calls this when the server ends."""
        self._answer_tick()
        if self._head is None and self._give_up is None:
            super().shutdown()
        else:
            self._is_draining = True

    # --- what the tick does -------------------------------------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """True if nobody listens any more."""
        return bool(self.transport.is_closing())

    @property
    def can_wait(self) -> bool:
        """True if a request may take longer than the tick: nothing else of what the client sends has begun to come."""
        return self._is_between and not self._is_draining

    def wait(self, give_up: Callable[[], None]) -> None:
        """Wait for the answer to the request beyond the tick; ``give_up`` is called if the client leaves first."""
        self._give_up = give_up

    def waits_for(self, asked: Asked) -> bool:
        """Return whether the request has been neither answered nor taken back."""
        return self._asked is asked

    def begin_answer(self, status: int) -> bytes:
        """Return the status line and the headers that every answer has."""
        return STATUS_LINE[status] + self.default_lines()

    def answer(self, octets: bytes) -> None:
        """Write a whole answer, and wait for the next request."""
        asked, self._asked, self._give_up = self._asked, None, None
        if asked is not None:
            asked.is_waiting = False
        if self.server_state.default_headers is not self._default_headers:
            self.default_lines()  # they say whether this answer is the last one
        self.transport.write(octets)
        self.on_response_complete()
        if self._is_draining:
            super().shutdown()
        if self._early and not self.transport.is_closing():
            early, self._early = self._early, b""
            self.data_received(early)

    def _answer_tick(self) -> None:
        """Have a request answered, or its run begun, that waits for the end of the tick."""
        if self._asked is not None and self._tick is not None and self._give_up is None:
            self._tick.answer(self._asked)

    def go_ordinary_way(self, asked: Asked) -> None:
        """Have the request answered by the ASGI application."""
        self._asked = None
        asked.is_waiting = False
        # Meanwhile the parser may have begun with the next request: it must not be asked about this one.
        parser, url, headers = self.parser, self.url, self.headers
        self.parser, self.url, self.headers = _PLAIN_POST, asked.head.url, list(asked.head.headers.items())
        super().begin()
        scope: Any = self.scope
        scope[BEGUN] = asked
        super().end()
        self.parser, self.url, self.headers = parser, url, headers
        if self._is_draining:
            super().shutdown()

    def _qualify(self) -> Head | None:
        front: Front | None = self._application.front
        if front is None or not self._is_idle():
            return None
        headers = dict(self.headers)
        if len(headers) != len(self.headers) or not _ORDINARY.isdisjoint(headers):
            return None
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > front.most_body_bytes:
            return None
        parser = self.parser
        if not parser.should_keep_alive() or parser.get_method() != b"POST":
            return None
        if b"connection" in headers and parser.get_http_version() != "1.1":
            return None  # HTTP/1.0 keeps a connection only if asked to, and wants to be told
        return front.read_head(self.url, headers, int(length))

    def _is_idle(self) -> bool:
        return not self._is_draining and self._give_up is None and super()._is_idle()

    def _body_mark(self) -> int | None:
        """Return a number that grows with what comes of the body that is put aside."""
        return (self._head_count << 40) + self._head_bytes if self._head is not None else None

    def _refuse_slow_body(self) -> None:
        head, self._head, self._parts = self._head, None, []
        front: Front | None = self._application.front
        if head is not None and front is not None:
            self._asked = Asked(self, head, b"")
            self._asked.started = self._head_at
            front.tick.refuse(self._asked, slow_body(self.pause_seconds))
        self.transport.close()
