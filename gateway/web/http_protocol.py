"""uvicorn's HTTP/1.1 protocol, made safe to leave alone with strangers.

1. A head (request line and headers) that has not ended after 64 KiB is refused: nothing else would bound it. What came
   in one piece with the end of another request is not counted.
2. An offer to upgrade the connection (RFC 9110 section 7.8) is not taken up, and the request is answered as if it had
   not been made. The parser stops at such a request's head and would lose its body, so the head is given to a new
   parser without the offer. Java's HTTP client makes one with its first request.
3. What is no HTTP is refused with a problem, like everything else.
4. A connection that has waited for the head of its next request for ``timeout_keep_alive`` is closed, whatever else
   comes meanwhile. One timer a connection sees to that however many requests come: setting one after every answer
   costs as much as parsing the request.
5. A head that drips, a body in crumbs and an answer that is not taken end their connection (``patience``). What is
   looked at costs a timer only where a part has come and the rest has not.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.web.patience import (
    HEAD_SECONDS,
    LEAST_BYTES,
    MOST_SMALL_CHUNKS,
    PAUSE_SECONDS,
    SMALL_CHUNK_BYTES,
    Watch,
    slow_head,
    unsent_bytes,
)
from gateway.web.problems import header_lines, problem_answer
from registry.errors import BodyTooLarge, HeadTooLarge, MalformedRequest, ServiceError

_MAX_HEAD_BYTES = 64 * 1024
_OFFER = frozenset({b"upgrade", b"http2-settings"})
_CONTINUE = b"100-continue"

LAST_ANSWER = (b"connection", b"close")
"""Among the server's default headers: each connection ends with the next answer on it."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    head_seconds = HEAD_SECONDS
    pause_seconds = PAUSE_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self._is_in_head = False
        self._head_bytes = 0
        """How much has come since the last request ended, or in the pieces after the one in which it ended."""
        self._head_count = self._chunk_count = self._resume_count = 0
        self._watches: list[Watch] = []
        self._head_watch = self._watch(self.head_seconds, 1, self._head_mark, self._refuse_slow_head)
        self._answer_watch = self._watch(self.pause_seconds, LEAST_BYTES, self._answer_mark, self._drop)
        self._has_offer = False
        self._waiting_since: float | None = None
        """When the last answer was complete, in the loop's time; None while a request is outstanding."""
        self._timer: asyncio.TimerHandle | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""
        self._is_last = False
        """True if the answer says that the connection ends with it."""
        self.is_passing = False
        """True if the next answer is the last one, whatever the server's default headers say."""

    def connection_made(self, transport: Any) -> None:
        """Begin with the connection."""
        super().connection_made(transport)
        # Whatever is written goes to the system at once, so that the client is at work while we keep our books.
        transport.set_write_buffer_limits(high=0)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        for watch in self._watches:
            watch.end()

    def data_received(self, data: bytes) -> None:
        """Take what has come, whatever it is."""
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._read_again(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.refuse(MalformedRequest("this is not HTTP/1.1"))
        if self._is_in_head and self._head_bytes > _MAX_HEAD_BYTES:
            self.refuse(HeadTooLarge(f"the request line and the headers may have {_MAX_HEAD_BYTES} bytes together"))
        elif self._is_in_head:
            self._head_watch.begin()

    def on_message_begin(self) -> None:
        """Begin with a head; the scope is made when it is needed."""
        self._is_in_head = True
        self._head_count += 1
        self._chunk_count = 0
        self._has_offer = False
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Let the request begin, unless its head is to be read again."""
        self._is_in_head = False
        self._waiting_since = None
        self._has_offer = self.parser.should_upgrade()
        if not self._has_offer:
            self.begin()

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._chunk_count += 1
        if self._chunk_count > MOST_SMALL_CHUNKS + self._head_bytes // SMALL_CHUNK_BYTES:
            self.refuse(BodyTooLarge(f"the body comes in more than {MOST_SMALL_CHUNKS} chunks that are tiny"))

    def on_message_complete(self) -> None:
        """Let the request end."""
        self._head_bytes = 0
        if not self._has_offer:
            self.end()

    def begin(self) -> None:
        """Do what is to be done when the head is there."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        # What comes behind the body (a trailer, RFC 9110 section 6.5) goes into the new list, which nobody reads.
        self.url, self.scope["headers"] = url, headers
        self.expect_100_continue = any(name == b"expect" and value.lower() == _CONTINUE for name, value in headers)
        super().on_headers_complete()
        if self.is_passing and LAST_ANSWER not in self.cycle.default_headers:
            self.cycle.default_headers = [*self.cycle.default_headers, LAST_ANSWER]

    def end(self) -> None:
        """Do what is to be done when the body is there."""
        super().on_message_complete()

    def refuse(self, error: ServiceError) -> None:
        """Answer with a problem and close."""
        if not self.transport.is_closing():
            request_id = secrets.token_hex(8)
            structlog.get_logger().info("refused_bytes", request_id=request_id, code=error.code)
            status, headers, body = problem_answer(error, request_id=request_id)
            more = [(b"x-request-id", request_id.encode()), (b"connection", b"close")]
            lines = header_lines(headers + more)
            self.transport.write(b"".join((STATUS_LINE[status], self.default_lines(), lines, b"\r\n", body)))
            self.transport.close()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._resume_count += 1

    def pause_writing(self) -> None:
        """Write no more until the client has taken what is there."""
        super().pause_writing()
        self._answer_watch.begin()

    @property
    def waits_since(self) -> float | None:
        """Since when the next request has been waited for, or the rest of its head; None while one is at work."""
        return self._waiting_since

    def default_lines(self) -> bytes:
        """Return the headers that every answer has, as HTTP/1.1 writes them."""
        defaults = self.server_state.default_headers
        if defaults is not self._default_headers:  # the server makes a new list every second, for the date
            more = [LAST_ANSWER] if self.is_passing and LAST_ANSWER not in defaults else []
            self._default_headers, self._default_lines = defaults, header_lines([*defaults, *more])
            self._is_last = self.is_passing or LAST_ANSWER in defaults
        return self._default_lines

    def pass_on(self) -> None:
        """End with the next answer that has not been begun."""
        self.is_passing = True
        self._default_headers = []  # the lines are made anew

    def on_response_complete(self) -> None:
        """Go on with a request that has come meanwhile, or wait for one."""
        self.server_state.total_requests += 1
        if self._is_last:
            self.transport.close()
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._wait()

    def _watch(self, seconds: float, least: int, mark: Callable[[], int | None], give_up: Callable[[], None]) -> Watch:
        watch = Watch(self.loop, seconds, least, mark=mark, give_up=give_up)
        self._watches.append(watch)
        return watch

    def _head_mark(self) -> int | None:
        return self._head_count if self._is_in_head and not self.transport.is_closing() else None

    def _refuse_slow_head(self) -> None:
        if self._is_idle():
            self.refuse(slow_head(self.head_seconds))
        else:  # a refusal would overtake the answer that is being made, and whether more is read is ours
            self._head_watch.begin()

    def _answer_mark(self) -> int | None:
        """Return a number that grows with what the client takes."""
        return (self._resume_count << 40) - unsent_bytes(self.transport) if self.flow.write_paused else None

    def _drop(self) -> None:
        structlog.get_logger().info("deaf_client_dropped", unsent_bytes=unsent_bytes(self.transport))
        self.transport.abort()

    def _is_idle(self) -> bool:
        """Return whether nothing is outstanding: every request that has come has its answer, and that is taken."""
        before: Any = self.cycle  # None before the first request
        return not self.flow.write_paused and not self.pipeline and (before is None or before.response_complete)

    def _wait(self) -> None:
        """Wait for a request."""
        self._waiting_since = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self.timeout_keep_alive, self._end_waiting)

    def _end_waiting(self) -> None:
        """Close if nothing has come for long enough, else look again when that may be so."""
        self._timer = None
        if self._waiting_since is not None and not self.transport.is_closing():
            rest_seconds = self._waiting_since + self.timeout_keep_alive - self.loop.time()
            if rest_seconds > 0:
                self._timer = self.loop.call_later(rest_seconds, self._end_waiting)
            else:
                self.transport.close()

    def _read_again(self, rest: bytes) -> None:
        """Give a new parser the head without its offer, and what came after it; that may begin with an offer again."""
        while not self.transport.is_closing():
            if self.parser.get_method() == b"CONNECT":  # an offer that cannot be left out
                self.refuse(MalformedRequest("this is not a proxy"))
                return
            data = self._head_without_offer() + rest
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                rest = data[offer.args[0] :]
            except httptools.HttpParserError:
                self.refuse(MalformedRequest("this is not HTTP/1.1"))
            else:
                return

    def _head_without_offer(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token for token in value.split(b",") if token.strip().lower() not in _OFFER]
                lines += [name + b":" + b",".join(tokens)] * bool(tokens)
            elif name not in _OFFER:
                lines.append(name + b":" + value)
        return b"\r\n".join([*lines, b"", b""])
