"""Starting a server on one core, waiting for it, reading its CPU time, stopping it."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
START_SECONDS = 60
STOP_SECONDS = 40

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


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
    ) -> None:
        self.port = port
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
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(0.05)
        self.stop()
        raise ServerFailedError(f"not ready\n{self._last_words()}")

    def stop(self) -> None:
        """End it with SIGTERM, as an operator would; one that does not end is killed, and that is a failure."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ServerFailedError(f"did not end within {STOP_SECONDS} seconds\n{self._last_words()}") from None

    def cpu_seconds(self) -> float:
        """User and system time that the process and all its living descendants have taken."""
        return sum(_cpu_ticks(pid) for pid in _tree(self._process.pid)) / _TICKS_PER_SECOND

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", self._ready_path)
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Wait until the server is ready, and stop it whatever happens in the block."""
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _cpu_ticks(pid: int) -> int:
    # The name in parentheses may hold spaces; utime and stime are the 14th and 15th field of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
