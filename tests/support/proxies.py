"""Proxies on this machine: where their programs are, a mark that skips tests where they are not, and ones that run."""

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX, SHUT_WR, socket

import pytest

from gateway.deployment.haproxy import LIVE
from tests.support.gateway_process import wait_until

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts servers, which the search path of a user that is not root does not name."""

_SERVED = re.compile(r" (?P<backend>\w+)/(?P<server>\S+) [0-9/+-]+ (?P<status>-?\d+) .*\"(?P<request>[^\"]*)\"$")
_PATIENCE_SECONDS = 30.0


def find_program(name: str) -> Path | None:
    """Return where a program is, None if it is nowhere: on the search path, or where servers are installed."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SYSTEM_FOLDERS))
    return Path(found) if found is not None else None


def needs_program(name: str, package: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test, with a word, where a program is not installed."""
    return pytest.mark.skipif(find_program(name) is None, reason=f"{name} (Debian: {package}) is not installed")


needs_haproxy = needs_program("haproxy", "haproxy")


@dataclass(frozen=True, slots=True)
class Served:
    """A line of HAProxy's log: who answered which request."""

    server: str
    status: int
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy that runs; what it logs is read as HAProxy's."""

    port: int
    log_path: Path
    grpc_port: int | None = None

    @property
    def url(self) -> str:
        """Where it takes HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def served(self) -> list[Served]:
        """Return what it has logged of answers so far."""
        lines = self.log_path.read_text().splitlines()
        return [Served(m["server"], int(m["status"]), m["request"]) for line in lines if (m := _SERVED.search(line))]

    def server_of(self, mark: str) -> str:
        """Return which server answered the one request in whose first line there is this."""

        def found() -> list[Served]:
            return [each for each in self.served() if mark in each.request]

        wait_until(lambda: bool(found()))
        (only,) = found()
        return only.server

    def says(self, words: str) -> bool:
        """Return whether it has logged these words."""
        return words in self.log_path.read_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class HAProxy(Proxy):
    """One that can be told something, too."""

    admin: Path

    def tell(self, line: str) -> str:
        """Tell it something, and return what it says."""
        with socket(AF_UNIX) as connection:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(str(self.admin))
            connection.sendall(f"{line}\n".encode())
            connection.shutdown(SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def requests_under_way(self, backend: str) -> int:
        """Return how many requests the servers of a backend have, by the proxy's own count."""
        rows = [row.split(",") for row in self.tell("show stat").splitlines()]
        names = [name.lstrip("# ") for name in rows[0]]
        total = next(row for row in rows if row[:2] == [backend, "BACKEND"])
        return int(total[names.index("scur")])


@contextmanager
def running_haproxy(
    text: str,
    folder: Path,
    *,
    port: int,
    grpc_port: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[HAProxy]:
    """Run HAProxy with a configuration that has it listen at these ports, as ``running_proxy`` does.

    Beside the configuration it has a socket at which it can be told something.
    """
    configuration, beside, admin = folder / "haproxy.cfg", folder / "admin.cfg", folder / "admin.sock"
    configuration.write_text(text)
    beside.write_text(f"global\n  stats socket {admin} mode 600 level admin\n")
    command = (str(find_program("haproxy")), "-db", "-f", str(configuration), "-f", str(beside))
    with running_proxy(folder / "haproxy.log", *command, port=port, environment=environment) as proxy:
        yield HAProxy(port=port, grpc_port=grpc_port, log_path=proxy.log_path, admin=admin)


@contextmanager
def running_proxy(
    log_path: Path,
    *command: str,
    port: int,
    grpc_port: int | None = None,
    live: str = LIVE,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Proxy]:
    """Run a proxy until the end of the block, which begins when it answers at the path ``live``."""
    proxy = Proxy(port=port, grpc_port=grpc_port, log_path=log_path)
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or status_of(proxy.url + live) == 200)
        assert process.poll() is None, log_path.read_text()
        yield proxy
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        finally:
            process.kill()


def status_of(url: str) -> int | None:
    """Return the status of an answer; None while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own loopback URL
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
