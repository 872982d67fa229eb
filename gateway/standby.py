"""The worker that stands by: it has made all that a worker makes, and serves as soon as another one does not.

1. A worker is made in a tenth of a second on an idle machine, and in most of a second where models have just killed the
   others: nobody would answer meanwhile. So one more is made than serve. It takes no connection, follows and reports
   nothing, keeps no connection to the database, and loads no model.
2. Whoever is to be started, in a dead worker's place or as a successor, is this one. The next one is made as soon as
   no worker is missing.
3. It is told who answers meanwhile (``gateway.company``). It takes connections as soon as what is pinned or to be
   preloaded is loaded; beside others it first loads what they have loaded.
4. One that dies, cannot be had, or is not made within a minute is tried again after a second, then after two, and so
   on up to a minute: where there is room for the workers alone, trying must not become a load.
5. One whose forerunner has been replaced is replaced as well (``gateway.worker_forks``, rule 3).
6. Each has a place of its own, so that no two workers ever count in one.
"""

from collections.abc import Collection
from typing import Final

import structlog

from gateway.company import Company
from gateway.replacement import Worker
from gateway.worker_forks import Fork, WorkerForks

_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_MAKING_SECONDS: Final = 60.0


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
        self._until = 0.0
        """When it has to be made."""
        self._makes_at = 0.0
        self._pause_seconds = _PAUSE_SECONDS

    def attend(self, taken: Collection[int], now: float, *, is_anyone_missing: bool) -> None:
        """Forget one that has died or is of no use any more, and make one where none stands by.

        Args:
            taken: the places of the workers that serve.
            now: monotonic seconds.
            is_anyone_missing: whether one that should serve does not yet.
        """
        self._look(now)
        if self._fork is None and not is_anyone_missing and now >= self._makes_at:
            self._fork, self._until = self._make(taken), now + _MAKING_SECONDS
            if self._fork is None:
                self._wait(now)

    def take(self, taken: Collection[int], now: float, company: Company) -> Worker | None:
        """Return a worker that has been told to serve; None if none can be had now.

        Args:
            taken: the places of the workers that serve.
            now: monotonic seconds.
            company: rule 3.
        """
        self._look(now)
        fork = self._fork or self._make(taken)
        self._fork = None
        if fork is None:
            return None
        fork.serve(company)
        return Worker(fork.process, fork.place)

    def close(self) -> None:
        """End the one that stands by."""
        if self._fork is not None:
            self._fork.end()
        self._fork = None

    def _look(self, now: float) -> None:
        fork = self._fork
        if fork is None:
            return
        if fork.process.poll() is not None:
            self._give_up("standby_died", now)
        elif not self._forks.is_current(fork):
            self.close()
        elif fork.is_made():
            self._pause_seconds = _PAUSE_SECONDS
        elif now > self._until:
            self._give_up("standby_not_made", now)

    def _give_up(self, event: str, now: float) -> None:
        assert self._fork is not None  # noqa: S101 - whoever gives up has looked at it
        process = self._fork.process
        self.close()
        structlog.get_logger().error(event, pid=process.pid, exit_code=process.returncode)
        self._wait(now)

    def _wait(self, now: float) -> None:
        self._makes_at = now + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _make(self, taken: Collection[int]) -> Fork | None:
        return self._forks.fork(min(set(range(self._places)).difference(taken)))
