"""How a worker that wants to be replaced is: without a request being lost, and one at a time.

1. Its successor is started beside it. The old worker goes on meanwhile.
2. When the successor serves, the old one is told (SIGUSR1) to take no new connection and to let go of those it has.
3. A successor that dies, or does not serve within two minutes, is given up: the old worker stays. An old worker that
   does not end within a minute is killed.
4. The next replacement begins five minutes after the last one at the earliest: what comes back as soon as that is not
   mended by replacing workers, and they have better things to do than starting.
"""

import signal
import time
from dataclasses import dataclass, field

import structlog

from gateway.worker_forks import Process

_PAUSE_SECONDS = 300.0
_START_SECONDS = 120.0
_END_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class Worker:
    """A child that serves."""

    process: Process
    place: int
    started: float = field(default_factory=time.monotonic)
    is_ready: bool = False


class Replacement:
    """The one that is under way, if any."""

    def __init__(self) -> None:
        self._old: Worker | None = None
        self._new: Worker | None = None
        self._is_told = False
        self._until = 0.0
        self._not_before = 0.0

    def may_begin(self, now: float) -> bool:
        """Return whether a worker can be replaced now."""
        return self._old is None and now >= self._not_before

    def begin(self, old: Worker, new: Worker, now: float) -> None:
        """Take note that ``new`` has been started to replace ``old``."""
        self._old, self._new, self._is_told, self._until = old, new, False, now + _START_SECONDS
        structlog.get_logger().info("replacing_worker", pid=old.process.pid, successor=new.process.pid)

    def attend(self, now: float) -> None:
        """Take the next step when it is due."""
        if self._old is None:
            return
        if self._is_told:
            if now > self._until:
                self._old.process.kill()
        elif self._new is not None and self._new.is_ready:
            self._is_told, self._until = True, now + _END_SECONDS
            self._old.process.send_signal(signal.SIGUSR1)
        elif self._new is not None and now > self._until:
            self._new.process.kill()

    def has_ended(self, worker: Worker, now: float) -> bool:
        """Take note of a worker's end; return True if nobody is to be started in its place."""
        if worker is not self._old and worker is not self._new:
            return False
        log = structlog.get_logger().bind(pid=worker.process.pid, exit_code=worker.process.returncode)
        if worker is self._old:
            log.info("worker_replaced")
        else:
            log.error("successor_died")
        if worker is self._new and self._is_told:
            self._new = None  # the old one accepts nobody any more: this was a worker like any other, and is missed
            return False
        self._old = self._new = None
        self._not_before = now + _PAUSE_SECONDS
        return True
