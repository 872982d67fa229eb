"""A thread that was there before threads were forbidden, and ends what takes too long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    seconds: float
    terminate: Callable[[], None]
    give_up: Callable[[], None]
    is_over: threading.Event = field(default_factory=threading.Event)

    def keep(self) -> None:
        if not self.is_over.wait(self.seconds):
            self.terminate()
            if not self.is_over.wait(GRACE_SECONDS):
                self.give_up()


class Watchdog:
    """Watches one piece of work; its thread runs from when it is made."""

    def __init__(self) -> None:
        self._is_armed = threading.Event()
        self._watch: _Watch | None = None
        threading.Thread(target=self._run, daemon=True, name="watchdog").start()

    @contextmanager
    def armed(self, seconds: float, terminate: Callable[[], None], give_up: Callable[[], None]) -> Iterator[None]:
        """Call ``terminate`` if the block takes longer than ``seconds``, and ``give_up`` if that does not end it.

        Once only for each watchdog. Both are called from the watchdog's thread.
        """
        self._watch = watch = _Watch(seconds=seconds, terminate=terminate, give_up=give_up)
        self._is_armed.set()
        try:
            yield
        finally:
            watch.is_over.set()

    def _run(self) -> None:
        self._is_armed.wait()
        if self._watch is not None:
            self._watch.keep()
