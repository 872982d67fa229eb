"""One attempt to send: a POST to an address that has been looked at, with a limit to everything.

Rules:
    1. The connection goes to one of the addresses that were checked; the name is for TLS and the Host header. There is
       no proxy, no redirect is followed, and certificates are verified.
    2. Connecting, each read and the whole attempt have limits of time. When the whole is over, the connection is cut
       from outside: who sends a byte a second gains nothing.
    3. Of the answer the head is read, up to a limit of bytes, and nothing of the body: only the status counts, and
       whoever may make webhooks must not be able to read through them.
"""

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, RemoteDisconnected
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from gateway.webhooks.addresses import Found, Places
from registry.errors import UrlNotAllowed
from registry.webhook import Outcome

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 5.0
WHOLE_SECONDS: Final = 8.0
MOST_ANSWER_BYTES: Final = 64 * 1024

_LONGEST_REASON = 200
_LONGEST_RETRY_AFTER = 6


class AnswerTooLargeError(HTTPException):
    """The head of the answer passes its limit."""


class Sender:
    """Sends bodies; safe for threads.

    Args:
        places: tells where URLs lead.
        whole_seconds: how long an attempt may take, the look-up of the name apart.
    """

    def __init__(self, places: Places, *, whole_seconds: float = WHOLE_SECONDS) -> None:
        self._places = places
        self._whole_seconds = whole_seconds

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST a body and return what became of it; whatever goes wrong outside is an outcome, too."""
        began = monotonic()
        is_over = threading.Event()
        status, retry_after, reason = None, None, ""
        try:
            found = self._places.find(url)
            status, retry_after = self._exchange(found, urlsplit(url), headers, body, is_over)
            reason = "" if Outcome(seconds=0, status=status).is_good else _spell_status(status)
        except UrlNotAllowed as error:
            reason = error.detail
        except (OSError, HTTPException) as error:
            reason = f"no answer within {self._whole_seconds:g} seconds" if is_over.is_set() else _spell(error)
        seconds = round(monotonic() - began, 6)
        return Outcome(seconds=seconds, status=status, reason=reason[:_LONGEST_REASON], retry_after_seconds=retry_after)

    def _exchange(
        self, found: list[Found], url: SplitResult, headers: Mapping[str, str], body: bytes, is_over: threading.Event
    ) -> tuple[int, int | None]:
        until = monotonic() + self._whole_seconds
        with _connected(found, until) as plain, _cut_off(plain, until, is_over):
            connection = HTTPConnection(url.hostname or "")
            connection.response_class = _BoundedResponse
            try:
                connection.sock = self._secured(plain, url)
                target = (url.path or "/") + (f"?{url.query}" if url.query else "")
                connection.request("POST", target, body, {"host": url.netloc, "connection": "close", **headers})
                answer = connection.getresponse()
                return answer.status, _retry_after(answer)
            finally:
                connection.close()

    def _secured(self, plain: socket.socket, url: SplitResult) -> socket.socket:
        plain.settimeout(READ_SECONDS)
        if url.scheme == "http":
            return plain
        return self._tls.wrap_socket(plain, server_hostname=url.hostname)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()


class _BoundedResponse(HTTPResponse):
    """An answer of which so many bytes are read, and no more."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp: Any = _BoundedLines(self.fp)


class _BoundedLines:
    """What ``HTTPResponse`` reads heads from."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._rest_bytes = MOST_ANSWER_BYTES

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(min(limit, self._rest_bytes + 1))
        if not line:  # the library would take the end of the connection for the end of the head
            raise RemoteDisconnected("the connection ended")
        self._rest_bytes -= len(line)
        if self._rest_bytes < 0:
            raise AnswerTooLargeError(f"the answer's head has more than {MOST_ANSWER_BYTES} bytes")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def _connected(found: list[Found], until: float) -> Iterator[socket.socket]:
    """Give a connection to the first of these addresses that takes one."""
    refused: OSError | None = None
    for family, where in found:
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(max(0.001, min(CONNECT_SECONDS, until - monotonic())))
            plain.connect(where)
        except OSError as error:
            plain.close()
            refused = error
            continue
        with plain:
            yield plain
        return
    raise refused or ConnectionError("no address")


@contextmanager
def _cut_off(plain: socket.socket, until: float, is_over: threading.Event) -> Iterator[None]:
    """Cut the connection at a moment, from another thread, whatever is being waited for on it then."""
    ours = plain.dup()  # TLS takes the other one over

    def cut() -> None:
        is_over.set()
        with suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, until - monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        ours.close()


def _retry_after(answer: HTTPResponse) -> int | None:
    text = answer.headers.get("retry-after", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_RETRY_AFTER else None


def _spell_status(status: int) -> str:
    redirects = range(300, 400)
    return f"answered {status}" + (", and redirects are not followed" if status in redirects else "")


def _spell(error: OSError | HTTPException) -> str:
    """Say what went wrong without what the other side has sent."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or 'the connection ended'}"
        case TimeoutError():
            return "timed out"
        case AnswerTooLargeError():
            return str(error)
        case HTTPException():
            return "the connection was closed" if isinstance(error, ConnectionError) else "the answer is not HTTP"
        case _:
            return f"no connection: {error.strerror or type(error).__name__}"
