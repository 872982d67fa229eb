"""Children that are forks of a forerunner, a program that has made the imports (``forerunner``).

1. One forerunner for a process, whoever inspects in it; started when it is first wanted, by a thread of its own. A
   child dies with the thread that its parent was when it was born, and forks are born to whoever started the
   forerunner: that thread must stay.
2. Where it does not serve, there is no fork and the caller starts a program for the child. If it has never served, it
   is not tried again for a while.
3. A forerunner one of whose forks has come to a bad end is ended, and the next one is another program, with everything
   elsewhere in memory: what a crash shows is of no use for the next attempt.
4. A fork says its process id before it does anything else. This process waits for it as for any child.
5. A process that has been forked itself has no part in its parent's forerunner.
"""

import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from registry.inspection.starting import ENVIRONMENT, Child, as_descriptor, two_pipes

_PATIENCE_SECONDS = 30.0
"""For a forerunner that makes its imports, on a machine that has other things to do."""
_ATTEMPTS = 3
"""A forerunner may have ended since, or end for somebody else's fork."""
_AGAIN_SECONDS = 60.0
_PID_BYTES = 8


class _Forerunner:
    """One that runs, or has run."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._lock = threading.Lock()
        self._has_ended = False
        self._is_unwanted = False
        self._has_served = False
        self._is_too_slow = False

    @property
    def serves(self) -> bool:
        """Whether it may be asked."""
        return not (self._has_ended or self._is_unwanted)

    @property
    def never_serves(self) -> bool:
        """Whether the next one would do no better: it ended by itself before it did anything, or is too slow."""
        return self._is_too_slow or not (self._has_served or self._is_unwanted)

    def fork(self, ordered: int, examples: int | None) -> Child | None:
        """Have it fork; None if it does not."""
        with two_pipes() as (report, reporting, last_words, saying):
            is_on_its_way = self._order([ordered, reporting, saying] + ([] if examples is None else [examples]))
        ends = Child(pid=0, report=report, last_words=last_words)
        pid = self._read_pid(report) if is_on_its_way else None
        if pid is None:
            ends.close()
            return None
        self._has_served = True
        return replace(ends, pid=pid)

    def end(self) -> None:
        """Kill it; its forks live on. The socket stays open until there is another one."""
        with self._lock:
            self._is_unwanted = True
            if not self._has_ended:
                os.kill(self._process.pid, signal.SIGKILL)  # whose own way to do it would wait for it, too

    def wait(self) -> None:
        """Return when it has ended; until then its process id is no stranger's."""
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._has_ended = True
            self._process.wait()

    def close(self) -> None:
        """Close the socket."""
        with self._lock:
            self._channel.close()

    def _order(self, descriptors: list[int]) -> bool:
        with self._lock:
            try:
                socket.send_fds(self._channel, [b"f"], descriptors, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError:
                return False
        return True

    def _read_pid(self, report: int) -> int | None:
        """Wait until the fork says who it is; None if there is none, when all who could write have gone."""
        listening = select.poll()
        listening.register(report, select.POLLIN)
        if not listening.poll(_PATIENCE_SECONDS * 1000):
            self._is_too_slow = True
            self.end()
            if not listening.poll(_PATIENCE_SECONDS * 1000):
                return None
        octets = os.read(report, _PID_BYTES)
        pid = int.from_bytes(octets, sys.byteorder)
        return pid if octets and _is_ours(pid) else None


_Wanted: TypeAlias = queue.SimpleQueue[queue.SimpleQueue[_Forerunner | None] | None]


class Forks:
    """The forks of one process's forerunner; safe to use from several threads.

    Args:
        idle_seconds: after which a forerunner ends that nobody wants anything of; it takes memory.
        is_patient: False for forks that answer requests, and do not stand back behind those that do.
    """

    def __init__(self, *, idle_seconds: float = 30.0, is_patient: bool = True) -> None:
        self._idle_seconds = idle_seconds
        self._is_patient = is_patient
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._owner_pid = os.getpid()
        self._forerunner: _Forerunner | None = None
        self._wanted: _Wanted | None = None
        self._not_before = 0.0

    def start(self, orders: Mapping[str, Any], examples: int | None) -> Child | None:
        """Start a child that is a fork; None where it must be a program of its own.

        Args:
            orders: for ``registry.inspection.__main__``, and the ``folder`` to do them in.
            examples: the descriptor of those that are run, if any.
        """
        with as_descriptor(json.dumps(orders)) as ordered:
            for _ in range(_ATTEMPTS):
                forerunner = self._current()
                if forerunner is None:
                    return None
                child = forerunner.fork(ordered, examples)
                if child is not None:
                    return child
                if forerunner.never_serves:
                    self._not_before = time.monotonic() + _AGAIN_SECONDS
                forerunner.end()
        return None

    def renew(self) -> None:
        """End the forerunner that there is (rule 3); the next fork is of another one."""
        with self._lock:
            if self._forerunner is not None and self._owner_pid == os.getpid():
                self._forerunner.end()

    def close(self) -> None:
        """End the forerunner that there is, and leave nothing behind; ``start`` begins anew."""
        with self._lock:
            if self._owner_pid == os.getpid() and self._wanted is not None:
                self._wanted.put(None)
                if self._forerunner is not None:
                    self._forerunner.end()
                    self._forerunner.close()
            self._forget()

    def _current(self) -> _Forerunner | None:
        with self._lock:
            if self._owner_pid != os.getpid():
                self._forget()
            if self._forerunner is not None and self._forerunner.serves:
                return self._forerunner
            if time.monotonic() < self._not_before:
                return None
            before, self._forerunner = self._forerunner, self._another()
            if before is not None:
                before.close()
            return self._forerunner

    def _another(self) -> _Forerunner | None:
        if self._wanted is None:
            wanted: _Wanted = queue.SimpleQueue()
            keeper = threading.Thread(
                target=_keep,
                args=(wanted, self._idle_seconds),
                kwargs={"is_patient": self._is_patient},
                daemon=True,
                name="forerunner",
            )
            try:
                keeper.start()
            except RuntimeError:  # no thread can be had
                return None
            self._wanted = wanted
        answer: queue.SimpleQueue[_Forerunner | None] = queue.SimpleQueue()
        self._wanted.put(answer)
        return answer.get()


FORKS: Final = Forks()
"""Those of this process."""


def _keep(wanted: _Wanted, idle_seconds: float, *, is_patient: bool) -> None:
    """Start forerunners, one after the other, and wait for each: it is ended before the next one is wanted."""
    while (answer := wanted.get()) is not None:
        try:
            forerunner = _start(idle_seconds, is_patient=is_patient)
        except Exception:  # noqa: BLE001 - whatever it is, somebody waits for an answer, and there is another way
            answer.put(None)
            continue
        answer.put(forerunner)
        forerunner.wait()


def _start(idle_seconds: float, *, is_patient: bool) -> _Forerunner:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = [sys.executable, "-I", "-B", "-m", "registry.inspection.forerunner"]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, by an argument list
            [*program, str(os.getpid()), str(theirs.fileno()), str(idle_seconds), str(int(is_patient))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return _Forerunner(process, ours)


def _is_ours(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
