"""Servers that answer a POST late. Where its query says ``end``, they end the connection without an answer; where it
says ``hush``, the first one that gets it says nothing any more, to whoever asks, and the other one answers it at once.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway.deployment.deployed import Server

_SECONDS = 5.0
"""After that a slow server answers: later than the short times that a test prints, earlier than the long one."""


@dataclass(frozen=True, slots=True)
class SlowServers:
    """Two servers that are always ready."""

    gateways: tuple[Server, ...]
    taken: list[str] = field(default_factory=list)
    """The path of each request that reached one, in order."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    taken: list[str]
    over: threading.Event
    silent: list["_Server"]

    def do_GET(self) -> None:
        if self.server in self.silent:
            self.over.wait()
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.taken.append(self.path)
        words = self.path.partition("?")[2]
        if words == "end":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if words != "hush":
            self.over.wait(_SECONDS)
        elif not self.silent:
            assert isinstance(self.server, _Server)
            self.silent.append(self.server)
            self.over.wait()
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of callers that have gone: proxies do that."""


@contextmanager
def running_slow_servers() -> Iterator[SlowServers]:
    """Run them until the end of the block."""
    taken: list[str] = []
    over = threading.Event()
    told = {"taken": taken, "over": over, "silent": list[_Server]()}
    handler: Any = type("Handler", (_Handler,), told)
    running = [_Server(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in running]
    for thread in threads:
        thread.start()
    gateways = tuple(
        Server(id=number, name=f"gateway{number}", host="127.0.0.1", port=each.server_address[1])
        for number, each in enumerate(running, 1)
    )
    try:
        yield SlowServers(gateways, taken)
    finally:
        over.set()
        for server, thread in zip(running, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
