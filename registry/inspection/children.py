"""The children that run: started, listened to, killed and waited for.

1. Each is killed with all that it may have started, whatever happens here, and waited for.
2. What it says is kept as far as it is bounded.
"""

import os
import re
import selectors
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry.errors import InternalError, Overloaded
from registry.inspection.forks import FORKS
from registry.inspection.limits import ChildLimits
from registry.inspection.starting import Child, start_program

_NO_MEMORY = re.compile(rb"MemoryError|bad_alloc|[Cc]annot allocate|out of memory")
_LAST_WORDS_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_LOOK_SECONDS = 0.05
"""How often it is looked how much memory a child has."""


@dataclass(slots=True)
class Ending:
    """What is left of a child."""

    returncode: int = 0
    peak_bytes: int = 0
    is_timed_out: bool = False
    said: bytearray = field(default_factory=bytearray)
    last_words: bytearray = field(default_factory=bytearray)


class Children:
    """Those that run; killing one that has just ended would kill a stranger, hence the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pids: set[int] = set()
        self._are_unwanted = False

    @property
    def count(self) -> int:
        """How many run."""
        return len(self._pids)

    def kill_all(self) -> None:
        """Kill all, and let no more be born."""
        with self._lock:
            self._are_unwanted = True
            for pid in self._pids:
                _kill_group(pid)

    def run(self, orders: Mapping[str, Any], limits: ChildLimits, *, examples: int | None) -> Ending:
        """Start a child and return once it has ended, by itself or by time.

        Args:
            orders: for ``registry.inspection.__main__``, and the ``folder`` to do them in.
            limits: how long it may take, and how much it may report.
            examples: the descriptor of those that are run, if any.

        Raises:
            Overloaded: ``kill_all`` has been called, by now.
            InternalError: it cannot be started here.
        """
        ending = Ending()
        child = self._start(orders, examples)
        exited = os.pidfd_open(child.pid)
        try:
            _listen(child, exited, limits, ending)
        finally:
            self._kill(child.pid)
            _, status = os.waitpid(child.pid, 0)
            ending.returncode = os.waitstatus_to_exitcode(status)
            os.close(exited)
            child.close()
        if self._are_unwanted:
            raise _closing()
        return ending

    def _start(self, orders: Mapping[str, Any], examples: int | None) -> Child:
        if self._are_unwanted:
            raise _closing()
        try:
            child = FORKS.start(orders, examples) or start_program(orders, examples)
        except OSError as error:
            raise InternalError(f"the inspection child cannot be started ({type(error).__name__})") from error
        self._add(child.pid)
        return child

    def _add(self, pid: int) -> None:
        """Count one in that has been born; it is killed if that has become unwanted meanwhile."""
        with self._lock:
            self._pids.add(pid)
            if self._are_unwanted:
                _kill_group(pid)

    def _kill(self, pid: int) -> None:
        """Kill one that has not been waited for, for the last time."""
        with self._lock:
            self._pids.discard(pid)
            _kill_group(pid)


def _closing() -> Overloaded:
    return Overloaded("the gateway is shutting down", retry_after_seconds=5)


def _listen(child: Child, exited: int, limits: ChildLimits, ending: Ending) -> None:
    """Read both pipes until the child has exited and they are drained, or time is up."""
    deadline = time.monotonic() + limits.wall_seconds
    pipes = {
        child.report: (ending.said, limits.report_bytes),
        child.last_words: (ending.last_words, _LAST_WORDS_BYTES),
    }
    with selectors.DefaultSelector() as selector:
        for descriptor in (*pipes, exited):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select(min(_LOOK_SECONDS, max(0.0, deadline - time.monotonic())))}
            ending.peak_bytes = max(ending.peak_bytes, peak_bytes(child.pid))
            for descriptor in ready & pipes.keys():
                if not _drain(descriptor, *pipes[descriptor]):
                    selector.unregister(descriptor)
            if exited in ready and not ready & pipes.keys():
                return
            if time.monotonic() >= deadline:
                ending.is_timed_out = True
                return


def peak_bytes(pid: int) -> int:
    """Return the most memory that a child has had since it was started; 0 if it has ended.

    Its resource usage would not do: a program begins with the peak of the process that it was started from.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def says_no_memory(last_words: bytes | bytearray) -> bool:
    """Return whether a child has said, before it ended, that there was no memory."""
    return _NO_MEMORY.search(last_words) is not None


def _drain(descriptor: int, kept: bytearray, limit_bytes: int) -> bool:
    """Keep what there is to read, up to the limit; return False at the end."""
    octets = os.read(descriptor, _CHUNK_BYTES)
    kept.extend(octets[: max(0, limit_bytes - len(kept))])
    return bool(octets)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
