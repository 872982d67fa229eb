"""A real HAProxy before servers that tell who they are, and keep a request waiting where they are asked to."""

import http.client
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_UNIX, SHUT_WR, socket

from gateway.placement.ring import HASH_TYPE, Server
from tests.support.gateway_process import free_port, wait_until
from tests.support.proxies import find_program

_PATIENCE_SECONDS = 30.0
_HOLDING_SECONDS = 300.0


@dataclass(slots=True)
class Proxy:
    """A proxy that runs, with the servers behind it."""

    port: int
    admin: Path
    ending: threading.Event = field(default_factory=threading.Event)

    def ask(self, key: str) -> str:
        """Return the name of the server that answers for a key."""
        connection = self._send(key, {})
        name = connection.getresponse().read().decode()
        connection.close()
        return name

    @contextmanager
    def holding(self, key: str) -> Iterator[str]:
        """Have a request for a key under way for as long as the block takes; gives the name of who has it."""
        connection = self._send(key, {"x-hold": "yes"})
        try:
            answer = connection.getresponse()  # its head comes at once, its end when the connection does
            yield answer.headers["x-server"]
        finally:
            connection.close()

    def command(self, line: str) -> str:
        """Tell the proxy something over its admin socket, and return what it says."""
        with socket(AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(str(self.admin))
            connection.sendall(f"{line}\n".encode())
            connection.shutdown(SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def wait_until_under_way(self, count: int) -> None:
        """Return once the servers have that many requests, by the proxy's own count."""
        wait_until(lambda: self._requests_under_way() == count)

    def _requests_under_way(self) -> int:
        rows = [row.split(",") for row in self.command("show stat").splitlines()]
        names = [name.lstrip("# ") for name in rows[0]]
        total = next(row for row in rows if row[:2] == ["servers", "BACKEND"])
        return int(total[names.index("scur")])

    def _send(self, key: str, headers: dict[str, str]) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_SECONDS)
        connection.request("GET", "/", headers={"x-key": key, **headers})
        return connection


@contextmanager
def running_haproxy(folder: Path, servers: Sequence[Server], *, balance_factor: int = 0) -> Iterator[Proxy]:
    """Run a proxy that hashes the header ``x-key`` over servers with these ids and weights."""
    program = find_program("haproxy")
    assert program is not None, "to be skipped by ``needs_haproxy``"
    proxy = Proxy(port=free_port(), admin=folder / "admin.sock")
    with ExitStack() as stack:
        ports = [stack.enter_context(_running_server(server.name, proxy.ending)) for server in servers]
        stack.callback(proxy.ending.set)
        configuration = folder / "haproxy.cfg"
        configuration.write_text(_configuration(proxy, servers, ports, balance_factor))
        process = subprocess.Popen([str(program), "-db", "-q", "-f", str(configuration)])
        try:
            wait_until(lambda: process.poll() is not None or _listens(proxy.port))
            assert process.poll() is None, "the proxy has ended"
            yield proxy
        finally:
            process.terminate()
            process.wait(_PATIENCE_SECONDS)


def _configuration(proxy: Proxy, servers: Sequence[Server], ports: Sequence[int], balance_factor: int) -> str:
    lines = [
        "global",
        f"  stats socket {proxy.admin} mode 600 level admin",
        "  nbthread 1",
        "defaults",
        "  mode http",
        "  option http-no-delay",  # a head whose body is waited for would lie in the kernel for 200 ms
        "  timeout connect 5s",
        "  timeout client 300s",
        "  timeout server 300s",
        "frontend entrance",
        f"  bind 127.0.0.1:{proxy.port}",
        "  default_backend servers",
        "backend servers",
        "  balance hash req.hdr(x-key)",
        f"  hash-type {HASH_TYPE}",
        *([f"  hash-balance-factor {balance_factor}"] if balance_factor else []),
    ]
    for server, port in zip(servers, ports, strict=True):
        lines.append(f"  server {server.name} 127.0.0.1:{port} id {server.id} weight {server.weight}")
    return "\n".join([*lines, ""])


def _listens(port: int) -> bool:
    with socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Handler(BaseHTTPRequestHandler):
    name: str
    ending: threading.Event

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
def _running_server(name: str, ending: threading.Event) -> Iterator[int]:
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"name": name, "ending": ending}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
