"""Staying awake for a moment where the next request is about to come.

1. Being put to sleep and woken up again costs a process more time than a small model's run: a single caller that asks
   again as soon as it has its answer would wait for that each time.
2. So where requests have lately come one at a time, each within ``_SOON_SECONDS`` of the answer before, the event loop
   looks for the next one for as long before it sleeps. Where they come later, or several at once, it sleeps as ever:
   looking would win nothing.
3. While it looks, it gives way to whoever else wants the processor.
"""

import asyncio
import os
from collections.abc import Callable
from time import monotonic
from typing import Final

_SOON_SECONDS: Final = 100e-6
_MEAN_SECONDS: Final = 70e-6
"""On average they must come so soon."""

_LONG_SECONDS: Final = 4 * _SOON_SECONDS
"""A longer pause counts as this one: what follows upon an hour may be quick again."""

_WEIGHT: Final = 0.05
_ONE_AT_A_TIME: Final = 1.3
"""On average a tick must bring fewer requests than this."""


class Alertness:
    """How one event loop waits for requests.

    Args:
        clock: monotonic seconds.
        give_way: lets other programs run.
    """

    def __init__(
        self, *, clock: Callable[[], float] = monotonic, give_way: Callable[[], object] = os.sched_yield
    ) -> None:
        self._clock = clock
        self._give_way = give_way
        self._answered_at = 0.0
        self._mean_seconds = _LONG_SECONDS
        self._mean_count = _ONE_AT_A_TIME
        self._until = 0.0
        self._is_looking = False

    def came(self, now: float) -> None:
        """Take note that the first request of a tick has come."""
        self._until = 0.0
        pause = min(now - self._answered_at, _LONG_SECONDS)
        self._mean_seconds += _WEIGHT * (pause - self._mean_seconds)

    def answered(self, count: int) -> None:
        """Take note that a tick has answered so many, and look for the next one if it will come soon."""
        self._mean_count += _WEIGHT * (count - self._mean_count)
        self._answered_at = self._clock()
        if self._mean_seconds < _MEAN_SECONDS and self._mean_count < _ONE_AT_A_TIME:
            self._until = self._answered_at + _SOON_SECONDS
            if not self._is_looking:
                self._is_looking = True
                asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        if self._clock() < self._until:
            self._give_way()
            asyncio.get_running_loop().call_soon(self._look)
        else:
            self._is_looking = False
