"""Time for a loaded session to be of use, before it makes room for another.

1. A session is young for four times as long as its load took, at most two seconds: where the models in use do not fit
   all at once, at least four fifths of the time go into running them. (ModelMesh waits for ten times that.)
2. Nobody waits for ever: what is young settles by itself, and whoever stands in line is told when the next one does.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic

from gateway.serving.cache_entry import Entry, S

_LOADS = 4.0
_MOST_SECONDS = 2.0
LEAST_PAUSE_SECONDS = 0.01
"""Many that settle one after another are looked at together."""


class Settling(Generic[S]):
    """Which sessions are young; belongs to one event loop.

    Args:
        clock: monotonic seconds.
        settled: called after ``wait_for_one``, when one of them has settled.
    """

    def __init__(self, clock: Callable[[], float], settled: Callable[[], None]) -> None:
        self._clock = clock
        self._settled = settled
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, entry: Entry[S]) -> None:
        """Take note that a session has been loaded now."""
        entry.loaded_at = self._clock()
        entry.settles_at = entry.loaded_at + young_seconds(entry.load_seconds)

    def is_over(self, entry: Entry[S]) -> bool:
        """Return whether the session is young no more."""
        return self._clock() >= entry.settles_at

    def wait_for_one(self, entries: Iterable[Entry[S]]) -> None:
        """Have ``settled`` called when the first of the young ones has settled; once, however often this is called."""
        if self._timer is not None:
            return
        now = self._clock()
        moments = [entry.settles_at for entry in entries if entry.settles_at > now]
        if moments:
            pause_seconds = max(LEAST_PAUSE_SECONDS, min(moments) - now)
            self._timer = asyncio.get_running_loop().call_later(pause_seconds, self._tell)

    def close(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = None
        self._settled()


def young_seconds(load_seconds: float) -> float:
    """Return how long a session is young whose load took so long (rule 1)."""
    return min(_MOST_SECONDS, _LOADS * load_seconds)
