"""How requests reach a gateway.

1. A connection is used by one thread at a time and kept for the next request; idle ones wait in a list.
2. An idle connection may have been closed by the other side meanwhile: only requests that can be sent again use one
   (``repeating`` does that). When one turns out to be closed, the others are given up as well. After a fork both
   processes would hear each other's answers on one: they stay with the process that opened them.
3. A gateway may answer before it has read the whole body (413, 401): a broken pipe while sending is no failure until
   there is no answer to read either.
"""

import http.client
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.client.addresses import Address, parse_address, parse_token
from gateway.client.errors import ConnectionFailed

Body = bytes | Iterable[bytes] | None
"""A body that is an iterable can be sent once; its length in bytes is announced beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, read to its end; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """One request, one answer; safe to share between threads unless the class says otherwise."""

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body = None,
        content_length: int | None = None,
        is_repeatable: bool = False,
    ) -> Response:
        """Send a request to a path (with its query) and return the answer, whatever its status.

        Args:
            method: as HTTP spells it.
            path: begins with a slash; percent-encoded.
            headers: sent as they are, beside those that the transport itself is responsible for.
            body: nothing, the bytes, or chunks whose length is ``content_length``.
            content_length: bytes; needed for chunks only.
            is_repeatable: True if sending it twice does no more than sending it once.

        Raises:
            ConnectionFailed: nobody answered; it says whether the request may have arrived, and changed something.
        """
        ...

    def close(self) -> None:
        """Give back what the transport holds; it is not used afterwards."""
        ...


@dataclass(slots=True)
class HttpTransport:
    """HTTP/1.1 to a URL (``http`` or ``https``, with a path before the gateway's own if need be).

    ``timeout_seconds`` bounds each wait for the network, not the whole exchange.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    timeout_seconds: float = 120.0
    _idle: list[http.client.HTTPConnection] = field(default_factory=list, init=False, repr=False)
    _owner: int = field(default_factory=os.getpid, init=False, repr=False)
    """The process that has opened the idle connections."""
    _address: Address = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._address, self.token = parse_address(self.url), parse_token(self.token)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body = None,
        content_length: int | None = None,
        is_repeatable: bool = False,
    ) -> Response:
        """Send it over a kept connection or a new one; see Transport."""
        sent = self._headers(headers, body, content_length)
        kept = self._kept() if is_repeatable and is_whole(body) else None
        try:
            connection = kept or self._connect()
        except OSError as error:
            raise ConnectionFailed(self._nobody(error)) from error
        try:
            return self._exchange(connection, method, path, sent, body)
        except (http.client.HTTPException, OSError) as error:
            if kept is not None:
                self.close()
            unknown = "" if is_repeatable else "; whether it was done is not known: look before you send it again"
            raise ConnectionFailed(
                self._nobody(error) + unknown, may_have_arrived=True, is_outcome_unknown=not is_repeatable
            ) from error

    def close(self) -> None:
        """Close the connections that are kept."""
        while (kept := self._kept()) is not None:
            kept.close()

    def _headers(self, headers: Mapping[str, str], body: Body, content_length: int | None) -> dict[str, str]:
        sent = {"accept": "application/json", "user-agent": "sardonyx-client", **headers}
        if self.token:
            sent["authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["content-length"] = str(len(body) if isinstance(body, bytes) else content_length)
        return sent

    def _kept(self) -> http.client.HTTPConnection | None:
        if self._owner != os.getpid():
            inherited, self._idle = self._idle, []
            self._owner = os.getpid()  # last, so that no other thread takes one of them meanwhile
            for connection in inherited:
                connection.close()  # this process's end of it only: nothing is sent
        try:
            return self._idle.pop()
        except IndexError:  # another thread may have taken the last one
            return None

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._address.is_secure else http.client.HTTPConnection
        connection = kind(self._address.host, self._address.port, timeout=self.timeout_seconds)
        connection.connect()
        return connection

    def _nobody(self, error: Exception) -> str:
        return f"no gateway answered at {self.url}: {_words(error)}"

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: Body
    ) -> Response:
        is_sent = True
        try:
            try:
                connection.request(method, self._address.prefix + path, body=body, headers=dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                is_sent = False
                if connection.sock is None:
                    raise
            answer = connection.getresponse()
            response = Response(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.getheaders()},
                body=answer.read(),
            )
        except BaseException:
            connection.close()
            raise
        if is_sent and connection.sock is not None:
            self._idle.append(connection)
        else:
            connection.close()
        return response


def is_whole(body: Body) -> bool:
    """Return whether a body can be sent more than once."""
    return body is None or isinstance(body, bytes)


def _words(error: Exception) -> str:
    """Say what happened without the class's own punctuation."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
