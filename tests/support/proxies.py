"""Proxies on this machine: where their programs are, a mark that skips tests where they are not, and one that runs."""

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.deployment.deployed import Deployment
from gateway.deployment.haproxy import LIVE, print_haproxy
from tests.support.gateway_process import wait_until

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts servers, which the search path of a user that is not root does not name."""

_SERVED = re.compile(r" (?P<backend>\w+)/(?P<server>\S+) [0-9/+-]+ (?P<status>-?\d+) .*\"(?P<request>[^\"]*)\"$")


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
    """A proxy that runs as printed; what it logs is read as HAProxy's."""

    deployment: Deployment
    log_path: Path

    @property
    def url(self) -> str:
        """Where it takes HTTP."""
        return f"http://{self.deployment.host}:{self.deployment.port}"

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


@contextmanager
def running_haproxy(deployment: Deployment, folder: Path) -> Iterator[Proxy]:
    """Run HAProxy with what is printed for a deployment, and end it at the end."""
    path = folder / "haproxy.cfg"
    path.write_text(print_haproxy(deployment))
    with running_proxy(
        deployment, folder / "haproxy.log", str(find_program("haproxy")), "-db", "-f", str(path)
    ) as proxy:
        yield proxy


@contextmanager
def running_proxy(deployment: Deployment, log_path: Path, *command: str, live: str = LIVE) -> Iterator[Proxy]:
    """Run a proxy until the end of the block, which begins when it answers at the path ``live``."""
    proxy = Proxy(deployment=deployment, log_path=log_path)
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or _answers(proxy.url + live))
        assert process.poll() is None, log_path.read_text()
        yield proxy
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback URL
            return bool(answer.status == 200)
    except OSError:
        return False
