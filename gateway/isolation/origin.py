"""A version's origin and its children, as their worker sees them (``gateway.isolation.child`` is the other side).

1. An origin has loaded the model; its forks serve. A fork is ordered without being waited for, so that one is ready
   before it is needed.
2. Each is killed by whoever has it, and waited for. How it died is an answer: by its own fault (a signal), for the
   memory or the time that it took.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Final

from gateway.isolation.frames import FORK, NUMBER_BYTES, READY, REFUSED, BrokenFrameError, receive, send
from gateway.serving.awake_clock import AwakeClock
from gateway.serving.runtime import Array
from registry.errors import InternalError, LoadFailed
from registry.inspection.children import peak_bytes, says_no_memory
from registry.inspection.forks import Forks
from registry.inspection.limits import ChildLimits
from registry.inspection.starting import Child as Program
from registry.inspection.starting import start_program
from registry.standing import HANG, MEMORY
from registry.values import Value

_FORKS: Final = Forks(is_patient=False)
_LAST_WORDS_BYTES: Final = 64 * 1024
_BIRTH_SECONDS: Final = 10.0
_TALK_SECONDS: Final = 30.0
"""For a child to read a request or to write an answer; neither takes it any thought."""
GRACE_SECONDS: Final = 0.5
"""For a run to end that has been told to; a moment in which this process stands still is no part of it."""
_LOOK_SECONDS: Final = 0.05
_PROGRAM_BYTES: Final = 512 << 20
"""Of address space, for what has been imported; most of it is never touched."""


class DeathError(Exception):
    """A child has died, or had to be killed.

    Args:
        cause: the signal's name, ``hang``, or ``memory``.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause

    @property
    def is_for_memory(self) -> bool:
        """Whether it was for the memory that it took."""
        return self.cause == MEMORY

    @property
    def is_for_time(self) -> bool:
        """Whether it was for the time that it took."""
        return self.cause == HANG


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What an isolated version may take.

    Args:
        run_bytes: of memory, by one run, beyond the model.
        load_seconds: until the model is loaded.
    """

    run_bytes: int
    load_seconds: float = 60.0


class Origin:
    """The process that has loaded a model.

    Args:
        graph: the path of its ``.onnx`` file.
        prepared_bytes: of ``Session.load``.
        size_bytes: of its files.
        allowance: what it may take.

    Raises:
        LoadFailed: the runtime refused the model.
        DeathError: loading it has killed the process.
        InternalError: it cannot be started here.
    """

    def __init__(self, graph: Path, prepared_bytes: int | None, size_bytes: int, allowance: Allowance) -> None:
        self._allowance = allowance
        limits = ChildLimits(memory_bytes=_PROGRAM_BYTES + allowance.run_bytes).for_size(size_bytes)
        self._limits = replace(limits, cpu_seconds=1_000_000)  # of all requests; each has a limit of its own
        orders = {
            "program": "gateway.isolation.child",
            "parent_pid": os.getpid(),
            "folder": str(graph.parent.absolute()),
            "graph": graph.name,
            "prepared_bytes": prepared_bytes,
            "limits": asdict(self._limits),
            "most_bytes": allowance.run_bytes,
        }
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._program = _start(orders, theirs.fileno())
        except BaseException:
            self._channel.close()
            raise
        self._process = _Process(self._program.pid, self._limits.memory_bytes)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        """Return when the model is loaded."""
        if not _is_readable(self._channel, self._allowance.load_seconds, self._process.look):
            raise DeathError(HANG)
        said = self._channel.recv(len(REFUSED))
        if said == REFUSED:
            raise LoadFailed("the runtime refused the model")
        if said != READY:
            raise self._process.death(self._last_words())

    def order(self) -> "Child | None":
        """Have a child made; None if the origin is no more."""
        ours, theirs = socket.socketpair()
        listening, telling = socket.socketpair()
        with theirs, listening:
            try:
                socket.send_fds(self._channel, [FORK], [theirs.fileno(), listening.fileno()], socket.MSG_NOSIGNAL)
            except OSError:
                ours.close()
                telling.close()
                return None
        return Child(ours, telling, self._limits, self._last_words)

    def close(self) -> None:
        """End it; its children live on. Does nothing the second time: its descriptors may be another's by then."""
        if self._channel.fileno() == -1:
            return
        self._channel.close()
        self._process.end()
        self._program.close()

    def _last_words(self) -> bytes:
        """Return what it and its children have said since the last time."""
        os.set_blocking(self._program.last_words, False)
        try:
            return os.read(self._program.last_words, _LAST_WORDS_BYTES)
        except BlockingIOError:
            return b""


class Child:
    """A process that runs a model; used by one thread at a time.

    Args:
        data: for requests and answers.
        control: for what cannot wait.
        limits: of it.
        last_words: returns what it has said.
    """

    def __init__(
        self, data: socket.socket, control: socket.socket, limits: ChildLimits, last_words: Callable[[], bytes]
    ) -> None:
        self._data = data
        self._control = control
        self._limits = limits
        self._last_words = last_words
        self._process: _Process | None = None
        self.answered_count = 0
        """How many requests it has answered."""
        self._number = 0

    def meet(self) -> bool:
        """Wait until it is there; return False if it is not going to be."""
        if self._process is not None:
            return True
        self._data.settimeout(_BIRTH_SECONDS)
        try:
            octets = self._data.recv(NUMBER_BYTES)
        except OSError:
            return False
        pid = int.from_bytes(octets, sys.byteorder)
        if not octets or not _is_ours(pid):
            return False
        self._process = _Process(pid, self._limits.memory_bytes)
        self._data.settimeout(_TALK_SECONDS)
        return True

    def ask(
        self, feed: Mapping[str, Value], outputs: tuple[str, ...], seconds: float, is_wanted: Callable[[], bool]
    ) -> tuple[dict[str, Any], list[Array]]:
        """Return what it answers: its words, and the arrays.

        Args:
            feed: what goes in.
            outputs: what comes out.
            seconds: how long it may take.
            is_wanted: tells whether anybody still waits for it.

        Raises:
            DeathError: it has died of it.
        """
        process = self._process
        if process is None:
            raise DeathError("SIGKILL")
        self._number += 1
        words = {"number": self._number, "inputs": list(feed), "outputs": list(outputs), "seconds": seconds}
        try:
            send(self._data, words, list(feed.values()))
            if not self._wait(process, time.monotonic() + seconds, is_wanted):
                process.kill()
                raise DeathError(HANG)
            said, values = receive(self._data, most_bytes=self._limits.memory_bytes)
        except (BrokenFrameError, OSError):
            raise process.death(self._last_words()) from None
        self.answered_count += 1
        return said, values  # type: ignore[return-value] # arrays, or what the signature says instead

    def _wait(self, process: "_Process", until: float, is_wanted: Callable[[], bool]) -> bool:
        """Return True when there is an answer, False if there is none in time."""
        clock = AwakeClock(time.monotonic(), most_seconds=GRACE_SECONDS / 4)
        is_told, ends_at = False, inf
        while True:
            if _is_readable(self._data, _LOOK_SECONDS):
                return True
            process.look()
            now = time.monotonic()
            awake = clock.look(now)
            if not is_told and (now >= until or not is_wanted()):
                is_told = True
                with suppress(OSError):
                    self._control.send(self._number.to_bytes(NUMBER_BYTES, sys.byteorder), socket.MSG_NOSIGNAL)
            if now >= until:
                ends_at = min(ends_at, awake + GRACE_SECONDS)  # from now: this thread may have been late
            if awake >= ends_at:
                return False

    def kill(self) -> None:
        """Kill it, whoever uses it; any thread may."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End it."""
        if self._process is not None or self.meet():
            assert self._process is not None  # noqa: S101 - it has been met
            self._process.end()
        self._data.close()
        self._control.close()


class _Process:
    """A child of this process, to be waited for once; an origin that cannot fork is its own child, and has two such.

    It is named by a descriptor: whoever comes second hits no stranger that has its number by now.
    """

    def __init__(self, pid: int, memory_bytes: int) -> None:
        self._pid = pid
        self._exited = os.pidfd_open(pid)
        self._memory_bytes = memory_bytes
        self._peak_bytes = 0
        self._status: int | None = None

    def look(self) -> None:
        """Take note of how much memory it has."""
        self._peak_bytes = max(self._peak_bytes, peak_bytes(self._pid))

    def kill(self) -> None:
        if self._status is None:
            with suppress(OSError):  # it has been waited for meanwhile
                signal.pidfd_send_signal(self._exited, signal.SIGKILL)

    def end(self) -> int:
        """Kill it if it is still there, and return how it ended: as ``subprocess`` has it."""
        if self._status is None:
            self.kill()
            self._status = self._wait()
            os.close(self._exited)
        return self._status

    def _wait(self) -> int:
        try:
            ended = os.waitid(os.P_PIDFD, self._exited, os.WEXITED)
        except ChildProcessError:
            ended = None
        if ended is None:
            return -signal.SIGKILL  # the other one has waited for it
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def death(self, last_words: bytes) -> DeathError:
        """Return why it has died; what does not speak any more, and has not, is killed."""
        if self._status is None:
            _is_readable(self._exited, _LOOK_SECONDS)  # it has closed its socket, and is on its way out
        code = self.end()
        if says_no_memory(last_words) or self._peak_bytes > self._memory_bytes // 2:
            return DeathError(MEMORY)
        if code == -signal.SIGXCPU:
            return DeathError(HANG)
        return DeathError(signal.Signals(-code).name if code < 0 else "exit")


def _start(orders: Mapping[str, Any], channel: int) -> Program:
    try:
        return _FORKS.start(orders, channel) or start_program(orders, channel)
    except OSError as error:
        raise InternalError(f"a child process cannot be started ({type(error).__name__})") from error


def _is_readable(source: socket.socket | int, seconds: float, look: Callable[[], None] = lambda: None) -> bool:
    """Return whether there is something to read within so many seconds."""
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        if waiting.poll(max(0.0, min(left, _LOOK_SECONDS)) * 1000):
            return True
        if left <= 0:
            return False
        look()


def _is_ours(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, OverflowError):
        return False
    return True
