"""The one thread that ends runs which take too long.

1. The event loop cannot keep the deadline of a run that it is inside of, so a thread does.
2. A run is registered by storing one tuple in a slot and cleared by storing None: no lock and no wake-up on the way of
   a request. The thread looks into all slots every ``poll_seconds``; a deadline is kept to that much.
3. The tuple's identity is the run's: a cancellation meant for one run never reaches the next one in the same slot.
4. A run past its deadline is cancelled. One that is still there ``grace_seconds`` after that sits in a kernel that does
   not listen, and ``on_stuck`` is called, once, with its thread's number: only the end of the process ends such a run.
   A process that stands still listens to nothing, so that is no part of the grace (``gateway.serving.awake_clock``).
5. Each time somebody is asked as well which runs take too much memory; these are cancelled for that.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from gateway.serving.awake_clock import AwakeClock

_MOST_OF_THE_GRACE: Final = 0.25
"""Passes between two looks, at most."""


class Cancellable(Protocol):
    """A run that can be asked to stop, from another thread."""

    def cancel(self, *, is_for_memory: bool = False) -> None:
        """Ask, and say whether it is for the memory that the run takes."""
        ...


WatchedRun: TypeAlias = tuple[float, Cancellable, bool]
"""Its deadline, how it is cancelled, and whether its input bounds what it takes."""


class Watch:
    """One thread's slot: ``run`` is what that thread is running, or None."""

    __slots__ = ("cancelled", "run", "stuck", "stuck_at", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.run: WatchedRun | None = None
        self.cancelled: WatchedRun | None = None
        self.stuck_at = 0.0
        self.stuck: WatchedRun | None = None


class Watchdog:
    """Keeps the deadlines of runs; deadlines are moments of ``clock``, which must be monotonic."""

    def __init__(
        self,
        *,
        on_stuck: Callable[[int], None],
        find_greedy: Callable[[Sequence[WatchedRun]], Sequence[WatchedRun]] = lambda _: (),
        clock: Callable[[], float] = time.monotonic,
        poll_seconds: float = 0.05,
        grace_seconds: float = 1.0,
    ) -> None:
        self._on_stuck = on_stuck
        self._find_greedy = find_greedy
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._grace_seconds = grace_seconds
        self._awake = AwakeClock(clock(), most_seconds=_MOST_OF_THE_GRACE * grace_seconds)
        self._watches: list[Watch] = []
        self._local = threading.local()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="watchdog", daemon=True)

    def watch(self) -> Watch:
        """Return the calling thread's slot, the same at every call; it is watched for as long as the watchdog lives."""
        watch: Watch | None = getattr(self._local, "watch", None)
        if watch is None:
            watch = self._local.watch = Watch()
            self._watches.append(watch)  # appending is atomic, and the thread below iterates over a copy
        return watch

    def look(self) -> None:
        """Cancel what is past its deadline and report what is stuck; what the thread does every ``poll_seconds``."""
        now = self._clock()
        awake = self._awake.look(now)
        for watch in tuple(self._watches):
            run = watch.run
            if run is None or now < run[0]:
                continue
            if watch.cancelled is not run:
                watch.cancelled = run
                watch.stuck_at = awake + self._grace_seconds  # from now: this thread may have been late
                run[1].cancel()
            elif awake >= watch.stuck_at and watch.stuck is not run:
                watch.stuck = run
                self._on_stuck(watch.thread)
        for run in self._find_greedy([run for run in [watch.run for watch in tuple(self._watches)] if run is not None]):
            run[1].cancel(is_for_memory=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and wait for it; does nothing if it was never started."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_looking(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            self.look()
