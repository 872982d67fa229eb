"""The supervisor: one listening socket, N workers, and nothing else that could fail.

1. The supervisor opens the socket before any worker exists, so that a busy port is named at once, and keeps it open, so
   that the queued connections of a dead worker go to the next one.
2. The embedded database is created and upgraded once, by a child; workers start meanwhile and are ready afterwards.
   A failure is tried again, ever more slowly: a disk that comes back needs nobody to restart the gateway.
3. A worker that dies is replaced at once; one that dies young after a second. Workers are forks of a program that has
   made their imports (``gateway.worker_forks``), and one stands by (``gateway.standby``).
4. A worker that rings the bell for it is replaced while it serves (``gateway.replacement``).
5. What the workers count lies in memory that the supervisor made: it outlives them, and each sees the others'. Their
   deaths it counts itself (``gateway.worker_deaths``).
6. Which versions a worker was running when it died is read from its ledger, and who is accused of the death is written
   down for the others (``gateway.evidence``). One that has died of a model is no reason to wait before the next begins.
7. SIGTERM and SIGINT end the workers, which finish what they have begun; whoever has not after the drain is killed.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from gateway.bell import ENDED, READY, REPLACE_ME, Bell, ring
from gateway.company import Company
from gateway.evidence import Accusation, Evidence, judge
from gateway.host import become_owner
from gateway.ledger import Ledger
from gateway.replacement import Replacement, Worker
from gateway.settings import Settings, child_environment, unknown_variables
from gateway.shared_counts import Board
from gateway.standby import Standby
from gateway.telemetry import configure_logs
from gateway.traces import can_trace
from gateway.worker_deaths import WorkerDeaths, cause_of
from gateway.worker_forks import Process, WorkerForks
from registry.standing import HANG

_BACKLOG = 2048
_PLACES_BESIDE = 2
"""Besides those of the workers: a successor's, and that of the one that stands by."""
_YOUNG_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
_DRAIN_SECONDS = 35.0
_TICK_SECONDS = 0.1
_LONGEST_UPGRADE_PAUSE_SECONDS = 30.0
_DAMAGED = frozenset({-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL})
"""How a process ends whose memory a model may have read or written where it should not."""


def serve(settings: Settings, *, announce: Callable[[str], None] = lambda _: None) -> int:
    """Run the gateway until it is told to stop, and return the exit code of the command.

    Args:
        settings: of the gateway; as root, it becomes the owner of their data folder, once it listens.
        announce: gets the address once the socket is open: the kernel may have chosen the port.
    """
    configure_logs(settings.log_level)
    if settings.traces and not can_trace():
        sys.stderr.write("SARDONYX_TRACES needs an extra: pip install 'sardonyx[traces]'\n")
        return 2
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        sys.stderr.write(
            f"Cannot listen at {settings.host}:{settings.port}: {error.strerror or error}. "
            "Choose another port with --port or SARDONYX_PORT.\n"
        )
        return 1
    reserved = _reserve(settings)
    if reserved is None:
        listener.close()
        return 2
    for name in unknown_variables():
        structlog.get_logger().warning("unknown_setting", name=name)
    become_owner(settings.data_dir)
    with listener, reserved:
        announce(_address(listener))
        return Supervisor(settings, listener).run()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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


def _reserve(settings: Settings) -> socket.socket | None:
    """Return a socket that keeps the gRPC port for our workers alone; None, and a word, if somebody has it.

    Workers listen there each with a socket of their own, which is allowed to whoever says so of sockets on one port: a
    second gateway of the same user could join them. Ours says so only once it has the port.
    """
    reserved = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET, socket.SOCK_STREAM)
    if not settings.grpc_port:
        return reserved
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((settings.host.strip("[]"), settings.grpc_port))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        reserved.close()
        sys.stderr.write(
            f"Cannot serve gRPC at {settings.host}:{settings.grpc_port}: {error.strerror or error}. "
            "Choose another port with --grpc-port or SARDONYX_GRPC_PORT.\n"
        )
        return None
    return reserved


class Supervisor:
    """Keeps the workers of one host alive."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._is_stopping = False
        self._is_beginning = True
        """Until a worker has served, or has died: what it loads ahead may be what it has died of."""
        self._workers: list[Worker] = []
        self._replacement = Replacement()
        self._bell = Bell.create()
        self._due = [time.monotonic()] * settings.workers
        """When each of the workers that are missing is to be started."""
        self._boards = [Board.create() for _ in range(settings.workers + _PLACES_BESIDE)]
        self._ledgers = [Ledger.create() for _ in self._boards]
        self._deaths = WorkerDeaths()
        self._evidence = Evidence.create()
        self._heard_up_to = 0
        self._forks = WorkerForks(self._start_forerunner)
        self._standby = Standby(self._forks, len(self._boards))
        self._upgrade: subprocess.Popen[bytes] | None = None
        self._upgrade_at: float | None = time.monotonic() if settings.has_embedded_database else None
        self._upgrade_pause_seconds = _PAUSE_SECONDS

    def run(self) -> int:
        """Supervise until a signal comes, drain, and return 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, self._notice)
        address = _address(self._listener)
        structlog.get_logger().info("listening", address=address, workers=self._settings.workers, pid=os.getpid())
        while not self._is_stopping:
            self._attend()
            self._bell.wait(_TICK_SECONDS)
        self._drain()
        return 0

    def _stop(self, _number: int, _frame: object) -> None:
        self._is_stopping = True

    def _notice(self, _number: int, _frame: object) -> None:
        ring(self._bell.ringing, ENDED)

    def _attend(self) -> None:
        """Start what is due and take note of what has ended."""
        now = time.monotonic()
        self._attend_upgrade(now)
        self._attend_bell(now)
        self._forks.attend(now)
        self._replacement.attend(now)
        for worker in list(self._workers):
            exit_code = worker.process.poll()
            if exit_code is not None:
                self._note_end(worker, exit_code, now)
        for due in [due for due in self._due if due <= now]:
            if self._begin_worker(now) is not None:
                self._due.remove(due)
        is_anyone_missing = bool(self._due) or not all(worker.is_ready for worker in self._workers)
        self._standby.attend(self._taken(), now, is_anyone_missing=is_anyone_missing)

    def _taken(self) -> list[int]:
        return [worker.place for worker in self._workers]

    def _begin_worker(self, now: float) -> Worker | None:
        worker = self._standby.take(self._taken(), now, self._company())
        if worker is not None:
            self._workers.append(worker)
        return worker

    def _company(self) -> Company:
        if any(worker.is_ready for worker in self._workers):
            return Company.SIBLINGS
        return Company.FLEET if self._is_beginning else Company.NOBODY

    def _note_end(self, worker: Worker, exit_code: int, now: float) -> None:
        self._workers.remove(worker)
        self._is_beginning = False
        self._boards[worker.place].end_states()
        accusations = self._accuse(worker, exit_code)
        if exit_code in _DAMAGED:
            self._forks.renew()
        is_missed = not self._replacement.has_ended(worker, now)
        if is_missed or exit_code != 0:  # one that has been replaced ends with 0
            is_hang = any(accusation.cause == HANG for accusation in accusations)
            self._deaths.add(cause_of(exit_code, is_hang=is_hang))
        if is_missed:
            self._note_death(worker, now, is_by_a_model=bool(accusations))

    def _accuse(self, worker: Worker, exit_code: int) -> list[Accusation]:
        """Find out which version a worker has died of, have the others know, and return who is accused."""
        ledger, pid = self._ledgers[worker.place], worker.process.pid
        words, self._heard_up_to = self._evidence.words_since(self._heard_up_to)
        accused, _ = self._evidence.accused_since(0)
        by_itself = [accusation for accusation in accused if accusation.pid == pid and accusation.cause == HANG]
        accusations = by_itself or judge(ledger, pid, exit_code, words)
        if accusations and not by_itself:
            self._evidence.accuse(accusations)
        ledger.clear()
        for accusation in accusations:
            structlog.get_logger().error(
                "model_crashed",
                pid=pid,
                model=accusation.model,
                version=accusation.version,
                stage=accusation.stage,
                cause=accusation.cause,
                certain=accusation.is_certain,
            )
        return accusations

    def _note_death(self, worker: Worker, now: float, *, is_by_a_model: bool) -> None:
        lived = now - worker.started
        structlog.get_logger().error(
            "worker_died", pid=worker.process.pid, exit_code=worker.process.returncode, seconds=round(lived, 1)
        )
        self._due.append(now if is_by_a_model or lived > _YOUNG_SECONDS else now + _PAUSE_SECONDS)

    def _attend_bell(self, now: float) -> None:
        workers = {worker.process.pid: worker for worker in self._workers}
        for word, pid in self._bell.heard():
            worker = workers.get(pid)
            if worker is not None and word == READY:
                worker.is_ready = True
                self._is_beginning = False
            elif worker is not None and word == REPLACE_ME and self._replacement.may_begin(now):
                self._replace(worker, now)

    def _replace(self, worker: Worker, now: float) -> None:
        successor = self._begin_worker(now)
        if successor is not None:
            self._replacement.begin(worker, successor, now)

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
            # What it says goes into the log, in the log's own form.
            said = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
            self._upgrade = self._spawn(["-m", "gateway.cli", "db", "upgrade", "--json"], **said)
            self._upgrade_at = None if self._upgrade is not None else now + self._upgrade_pause_seconds

    def _start_forerunner(self, orders: int, more: Sequence[str]) -> subprocess.Popen[bytes] | None:
        descriptor = self._listener.fileno()
        boards = [*self._boards, self._deaths.board]  # the last is no worker's
        told = ["--orders", str(orders), "--socket", str(descriptor), "--supervisor", str(os.getpid())]
        told += ["--bell", str(self._bell.ringing)]
        told += ["--boards", ",".join(f"{board.keys}:{board.numbers}" for board in boards)]
        told += ["--ledgers", ",".join(f"{ledger.marks}:{ledger.names}" for ledger in self._ledgers)]
        told += ["--evidence", ":".join(map(str, self._evidence.descriptors))]
        shared = [number for board in boards for number in board.descriptors]
        shared += [number for ledger in self._ledgers for number in ledger.descriptors]
        shared += self._evidence.descriptors
        return self._spawn(
            ["-m", "gateway.forerunner", *more, *told], pass_fds=(orders, descriptor, self._bell.ringing, *shared)
        )

    def _spawn(self, arguments: list[str], **options: Any) -> subprocess.Popen[bytes] | None:
        """Start a child of ours; None where the system has no process, memory or descriptor for it at the moment."""
        try:
            return subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, *arguments],
                env=child_environment(self._settings),
                stdin=subprocess.DEVNULL,
                # A Ctrl-C in the terminal goes to the supervisor alone, which ends the workers in its own order.
                start_new_session=True,
                **options,
            )
        except OSError as error:
            structlog.get_logger().error("not_started", child=arguments[1], detail=error.strerror or str(error))
            return None

    def _drain(self) -> None:
        # Once the workers close theirs, nobody is let in who would only be forgotten in the socket's queue.
        self._listener.close()
        structlog.get_logger().info("draining", workers=len(self._workers))
        processes: list[Process] = [worker.process for worker in self._workers]
        if self._upgrade is not None:
            processes.append(self._upgrade)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        self._standby.close()
        self._forks.close()
        until = time.monotonic() + self._settings.drain_seconds + _DRAIN_SECONDS
        for process in processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        structlog.get_logger().info("stopped")
