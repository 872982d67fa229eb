"""A line of versions that something slow is done for in the background, one after another; nobody waits for it."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from registry.records import Version

_MAX_WAITING = 1_000


class Line:
    """Versions by their artifacts, each once while it waits; safe for threads.

    Args:
        work: what is done for a version; blocks, in the executor, and must not raise.
        executor: one thread. None does nothing.
    """

    def __init__(self, work: Callable[[Version], None], executor: Executor | None) -> None:
        self._work = work
        self._executor = executor
        self._lock = threading.Lock()
        self._waiting: set[str] = set()

    @property
    def is_closed(self) -> bool:
        """True if nothing is ever done."""
        return self._executor is None

    def add(self, version: Version) -> None:
        """Have the work done when its turn comes; does nothing if it waits already, or too many do."""
        if self._executor is None:
            return
        with self._lock:
            if version.artifact.digest.hex in self._waiting or len(self._waiting) >= _MAX_WAITING:
                return
            self._waiting.add(version.artifact.digest.hex)
        with suppress(RuntimeError):  # the worker is ending
            self._executor.submit(self._run, version)

    def _run(self, version: Version) -> None:
        try:
            self._work(version)
        finally:
            with self._lock:
                self._waiting.discard(version.artifact.digest.hex)
