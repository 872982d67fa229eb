"""A real receiver of webhooks: a server that does with each request what it was told to, and keeps what came."""

import hashlib
import hmac
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PATIENCE_SECONDS = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    def is_signed_with(self, secret: str) -> bool:
        """Check it as a receiver does, with nothing but the standard library."""
        message = self.headers["x-sardonyx-timestamp"].encode() + b"." + self.body
        wanted = "sha256=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, self.headers["x-sardonyx-signature"])


Behaviour = Callable[["_Handler"], None]
"""Answers a request whose body has been read."""


@dataclass
class Receiver:
    """A server on loopback."""

    port: int
    received: "queue.Queue[Received]" = field(default_factory=queue.Queue)
    behaviours: list[Behaviour] = field(default_factory=list)
    """What the next requests meet, the first one first; afterwards 204."""
    ending: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", *, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def take(self) -> Received:
        """Return the next request, waiting for it."""
        return self.received.get(timeout=_PATIENCE_SECONDS)

    def take_kind(self, kind: str) -> Received:
        """Return the next request about this kind of event, and forget those before it."""
        while True:
            found = self.take()
            if found.headers["x-sardonyx-event"] == kind:
                return found


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        behaviour = self.receiver.behaviours.pop(0) if self.receiver.behaviours else answer(204)
        self.receiver.received.put(Received(path=self.path, headers=headers, body=body))
        with suppress(OSError):
            behaviour(self)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the standard library
        del format, arguments


def answer(status: int, **headers: str) -> Behaviour:
    """Return what answers with a status."""

    def behave(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return behave


def hang(handler: _Handler) -> None:
    """Answer nothing, until the receiver ends."""
    handler.receiver.ending.wait(_PATIENCE_SECONDS)


def drip(handler: _Handler) -> None:
    """Answer a byte at a time, for ever: never so slowly that a single read would time out."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-long: ")
    while not handler.receiver.ending.wait(0.02):
        handler.wfile.write(b"x")


def flood(handler: _Handler) -> None:
    """Answer with headers that never end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.receiver.ending.is_set():
        handler.wfile.write(b"x-more: " + b"x" * 8000 + b"\r\n")


def body_without_end(handler: _Handler) -> None:
    """Answer well, and go on talking."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not handler.receiver.ending.is_set():
        handler.wfile.write(b"x" * 8000)


def nonsense(handler: _Handler) -> None:
    """Answer what is no HTTP."""
    handler.wfile.write(b"220 mail.example.org ESMTP\r\n")


def slam(handler: _Handler) -> None:
    """Close the connection without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def running_receiver(wrap: Callable[[socket.socket], socket.socket] | None = None) -> Iterator[Receiver]:
    """Run a receiver; ``wrap`` puts TLS around its listening socket."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if wrap is not None:
        server.socket = wrap(server.socket)
    receiver = handler.receiver = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()
