"""Starting a server on one core, waiting for it, reading its CPU time, stopping it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Address, Descendants, cpu_seconds, open_addresses

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".bench"
"""What the benchmarks make for themselves: environments, models, unfinished runs. Git ignores it."""
HOST = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 40
QUIET_SECONDS = 20
QUIET_SHARE = 0.3
"""Some servers never rest: LitServe and Ray keep a tenth to a fifth of a core busy without a request."""


class ServerFailedError(Exception):
    """A server did not start, or did not end as it should; the message holds the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Whatever is started in the block runs on that core only."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A server in a process of its own, which may start others."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        ready_path: str,
        log: Path,
        core: int | None = None,
        settings: Mapping[str, str] | None = None,
        start_seconds: float = START_SECONDS,
        host: str = HOST,
    ) -> None:
        self.host, self.port = host, port
        self._start_seconds = start_seconds
        self._ready_path = ready_path
        self._log = log
        environment = {**os.environ, **(settings or {})}  # noqa: TID251  what the children get beside their settings
        with log.open("ab") as output, pinned(core):
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, env=environment
            )

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(0.05)
        self.stop()
        raise ServerFailedError(f"not ready\n{self._last_words()}")

    def wait_until_quiet(self) -> None:
        """Let it finish what it does after its start, within reason."""
        deadline = time.monotonic() + QUIET_SECONDS
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = self.cpu_seconds()
            if now - before < QUIET_SHARE * 0.5:
                return
            before = now

    def stop(self) -> None:
        """End it with SIGTERM, as an operator would; one that does not end is killed, and that is a failure."""
        if self._process.poll() is not None:
            return
        descendants = Descendants(self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ServerFailedError(f"did not end within {STOP_SECONDS} seconds\n{self._last_words()}") from None
        finally:
            descendants.kill()

    def cpu_seconds(self) -> float:
        """User and system time that the process and all its living descendants have taken."""
        return cpu_seconds(self._process.pid)

    def open_addresses(self) -> set[Address]:
        """Return the addresses other than loopback on which it listens."""
        return open_addresses(self._process.pid)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", self._ready_path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


def end_tidily() -> None:
    """Have SIGTERM unwind this program, so that it ends its servers before it goes."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Wait until the server is ready, and stop it whatever happens in the block."""
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
