"""A real gateway: the console script, its supervisor, its worker, a port of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from tests.support.backend import IS_PRODUCTION

SARDONYX = str(Path(sys.executable).with_name("sardonyx"))

_START_SECONDS = 60.0
STOP_SECONDS = 60.0
_MOST_LOOKS = 20
"""For a gateway to end: it may wait for what has begun, and kill it after 35 seconds."""
_FIRST_FIXED, _FIXED = 20_000, 12_000
_STEP = 97
"""Between the ports of one run of tests and those of another one, so that they try different ones."""
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # noqa: TID251 - not a setting of ours
_SHARES = 1 + int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))  # noqa: TID251 - as above
"""Of the ports, one for each process of a run of tests, and one for those that come in place of others."""
_NUMBERS = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayProcess:
    """A gateway that runs."""

    url: str
    data_dir: Path
    environment: dict[str, str]
    """What a command needs to work on the same data."""
    process: "subprocess.Popen[bytes]"
    log_path: Path

    def client(self, **options: Any) -> httpx.Client:
        """Return somebody else's HTTP client for this gateway."""
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def log_lines(self) -> list[dict[str, Any]]:
        """Return what has been logged so far, each line read as the JSON that it must be."""
        return [json.loads(line) for line in self.log_path.read_text().rpartition("\n")[0].split("\n") if line]

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return children_of(self.process.pid, "gateway.worker")

    def stop(self) -> int:
        """Ask it to end, wait until it has, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running_gateway(data_dir: Path, **variables: str) -> Iterator[GatewayProcess]:
    """Start a gateway on ``data_dir``, wait until it answers and has all its workers, and end it at the end."""
    with started_gateway(data_dir, **variables) as gateway:
        wait_until_ready(gateway)
        wait_until(lambda: len(gateway.workers()) == int(variables.get("workers", "1")))
        yield gateway


@contextmanager
def started_gateway(data_dir: Path, **variables: str) -> Iterator[GatewayProcess]:
    """Start a gateway without waiting for it."""
    port = fixed_port()
    environment = clean_environment() | {
        "SARDONYX_DATA_DIR": str(data_dir),
        "SARDONYX_PORT": str(port),
        **backend_environment(data_dir, variables),
        **{f"SARDONYX_{name.upper()}": value for name, value in variables.items()},
    }
    log_path = data_dir.parent / f"{data_dir.name}.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [SARDONYX, "serve"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    gateway = GatewayProcess(
        url=f"http://127.0.0.1:{port}",
        data_dir=data_dir,
        environment=environment,
        process=process,
        log_path=log_path,
    )
    try:
        yield gateway
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
            finally:
                process.kill()
                process.wait()


def wait_until_ready(gateway: GatewayProcess) -> None:
    """Return once ``/health/ready`` says 200."""
    wait_for_status(gateway, "/health/ready", 200)


def wait_for_status(gateway: GatewayProcess, path: str, status: int) -> bytes:
    """Return the body of the first answer that has this status."""
    until = time.monotonic() + _START_SECONDS
    last: object = None
    while time.monotonic() < until:
        if gateway.process.poll() is not None:
            raise AssertionError(f"the gateway ended: {gateway.log_path.read_text()[-4000:]}")
        try:
            last = _fetch(gateway.url + path)
            if last[0] == status:
                return last[1]
        except OSError as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"{path} never answered {status}: {last!r}; {gateway.log_path.read_text()[-4000:]}")


def _fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback URL
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def backend_environment(data_dir: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of what the tests run on, without what a test has chosen; none for the embedded parts."""
    if not IS_PRODUCTION:
        return {}
    from tests.support.production import database_environment, store_environment

    database = {} if "database_url" in chosen else database_environment(data_dir)
    return database | ({} if "store" in chosen else store_environment(data_dir))


def clean_environment() -> dict[str, str]:
    """Return this process's environment without any setting of ours or a proxy."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a child gets our environment
        if not name.startswith("SARDONYX_") and not name.lower().endswith("_proxy")
    }


def fixed_port() -> int:
    """Return a port that nobody listens on, for a server that binds it later.

    No connection is given it meanwhile: it lies below those that the kernel gives to who connects. Nor does another
    process of the same run of tests return it: each has a share of its own.
    """
    size = _FIXED // _SHARES
    first = _FIRST_FIXED + _WORKER % _SHARES * size
    for number in _NUMBERS:
        port = first + (os.getpid() * _STEP + number) % size
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


def children_of(pid: int, word: str) -> list[int]:
    """Return the process ids of a process's children, of all its threads, whose command line has this word."""
    before, children = None, _children(pid)
    for _ in range(_MOST_LOOKS):  # the kernel leaves some out while others end
        if children == before:
            break
        before, children = children, _children(pid)
    return [child for child in children if word.encode() in command_of(child).split(b"\0")]


def _children(pid: int) -> list[int]:
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            children += [int(child) for child in (task / "children").read_text().split()]
    return children


def command_of(pid: int) -> bytes:
    """Return a process's command line, each word with a zero byte after it; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def wait_until(holds: Callable[[], bool]) -> None:
    """Return once a condition holds, looking again and again; fail if it never does."""
    until = time.monotonic() + _START_SECONDS
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)
