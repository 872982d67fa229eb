"""Which runs take more memory than a run may, among those whose input does not bound what they take.

1. A run is held against how much the process had when it was first seen: some runs are over before they are seen, and
   what these give is counted when they end.
2. Memory belongs to the process, so that of several such runs it cannot be told which one takes it. Of those that have
   seen it grow by so much the last one is named: the others had been under way before without that. Runs whose
   input bounds them are never named.
3. Until whoever has been named has ended, another one is named only if the process has grown by as much again. When all
   of them have, the others are held against what there is then: a session keeps what its run has taken.
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
        self._named: dict[int, WatchedRun] = {}
        self._named_at_bytes = 0
        """What there was when somebody was named last."""

    def __call__(self, runs: Sequence[WatchedRun]) -> Sequence[WatchedRun]:
        """Return those of the runs under way that take too much."""
        unbounded = {id(run): run for run in runs if not run[2]}
        if not unbounded:
            self._began.clear()
            self._named.clear()
            return ()
        now_bytes = self._measure()
        had_named = bool(self._named)
        self._named = {key: run for key, run in self._named.items() if key in unbounded}
        if had_named and not self._named:
            self._began.clear()
        self._began = {key: entry for key, entry in self._began.items() if key in unbounded}
        for key, run in unbounded.items():
            self._began.setdefault(key, (run, now_bytes))
        if not self._named or now_bytes - self._named_at_bytes > self._most_bytes:
            self._name_last(now_bytes)
        return list(self._named.values())

    def _name_last(self, now_bytes: int) -> None:
        for key, (run, bytes_then) in reversed(self._began.items()):
            if key not in self._named and now_bytes - bytes_then > self._most_bytes:
                self._named[key], self._named_at_bytes = run, now_bytes
                return
