"""A clock that stands still while its process does: for how long another one has been let do something.

Whoever gives a run half a second to stop, and looks at the time after having stood still for longer, has given it
nothing: the run stood still as well, most often. So between two looks no more than so much passes.
"""


class AwakeClock:
    """Belongs to one thread, or to whoever holds a lock.

    Args:
        now: by a monotonic clock, in seconds.
        most_seconds: so much passes between two looks, at most.
    """

    def __init__(self, now: float, *, most_seconds: float) -> None:
        self._looked_at = now
        self._most_seconds = most_seconds
        self._seconds = 0.0

    def look(self, now: float) -> float:
        """Return how many seconds have passed; to be called again and again.

        Args:
            now: by the same monotonic clock.
        """
        self._seconds += min(now - self._looked_at, self._most_seconds)
        self._looked_at = now
        return self._seconds
