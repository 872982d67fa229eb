"""Which runs take more memory than a run may, among those whose input does not bound what they take.

1. A run is held against how much the process had when it was first seen: some runs are over before they are seen, and
   what these give is counted when they end.
2. Memory belongs to the process, so that of several such runs it cannot be told which one takes it: all of them are
   named that have seen it grow by so much. Runs whose input bounds them are never named.
3. It is looked only while there are such runs.

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

    def __call__(self, runs: Sequence[WatchedRun]) -> Sequence[WatchedRun]:
        """Return those of the runs under way that take too much."""
        unbounded = [run for run in runs if not run[2]]
        if not unbounded:
            self._began.clear()
            return ()
        now_bytes = self._measure()
        began = self._began
        self._began = {id(run): began.get(id(run), (run, now_bytes)) for run in unbounded}
        return [run for run, bytes_then in self._began.values() if now_bytes - bytes_then > self._most_bytes]
