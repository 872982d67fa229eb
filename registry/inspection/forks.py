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
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from registry.inspection.starting import ENVIRONMENT, Child, as_descriptor, two_pipes

_PATIENCE_SECONDS = 30.0
"""For a forerunner that makes its imports, on a machine that has other things to do."""
_ATTEMPTS = 3
"""A forerunner may have ended since, or end for somebody else's fork."""
_AGAIN_SECONDS = 60.0
_PID_BYTES = 8


@dataclass(slots=True)
class _Forerunner:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    has_served: bool = False
    is_unwanted: bool = False
    has_ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, descriptors: Sequence[int]) -> bool:
        """Hand over an order; return whether it is on its way."""
        try:
            socket.send_fds(self.channel, [b"f"], list(descriptors), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Kill it; its forks live on. The socket stays open, and is closed when there is another one."""
        with self.lock:
            self.is_unwanted = True
            if not self.has_ended:
                self.process.kill()

    def wait(self) -> None:
        """Return when it has ended; until then its process id is no stranger's."""
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        with self.lock:
            self.has_ended = True
            self.process.wait()


class Forks:
    """The forks of one process's forerunner; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._owner_pid = os.getpid()
        self._forerunner: _Forerunner | None = None
        self._wanted: queue.SimpleQueue[queue.SimpleQueue[_Forerunner | None]] | None = None
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
                child = _fork(forerunner, ordered, examples)
                if child is not None:
                    forerunner.has_served = True
                    return child
                self._give_up(forerunner)
        return None

    def renew(self) -> None:
        """End the forerunner that there is (rule 3); the next fork is of another one."""
        with self._lock:
            if self._forerunner is not None and self._owner_pid == os.getpid():
                self._forerunner.end()

    def _current(self) -> _Forerunner | None:
        with self._lock:
            if self._owner_pid != os.getpid():
                self._forget()
            if self._forerunner is not None and not (self._forerunner.is_unwanted or self._forerunner.has_ended):
                return self._forerunner
            if time.monotonic() < self._not_before:
                return None
            if self._wanted is None:
                self._wanted = queue.SimpleQueue()
                threading.Thread(target=_keep, args=(self._wanted,), daemon=True, name="forerunner").start()
            answer: queue.SimpleQueue[_Forerunner | None] = queue.SimpleQueue()
            self._wanted.put(answer)
            before, self._forerunner = self._forerunner, answer.get()
            if before is not None:
                before.channel.close()
            return self._forerunner

    def _give_up(self, forerunner: _Forerunner) -> None:
        """Have it be the last time that this one is asked."""
        with self._lock:
            if not forerunner.is_unwanted and not forerunner.has_served:
                self._not_before = time.monotonic() + _AGAIN_SECONDS
        forerunner.end()


FORKS: Final = Forks()
"""Those of this process."""


def _keep(wanted: "queue.SimpleQueue[queue.SimpleQueue[_Forerunner | None]]") -> None:
    """Start forerunners, one after the other, and wait for each: it is ended before the next one is wanted."""
    while True:
        answer = wanted.get()
        try:
            forerunner = _start()
        except OSError:
            answer.put(None)
            continue
        answer.put(forerunner)
        forerunner.wait()


def _start() -> _Forerunner:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = [sys.executable, "-I", "-B", "-m", "registry.inspection.forerunner"]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, by an argument list
            [*program, str(os.getpid()), str(theirs.fileno())],
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


def _fork(forerunner: _Forerunner, ordered: int, examples: int | None) -> Child | None:
    with two_pipes() as (report, reporting, last_words, saying):
        descriptors = [ordered, reporting, saying] + ([] if examples is None else [examples])
        is_on_its_way = forerunner.order(descriptors)
    child_ends = Child(pid=0, report=report, last_words=last_words)
    pid = _read_pid(forerunner, report) if is_on_its_way else None
    if pid is None:
        child_ends.close()
        return None
    return replace(child_ends, pid=pid)


def _read_pid(forerunner: _Forerunner, report: int) -> int | None:
    """Wait until the fork says who it is; None if there is none, when all who could write have gone."""
    listening = select.poll()
    listening.register(report, select.POLLIN)
    if not listening.poll(_PATIENCE_SECONDS * 1000):
        forerunner.end()
        if not listening.poll(_PATIENCE_SECONDS * 1000):
            return None
    octets = os.read(report, _PID_BYTES)
    pid = int.from_bytes(octets, sys.byteorder)
    return pid if octets and _is_ours(pid) else None


def _is_ours(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
