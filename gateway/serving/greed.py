"""Which runs take more memory than a run may, among those whose input does not bound what they take.

1. A run is held against how much the process had when it was first seen: some runs are over before they are seen, and
   what these give is counted when they end.
2. Memory belongs to the process, so that of several such runs it cannot be told which one takes it. Of those that have
   seen it grow by so much the last one is named: the others had been under way before without that. Runs whose
   input bounds them are never named.
3. Until whoever has been named has ended, nobody else is: what heeds no cancellation goes on growing, and the others
   have no part in it; its deadline ends it. Then they are held against what there is: a session keeps what its run
   has taken.
4. It is looked only while there are such runs.

Used by one thread.
"""

from collections.abc import Callable, Sequence

from gateway.serving.deadlines import WatchedRun


class Greed:
    """What the watchdog asks.

    Args:
        measure: returns how many bytes this process has.
        most_bytes: by how many a run may let it grow.
    """

    def __init__(self, measure: Callable[[], int], most_bytes: int) -> None:
        self._measure = measure
        self._most_bytes = most_bytes
        self._began: dict[int, tuple[WatchedRun, int]] = {}
        """Runs in the order in which they were first seen, and what there was then."""
        self._named: WatchedRun | None = None

    def __call__(self, runs: Sequence[WatchedRun]) -> Sequence[WatchedRun]:
        """Return those of the runs under way that take too much."""
        unbounded = {id(run): run for run in runs if not run[2]}
        if not unbounded:
            self._began.clear()
            self._named = None
            return ()
        now_bytes = self._measure()
        if self._named is not None and id(self._named) not in unbounded:
            self._began.clear()
            self._named = None
        self._began = {key: entry for key, entry in self._began.items() if key in unbounded}
        for key, run in unbounded.items():
            self._began.setdefault(key, (run, now_bytes))
        if self._named is None:
            self._named = self._last_of_those_that_saw_it_grow(now_bytes)
        return () if self._named is None else (self._named,)

    def _last_of_those_that_saw_it_grow(self, now_bytes: int) -> WatchedRun | None:
        return next((run for run, then in reversed(self._began.values()) if now_bytes - then > self._most_bytes), None)
