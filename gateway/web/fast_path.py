"""Predict requests answered where they are parsed: no task, no ASGI messages, one write.

1. Only what takes no waiting is answered here: a small body, a version that is known and loaded, a short run. All else
   goes the ordinary way, through the same code of ``Front``, as if this module were not there.
2. A request qualifies if it is known who sends it and that they may, nothing is outstanding on its connection, the
   client takes what is written, and it is plain: HTTP/1.1, keep-alive, POST, a Content-Length within the cap, no header
   twice, and no Expect, Upgrade, Transfer-Encoding or Content-Encoding. So answers cannot overtake each other, and the
   rest of HTTP stays uvicorn's.
3. uvicorn's own handling of the headers is put off until the body is there, and made up for where it is needed.
4. A connection in the middle of such a request when the server shuts down is answered before it is closed.

uvicorn's class is half private: its exact version is pinned, and each of these rules has a test.
"""

from typing import Any

from gateway.web.exchange import Exchange
from gateway.web.front import BEGUN, Front
from gateway.web.http_protocol import HttpProtocol

_ORDINARY = frozenset({b"expect", b"upgrade", b"transfer-encoding", b"content-encoding"})


class PredictProtocol(HttpProtocol):
    """HTTP/1.1 with a short cut; ``config.app`` must be a ``gateway.app.Application``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application: Any = self.config.app
        self._exchange: Exchange | None = None
        """The request that is put aside until its body is there."""
        self._parts: list[bytes] = []
        self._is_draining = False

    def begin(self) -> None:
        """Put the request aside if it may qualify, else let uvicorn begin with it."""
        self._exchange = self._qualify()
        if self._exchange is None:
            super().begin()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._exchange is None:
            super().on_body(body)
        else:
            self._parts.append(body)

    def end(self) -> None:
        """Answer what was put aside, or give it to uvicorn after all."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            super().end()
            return
        parts, self._parts = self._parts, []
        body = b"".join(parts)
        front: Front | None = self._application.front
        answer = None if front is None or self._is_draining else front.answer_at_once(exchange, body)
        if front is None or answer is None:
            self._go_ordinary_way(exchange, body)
            return
        self.write_answer(*answer)
        self.on_response_complete()
        front.record(exchange)

    def shutdown(self) -> None:
        """Close when nothing is outstanding; uvicorn calls this when the server ends."""
        if self._exchange is None:
            super().shutdown()
        else:
            self._is_draining = True

    def _qualify(self) -> Exchange | None:
        front: Front | None = self._application.front
        if front is None or self.flow.write_paused or not self._is_idle():
            return None
        headers = dict(self.headers)
        if len(headers) != len(self.headers) or not _ORDINARY.isdisjoint(headers):
            return None
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > front.small_body_bytes:
            return None
        parser = self.parser
        if not parser.should_keep_alive() or parser.get_method() != b"POST":
            return None
        if b"connection" in headers and parser.get_http_version() != "1.1":
            return None  # HTTP/1.0 keeps a connection only if asked to, and wants to be told
        return front.begin_at_once(self.url, headers)

    def _is_idle(self) -> bool:
        before: Any = self.cycle  # None before the first request
        return not self._is_draining and not self.pipeline and (before is None or before.response_complete)

    def _go_ordinary_way(self, exchange: Exchange, body: bytes) -> None:
        super().begin()
        scope: Any = self.scope
        scope[BEGUN] = exchange
        if body:
            super().on_body(body)
        super().end()
        if self._is_draining:
            super().shutdown()
