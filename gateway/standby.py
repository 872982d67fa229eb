"""The worker that stands by: it has made all that a worker makes, and serves as soon as another one does not.

1. A worker is made in a tenth of a second on an idle machine, and in most of a second where models have just killed the
   others: nobody would answer meanwhile. So one more is made than serve. It opens what it will need, and no more: it
   takes no connection, follows and reports nothing, and loads no model.
2. Whoever is to be started, in a dead worker's place or as a successor, is this one. The next one is made as soon as
   no worker is missing: what makes it wait is never what makes others wait.
3. Told that it serves alone, it takes connections at once; beside others it first loads what they have loaded.
4. One that dies is made again after a while, and one of a forerunner that has been replaced is replaced as well
   (``gateway.worker_forks``, rule 3).
5. Each has a place of its own, so that no two workers ever count in one.
"""

from collections.abc import Iterable
from typing import Final

import structlog

from gateway.replacement import Worker
from gateway.worker_forks import Fork, WorkerForks

_PAUSE_SECONDS: Final = 1.0


class Standby:
    """Belongs to the supervisor's thread.

    Args:
        forks: where workers come from.
        places: how many there are: one more than workers that can serve at the same time.
    """

    def __init__(self, forks: WorkerForks, places: int) -> None:
        self._forks = forks
        self._places = places
        self._fork: Fork | None = None
        self._generation = 0
        self._makes_at = 0.0

    def attend(self, taken: Iterable[int], now: float, *, is_anyone_missing: bool) -> None:
        """Forget one that has died or is of no use any more, and make one where none stands by.

        Args:
            taken: the places of the workers that serve.
            now: monotonic seconds.
            is_anyone_missing: whether one that should serve does not yet.
        """
        if self._fork is not None and self._fork.process.poll() is not None:
            structlog.get_logger().error(
                "standby_died", pid=self._fork.process.pid, exit_code=self._fork.process.returncode
            )
            self._makes_at = now + _PAUSE_SECONDS
            self.close()
        if self._fork is not None and self._generation != self._forks.generation:
            self.close()
        if self._fork is None and not is_anyone_missing and now >= self._makes_at:
            self._fork = self._make(taken)

    def take(self, taken: Iterable[int], *, is_alone: bool) -> Worker | None:
        """Return a worker that has been told to serve; None if none can be had now.

        Args:
            taken: the places of the workers that serve.
            is_alone: rule 3.
        """
        fork = self._fork or self._make(taken)
        self._fork = None
        if fork is None:
            return None
        fork.serve(is_alone=is_alone)
        return Worker(fork.process, fork.place)

    def close(self) -> None:
        """End the one that stands by."""
        if self._fork is not None:
            self._fork.end()
        self._fork = None

    def _make(self, taken: Iterable[int]) -> Fork | None:
        self._generation = self._forks.generation
        free = set(range(self._places)).difference(taken)
        return self._forks.fork(min(free))
