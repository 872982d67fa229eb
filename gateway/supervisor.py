"""The supervisor: one listening socket, N workers, and nothing else that could fail.

1. The supervisor opens the socket before any worker exists, so that a busy port is named at once, and keeps it open, so
   that the queued connections of a dead worker go to the next one.
2. The embedded database is created and upgraded once, by a child; workers start meanwhile and are ready afterwards.
   A failure is tried again, ever more slowly: a disk that comes back needs nobody to restart the gateway.
3. A worker that dies is replaced at once; one that dies young, after a second.
4. SIGTERM and SIGINT end the workers, which finish what they have begun; whoever has not after the drain is killed.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

import structlog

from gateway.settings import Settings, child_environment, unknown_variables
from gateway.telemetry import configure_logs

_BACKLOG = 2048
_YOUNG_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
_DRAIN_SECONDS = 35.0
_TICK_SECONDS = 0.1
_LONGEST_UPGRADE_PAUSE_SECONDS = 30.0


def serve(settings: Settings) -> int:
    """Run the gateway until it is told to stop, and return the exit code of the command."""
    configure_logs(settings.log_level)
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        sys.stderr.write(
            f"Cannot listen at {settings.host}:{settings.port}: {error.strerror or error}. "
            "Choose another port with --port or SARDONYX_PORT.\n"
        )
        return 1
    for name in unknown_variables():
        structlog.get_logger().warning("unknown_setting", name=name)
    with listener:
        return Supervisor(settings, listener).run()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


@dataclass(slots=True)
class _Worker:
    """A child that serves."""

    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)


class Supervisor:
    """Keeps the workers of one host alive."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._is_stopping = False
        self._workers: list[_Worker] = []
        self._starts_at: list[float] = []
        self._upgrade: subprocess.Popen[bytes] | None = None
        self._upgrade_at: float | None = time.monotonic() if settings.has_embedded_database else None
        self._upgrade_pause_seconds = _PAUSE_SECONDS

    def run(self) -> int:
        """Supervise until a signal comes, drain, and return 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        host, port = self._listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        structlog.get_logger().info("listening", address=address, workers=self._settings.workers, pid=os.getpid())
        self._starts_at = [time.monotonic()] * self._settings.workers
        while not self._is_stopping:
            self._attend()
            time.sleep(_TICK_SECONDS)
        self._drain()
        return 0

    def _stop(self, _number: int, _frame: object) -> None:
        self._is_stopping = True

    def _attend(self) -> None:
        """Start what is due and take note of what has ended."""
        now = time.monotonic()
        self._attend_upgrade(now)
        for worker in list(self._workers):
            if worker.process.poll() is not None:
                self._workers.remove(worker)
                lived = now - worker.started
                structlog.get_logger().error(
                    "worker_died", pid=worker.process.pid, exit_code=worker.process.returncode, seconds=round(lived, 1)
                )
                self._starts_at.append(now if lived > _YOUNG_SECONDS else now + _PAUSE_SECONDS)
        for due in [at for at in self._starts_at if at <= now]:
            self._starts_at.remove(due)
            self._workers.append(_Worker(self._start()))

    def _attend_upgrade(self, now: float) -> None:
        if self._upgrade is not None and self._upgrade.poll() is not None:
            words = self._upgrade.communicate()[1].decode(errors="replace").strip()
            if self._upgrade.returncode == 0:
                structlog.get_logger().info("upgraded", detail=words)
            else:
                structlog.get_logger().error("upgrade_failed", exit_code=self._upgrade.returncode, detail=words)
                self._upgrade_at = now + self._upgrade_pause_seconds
                self._upgrade_pause_seconds = min(self._upgrade_pause_seconds * 2, _LONGEST_UPGRADE_PAUSE_SECONDS)
            self._upgrade = None
        if self._upgrade is None and self._upgrade_at is not None and self._upgrade_at <= now:
            self._upgrade_at = None
            command = [sys.executable, "-m", "gateway.cli", "db", "upgrade", "--json"]
            self._upgrade = subprocess.Popen(  # noqa: S603 - our own module
                command,
                env=child_environment(self._settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # What it says goes into the log, in the log's own form.
                stderr=subprocess.PIPE,
                start_new_session=True,
            )

    def _start(self) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        command = [sys.executable, "-m", "gateway.worker", "--socket", str(descriptor)]
        return subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--supervisor", str(os.getpid())],
            env=child_environment(self._settings),
            stdin=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            # A Ctrl-C in the terminal goes to the supervisor alone, which ends the workers in its own order.
            start_new_session=True,
        )

    def _drain(self) -> None:
        structlog.get_logger().info("draining", workers=len(self._workers))
        processes = [worker.process for worker in self._workers]
        if self._upgrade is not None:
            processes.append(self._upgrade)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + _DRAIN_SECONDS
        for process in processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        structlog.get_logger().info("stopped")
