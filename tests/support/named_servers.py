"""Servers that tell who they are, and keep a request waiting where they are asked to, behind a proxy that hashes."""

import http.client
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gateway.deployment.haproxy import LIVE
from gateway.placement.ring import HASH_TYPE, Server
from tests.support.gateway_process import fixed_port
from tests.support.proxies import HAProxy, Proxy, running_haproxy

BACKEND = "servers"
"""What the proxy calls all of them."""

_PATIENCE_SECONDS = 30.0
_HOLDING_SECONDS = 300.0


@contextmanager
def hashed(folder: Path, servers: Sequence[Server], *, balance_factor: int = 0) -> Iterator[HAProxy]:
    """Run servers with these ids and weights, and a proxy that hashes the header ``x-key`` over them."""
    port = fixed_port()
    with ExitStack() as stack:
        ports = [stack.enter_context(_running_server(server.name)) for server in servers]
        text = _configuration(port, servers, ports, balance_factor)
        yield stack.enter_context(running_haproxy(text, folder, port=port))


def ask(proxy: Proxy, key: str) -> str:
    """Return the name of the server that answers for a key."""
    connection = _send(proxy, key, {})
    name = connection.getresponse().read().decode()
    connection.close()
    return name


@contextmanager
def holding(proxy: Proxy, key: str) -> Iterator[str]:
    """Have a request for a key under way for as long as the block takes; gives the name of who has it."""
    connection = _send(proxy, key, {"x-hold": "yes"})
    try:
        answer = connection.getresponse()  # its head comes at once, its end when the connection does
        yield answer.headers["x-server"]
    finally:
        connection.close()


def _send(proxy: Proxy, key: str, headers: dict[str, str]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=_PATIENCE_SECONDS)
    connection.request("GET", "/", headers={"x-key": key, **headers})
    return connection


def _configuration(port: int, servers: Sequence[Server], ports: Sequence[int], balance_factor: int) -> str:
    lines = [
        "global",
        "  nbthread 1",
        "defaults",
        "  mode http",
        "  option http-no-delay",  # a head whose body is waited for would lie in the kernel for 200 ms
        "  timeout connect 5s",
        "  timeout client 300s",
        "  timeout server 300s",
        "frontend entrance",
        f"  bind 127.0.0.1:{port}",
        f"  monitor-uri {LIVE}",
        f"  default_backend {BACKEND}",
        f"backend {BACKEND}",
        "  balance hash req.hdr(x-key)",
        f"  hash-type {HASH_TYPE}",
        *([f"  hash-balance-factor {balance_factor}"] if balance_factor else []),
    ]
    for server, its_port in zip(servers, ports, strict=True):
        lines.append(f"  server {server.name} 127.0.0.1:{its_port} id {server.id} weight {server.weight}")
    return "\n".join([*lines, ""])


class _Handler(BaseHTTPRequestHandler):
    name: str

    def do_GET(self) -> None:
        body = self.name.encode()
        self.send_response(200)
        self.send_header("x-server", self.name)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.headers["x-hold"]:
            self.wfile.flush()
            with suppress(OSError):
                self.connection.settimeout(_HOLDING_SECONDS)
                self.connection.recv(1)  # returns when the proxy has closed, since its client has gone
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the standard library
        del format, arguments


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@contextmanager
def _running_server(name: str) -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"name": name}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
