"""Workers as forks of a forerunner, as the supervisor sees them (``gateway.forerunner`` is the other side).

1. The forerunner makes the imports, which take seconds, once; a worker is there in a fraction of one. Without that a
   machine whose workers have all just died of models would answer nobody until the imports have been made again.
2. A fork is a child of the supervisor, which waits for it, kills it, and learns how it ended. It says its process id on
   a socket of its own, and begins when it is told to: one that nobody has heard of ends with that socket. It makes
   itself ready then, and serves when it is told that (``gateway.standby``).
3. The forerunner of a worker whose memory may have been read or written by strangers is replaced: the workers after it
   lie elsewhere in memory. The old one serves until the new one can.
4. A forerunner that ends is started again, and one that is silent when it is asked for a fork is ended; one that ended
   before it served, or takes minutes, is started again after a while. One that cannot be forked here becomes the worker
   itself; where the system has no room for a fork, it is tried again.
"""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Final, Protocol, TypeAlias

import structlog

from gateway.company import Company

NUMBER_BYTES: Final = 8
READY: Final = b"ready"
"""What a forerunner says when it can fork."""
GO: Final = b"go"
"""Tells a fork that it has been heard of, and may make itself ready."""
MADE: Final = b"md"
"""What a fork says when it has made itself ready."""
PATIENT: Final = "--patient"
"""Tells a forerunner that another one serves meanwhile."""

_AGAIN_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 5.0
_IMPORT_SECONDS: Final = 180.0
_END_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02


class Process(Protocol):
    """A child of this process, as ``subprocess`` describes one."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None while it has not been seen to end."""
        ...

    def poll(self) -> int | None:
        """Look whether it has ended, and return ``returncode``."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return ``returncode`` when it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        ...

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        ...

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        ...


class Fork:
    """A child that has been heard of, and waits for its word.

    Args:
        process: the child.
        place: the one it was made for.
        told: where it listens.
        layout: of whose memory it has a copy, as a number; None if it is a program of its own.
    """

    def __init__(self, process: Process, place: int, told: socket.socket, layout: int | None) -> None:
        self.process = process
        self.place = place
        self.layout = layout
        self._told = told
        self._is_made = False

    def is_made(self) -> bool:
        """Return whether it is ready to serve."""
        if not self._is_made and _is_readable(self._told, 0.0):
            with suppress(OSError):
                self._is_made = self._told.recv(len(MADE)) == MADE
        return self._is_made

    def serve(self, company: Company) -> None:
        """Have it serve, now or as soon as it is ready; one that has ended hears nothing."""
        with self._told, suppress(OSError):
            self._told.sendall(company.value)

    def end(self) -> None:
        """Kill it; it has begun nothing. One that the kernel keeps is left to it."""
        self._told.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)


Start: TypeAlias = Callable[[int, Sequence[str]], "subprocess.Popen[bytes] | None"]
"""Starts a forerunner that is told the descriptor of its orders, and more; None where the system has no room for it."""


class ForkedProcess:
    """A child that somebody else has forked for us."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Look whether it has ended, and return how."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended, when it has."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if until is not None and timeout is not None and time.monotonic() >= until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(_LOOK_SECONDS)
        assert self.returncode is not None  # noqa: S101 - the loop has ended
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class _Forerunner:
    """One that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
        self.process = process
        self._channel = channel
        self._give_up_at = time.monotonic() + _IMPORT_SECONDS
        self._is_silent = False
        self.is_ready = False

    def look(self, now: float) -> bool:
        """Take note of what it has said; return whether it is of use, or may be."""
        if not self.is_ready and _is_readable(self._channel, 0.0):
            self.is_ready = self._channel.recv(len(READY)) == READY
        return self.process.poll() is None and not self._is_silent and (self.is_ready or now < self._give_up_at)

    def fork(self, place: int, layout: int) -> Fork | None:
        """Have it fork a worker for a place; None if it does not."""
        with suppress(OSError), ExitStack() as opened:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            opened.enter_context(ours)
            with theirs:
                socket.send_fds(self._channel, [place.to_bytes(NUMBER_BYTES)], [theirs.fileno()])
            self._is_silent = not _is_readable(ours, _ANSWER_SECONDS)
            if not self._is_silent and (said := ours.recv(NUMBER_BYTES)):
                pid = int.from_bytes(said)
                ours.sendall(GO)
                opened.pop_all()
                is_itself = pid == self.process.pid
                process = self.process if is_itself else ForkedProcess(pid)
                return Fork(process, place, ours, None if is_itself else layout)
        return None

    def close(self) -> None:
        """Let it go; one that has become a worker goes on."""
        self._channel.close()

    def end(self) -> None:
        """Kill it, and wait for it."""
        self.close()
        self.process.kill()
        self.process.wait()


class WorkerForks:
    """Starts workers; belongs to one thread, which must be the process's first.

    Args:
        start: starts a forerunner.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._serving: _Forerunner | None = None
        self._next: _Forerunner | None = None
        self._starts_at = 0.0
        self._forks_at = 0.0
        self._is_unwanted = False
        self._layout = 0
        """How many forerunners have served: each lies elsewhere in memory."""

    def attend(self, now: float) -> None:
        """Start, replace and forget forerunners, as it is due; to be called again and again."""
        if self._serving is not None and not self._serving.look(now):
            self._lose(self._serving)
            self._serving = None
        if self._next is not None:
            if not self._next.look(now):
                self._lose(self._next)
                self._starts_at = now + _AGAIN_SECONDS
                self._next = None
            elif self._next.is_ready:
                if self._serving is not None:
                    self._serving.end()
                self._layout += 1
                self._serving, self._next, self._is_unwanted = self._next, None, False
        if (self._serving is None or self._is_unwanted) and self._next is None and now >= self._starts_at:
            self._next = self._another()
            self._starts_at = now + _AGAIN_SECONDS

    def fork(self, place: int) -> Fork | None:
        """Return a new worker for a place, which waits for its word; None if none can be had now."""
        now = time.monotonic()
        if self._serving is None or now < self._forks_at:
            return None
        worker = self._serving.fork(place, self._layout)
        if worker is None:
            structlog.get_logger().error("worker_not_forked", forerunner=self._serving.process.pid)
            self._forks_at = now + _AGAIN_SECONDS
        elif worker.process is self._serving.process:
            self._serving.close()
            self._serving = None
        return worker

    def is_current(self, fork: Fork) -> bool:
        """Return whether a worker that began now would lie in memory as this one does, or nobody else ever will."""
        return fork.layout in (None, self._layout)

    def renew(self) -> None:
        """Have another forerunner serve as soon as there is one (rule 3)."""
        self._is_unwanted = True

    def close(self) -> None:
        """End the forerunners; their forks live on."""
        for forerunner in (self._serving, self._next):
            if forerunner is not None:
                forerunner.end()
        self._serving = self._next = None

    def _another(self) -> _Forerunner | None:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            structlog.get_logger().error("not_started", child="gateway.forerunner", detail=error.strerror or str(error))
            return None
        with theirs:
            process = self._start(theirs.fileno(), () if self._serving is None else (PATIENT,))
        if process is None:
            ours.close()
            return None
        return _Forerunner(process, ours)

    def _lose(self, forerunner: _Forerunner) -> None:
        forerunner.end()
        structlog.get_logger().error(
            "forerunner_died", pid=forerunner.process.pid, exit_code=forerunner.process.returncode
        )


def _is_readable(channel: socket.socket, seconds: float) -> bool:
    listening = select.poll()
    listening.register(channel, select.POLLIN)
    return bool(listening.poll(seconds * 1000))
