"""HTTP as somebody with a socket speaks it: nothing is normalised, nothing is forbidden."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back before the server closed, or the whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def request_bytes(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request: its first line, header lines, and a body whose length is added."""
    head = [line, *headers]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def send_raw(url: str, request: bytes) -> RawAnswer:
    """Send the bytes and read one answer."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SECONDS) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> RawAnswer:
    """Read one answer off a connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        body += _more(connection)
    return RawAnswer(int(first.split(" ")[1]), headers, body)


def go_on(connection: socket.socket, opened: ExitStack) -> socket.socket:
    """Read a good answer, and return what the next request is sent on: another one if the answer ends this one.

    A worker says so that has more connections than its siblings.
    """
    answer = read_answer(connection)
    assert answer.status == 200
    if answer.headers.get("connection") != "close":
        return connection
    return opened.enter_context(socket.create_connection(connection.getpeername()[:2], timeout=_SECONDS))


def _more(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionError("the server closed before its answer was complete")
    return chunk


def connected(url: str) -> socket.socket:
    """Open a connection."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SECONDS)
