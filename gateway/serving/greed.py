"""Which runs take more memory than a run may, among those whose input does not bound what they take.

1. A run is held against how much the process had when it was first seen: some runs are over before they are seen, and
   what these give is counted when they end.
2. Memory belongs to the process, so that of several such runs it cannot be told which one takes it. Of those that have
   seen it grow by so much the last one is named: most likely the others had been under way before without that. One
   that was spared for another before is named first, since it was there both times. Runs whose input bounds them are
   never named.
3. Until whoever has been named has ended, nobody else is, unless the process has grown by ``_TIMES`` as much meanwhile:
   what heeds no cancellation goes on growing, and its deadline ends it. Then the others are held against what there is:
   a session keeps what its run has taken.
4. It is looked only while there are such runs.

Used by one thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.serving.deadlines import WatchedRun

_TIMES: Final = 8


@dataclass(slots=True)
class _Seen:
    """A run under way."""

    run: WatchedRun
    bytes_then: int
    """What there was when it was first seen, or when the last one that was named ended."""
    times: int = 0
    """How often it has been there when another one was named."""


class Greed:
    """What the watchdog asks.

    Args:
        measure: returns how many bytes this process has.
        most_bytes: by how many a run may let it grow.
    """

    def __init__(self, measure: Callable[[], int], most_bytes: int) -> None:
        self._measure = measure
        self._most_bytes = most_bytes
        self._seen: dict[int, _Seen] = {}
        """In the order in which they were first seen."""
        self._named: dict[int, WatchedRun] = {}
        self._named_at_bytes = 0
        """What there was when somebody was named last."""

    def __call__(self, runs: Sequence[WatchedRun]) -> Sequence[WatchedRun]:
        """Return those of the runs under way that take too much."""
        unbounded = {id(run): run for run in runs if not run[2]}
        if not unbounded:
            self._seen.clear()
            self._named.clear()
            return ()
        now_bytes = self._measure()
        self._seen = {key: seen for key, seen in self._seen.items() if key in unbounded}
        had_named = bool(self._named)
        self._named = {key: run for key, run in self._named.items() if key in unbounded}
        if had_named and not self._named:
            for seen in self._seen.values():
                seen.bytes_then = now_bytes
        for key, run in unbounded.items():
            self._seen.setdefault(key, _Seen(run, now_bytes))
        if not self._named or now_bytes - self._named_at_bytes > _TIMES * self._most_bytes:
            self._name_one(now_bytes)
        return list(self._named.values())

    def _name_one(self, now_bytes: int) -> None:
        suspects = [
            (key, seen)
            for key, seen in reversed(self._seen.items())
            if key not in self._named and now_bytes - seen.bytes_then > self._most_bytes
        ]
        if not suspects:
            return
        key, named = max(suspects, key=lambda suspect: suspect[1].times)
        for _, seen in suspects:
            seen.times += 1
        self._named[key], self._named_at_bytes = named.run, now_bytes
