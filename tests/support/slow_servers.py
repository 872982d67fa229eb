"""Servers that answer a POST late, or, where its query says ``end``, end the connection without an answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway.deployment.deployed import Server

_SECONDS = 2.5
"""After that a slow server answers: later than the short time that a test prints, earlier than the long one."""


@dataclass(frozen=True, slots=True)
class SlowServers:
    """Two servers that are always ready."""

    gateways: tuple[Server, ...]
    taken: list[str] = field(default_factory=list)
    """The path of each request that reached one, in order."""


def _handler(taken: list[str], over: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            taken.append(self.path)
            if self.path.endswith("?end"):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            over.wait(_SECONDS)
            self._answer()

        def _answer(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def running_slow_servers() -> Iterator[SlowServers]:
    """Run them until the end of the block."""
    taken: list[str] = []
    over = threading.Event()
    running = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(taken, over)) for _ in range(2)]
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
