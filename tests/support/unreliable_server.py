"""A server that misbehaves as it is told: it answers, or closes the connection instead, one request after the other."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_SECONDS = 30.0

CUT = b""
"""Instead of an answer: the request is read, and the connection is closed."""


def answer(status: int, body: bytes = b"{}", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@dataclass(slots=True)
class UnreliableServer:
    """What it does with each request, in order, and the first lines of those that it has read."""

    listener: socket.socket
    answers: list[bytes]
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):  # the client is gone before it was answered
                connection.settimeout(_SECONDS)
                while self._answers_one(connection):
                    pass

    def _answers_one(self, connection: socket.socket) -> bool:
        """Return whether the connection goes on."""
        line = _read_request(connection)
        if line is None:
            return False
        self.asked.append(line)
        given = self.answers.pop(0) if self.answers else CUT
        connection.sendall(given)
        return given != CUT and given.startswith(b"HTTP/") and b"Connection: close" not in given


def _read_request(connection: socket.socket) -> str | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head.decode("latin-1").split(" HTTP/")[0]


@contextmanager
def unreliable_server(answers: Sequence[bytes], *, is_listening: bool = True) -> Iterator[UnreliableServer]:
    """Run one; with ``is_listening`` False connections are refused until ``open_door`` is called."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    server = UnreliableServer(listener, list(answers))
    threads: list[threading.Thread] = []
    if is_listening:
        threads.append(open_door(server))
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR) if threads else None
        listener.close()
        for thread in threads:
            thread.join()


def open_door(server: UnreliableServer) -> threading.Thread:
    """Let connections in from now on."""
    server.listener.listen()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    return thread
