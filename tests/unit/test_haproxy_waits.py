"""HAProxy, as it is printed but for shorter times, in front of servers that are slow, or end without an answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.deployment.deployed import Deployment, Server
from gateway.deployment.haproxy import print_haproxy
from tests.support.gateway_process import free_port
from tests.support.proxies import find_program, needs_haproxy, running_proxy

pytestmark = needs_haproxy

SHORT, LONG = "1s", "30s"
OF_SERVERS = 1.5
"""Seconds after which a slow server answers: longer than the short time, shorter than the long one."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Two servers that are always ready."""

    ports: tuple[int, ...]
    taken: list[str] = field(default_factory=list)
    """The path of each request that reached one, in order."""


def handler(taken: list[str], over: threading.Event) -> type[BaseHTTPRequestHandler]:
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
            over.wait(OF_SERVERS)
            self._answer()

        def _answer(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def servers() -> Iterator[Servers]:
    taken: list[str] = []
    over = threading.Event()
    running = [ThreadingHTTPServer(("127.0.0.1", 0), handler(taken, over)) for _ in range(2)]
    threads = [threading.Thread(target=each.serve_forever, args=(0.05,)) for each in running]
    for thread in threads:
        thread.start()
    yield Servers(tuple(each.server_address[1] for each in running), taken)
    over.set()
    for server, thread in zip(running, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def proxied(servers: Servers, folder: Path, *, replays: bool = False) -> Iterator[httpx.Client]:
    gateways = tuple(
        Server(id=number, name=f"gateway{number}", host="127.0.0.1", port=port)
        for number, port in enumerate(servers.ports, 1)
    )
    deployment = Deployment(gateways=gateways, host="127.0.0.1", port=free_port(), replays=replays)
    text = print_haproxy(deployment)
    for printed, here in (
        ("timeout client 35s", SHORT),
        ("timeout server 35s", SHORT),
        ("set-timeout server 300s", LONG),
    ):
        assert printed in text
        text = text.replace(printed, f"{printed.rsplit(maxsplit=1)[0]} {here}")
    path = folder / "haproxy.cfg"
    path.write_text(text)
    command = (str(find_program("haproxy")), "-db", "-f", str(path))
    with (
        running_proxy(deployment, folder / "haproxy.log", *command) as proxy,
        httpx.Client(base_url=proxy.url, timeout=60, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/iris/predict", 504),
        ("/registry/models/iris/versions", 200),
        ("/console/models/iris/promote", 200),
        ("/v2/repository/models/iris/load", 200),
    ],
)
def test_only_what_may_change_something_is_waited_for_longer(
    servers: Servers, tmp_path: Path, path: str, status: int
) -> None:
    with proxied(servers, tmp_path) as client:
        assert client.post(path, content=b"{}").status_code == status


@pytest.mark.parametrize(
    ("path", "times"),
    [
        ("/models/iris/predict?end", 4),
        ("/registry/models/iris/aliases/production/rollback?end", 1),
        ("/%72egistry/models/iris/aliases/production/rollback?end", 1),
        ("/v2/repository/models/iris/load?end", 1),
    ],
)
def test_only_predictions_are_sent_again_after_an_end_without_an_answer(
    servers: Servers, tmp_path: Path, path: str, times: int
) -> None:
    with proxied(servers, tmp_path, replays=True) as client:
        client.post(path, content=b"{}")

    assert servers.taken == [path] * times
