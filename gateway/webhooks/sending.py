"""One attempt to send: a POST to an address that has been looked at, with a limit to everything.

Rules:
    1. The connection goes to one of the addresses that were checked; the name is for TLS and the Host header. There is
       no proxy, no redirect is followed, and certificates are verified.
    2. Connecting, each read and the whole attempt have limits of time. When the whole is over, the connection is cut
       from outside: who sends a byte a second gains nothing. So are all of them when the gateway ends.
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

from gateway.webhooks.addresses import Found, HostNotFoundError, Places
from registry.errors import UrlNotAllowed
from registry.webhook import Cause, Outcome

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
        self._lock = threading.Lock()
        self._scissors: set[_Scissors] = set()
        self._is_ended = False

    def end(self) -> None:
        """Cut all attempts, those that are begun later too."""
        with self._lock:
            self._is_ended = True
            scissors = list(self._scissors)
        for one in scissors:
            one.cut()

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Outcome | None:
        """POST a body and return what became of it; whatever goes wrong outside is an outcome, too.

        Returns:
            None if the attempt was cut by ``end``: nobody knows whether the body was taken.
        """
        began = monotonic()
        status, retry_after, reason, cause = None, None, "", Cause.NO_ANSWER
        with self._cuttable() as scissors:
            try:
                found = self._places.find(url)
                status, retry_after = self._exchange(found, urlsplit(url), headers, body, scissors)
                reason = "" if Outcome(seconds=0, status=status).is_good else _spell_status(status)
            except UrlNotAllowed as error:
                cause, reason = Cause.NOT_ALLOWED, error.detail
            except (OSError, HTTPException) as error:
                if self._is_ended:
                    return None
                cause = Cause.NO_ANSWER if scissors.is_cut else _cause_of(error)
                reason = f"no answer within {self._whole_seconds:g} seconds" if scissors.is_cut else _spell(error)
        return Outcome(
            seconds=round(monotonic() - began, 6),
            status=status,
            reason=reason[:_LONGEST_REASON],
            cause=cause,
            retry_after_seconds=retry_after,
        )

    @contextmanager
    def _cuttable(self) -> Iterator["_Scissors"]:
        """Give what cuts an attempt, which ``end`` knows meanwhile."""
        scissors = _Scissors()
        with self._lock:
            self._scissors.add(scissors)
            is_ended = self._is_ended
        if is_ended:
            scissors.cut()
        try:
            yield scissors
        finally:
            with self._lock:
                self._scissors.discard(scissors)
            scissors.let_go()

    def _exchange(
        self, found: list[Found], url: SplitResult, headers: Mapping[str, str], body: bytes, scissors: "_Scissors"
    ) -> tuple[int, int | None]:
        until = monotonic() + self._whole_seconds
        with _cut_at(until, scissors), _connected(found, until, scissors) as plain:
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


class _Scissors:
    """Cuts the connection of one attempt, from any thread, whatever is being waited for on it then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self.is_cut = False

    def take(self, plain: socket.socket) -> None:
        """Be for this connection from now on.

        Raises:
            TimeoutError: it was to be cut already.
        """
        self.let_go()
        with self._lock:
            if self.is_cut:
                raise TimeoutError("cut")
            self._connection = plain.dup()  # TLS takes the other one over

    def cut(self) -> None:
        """Cut the connection, or the one that would come next."""
        with self._lock:
            self.is_cut = True
            if self._connection is not None:
                with suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def let_go(self) -> None:
        """Have nothing to cut."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@contextmanager
def _connected(found: list[Found], until: float, scissors: _Scissors) -> Iterator[socket.socket]:
    """Give a connection to the first of these addresses that takes one."""
    refused: OSError | None = None
    for family, where in found:
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            scissors.take(plain)
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
def _cut_at(until: float, scissors: _Scissors) -> Iterator[None]:
    """Have an attempt cut at a moment, from another thread."""
    timer = threading.Timer(max(0.0, until - monotonic()), scissors.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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
        case AnswerTooLargeError() | HostNotFoundError():
            return str(error)
        case HTTPException():
            return "the connection was closed" if isinstance(error, ConnectionError) else "the answer is not HTTP"
        case _:
            return f"no connection: {error.strerror or type(error).__name__}"


_CAUSES: Final = (
    (HostNotFoundError, Cause.NOT_FOUND),
    (ssl.SSLError, Cause.TLS),
    ((TimeoutError, RemoteDisconnected), Cause.NO_ANSWER),
    (HTTPException, Cause.NOT_HTTP),
    (OSError, Cause.NO_CONNECTION),
)
"""The first that fits holds."""


def _cause_of(error: OSError | HTTPException) -> Cause:
    return next(cause for kinds, cause in _CAUSES if isinstance(error, kinds))
