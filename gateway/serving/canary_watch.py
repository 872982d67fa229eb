"""Telling when a canary has to go: it fails too often, or answers too late.

1. What counts are the newest ``WINDOW`` answers of this worker to requests that the alias has sent to the canary.
2. A limit is passed when more answers are bad than its share of the window, taken for ``LEAST`` at least: one failure
   among the first few says nothing, and a canary that fails always is noticed after some more than that.
3. An answer is bad for the error rate if the version itself is to blame: not the caller, nor a full queue. It is late
   if it, or the refusal at its deadline, took longer than the limit; one in a hundred may. What has waited for the
   version to be loaded is not late.
4. Each worker judges by what it sees; the first that says so has the canary dropped, everywhere.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from registry import errors
from registry.records import Canary

WINDOW: Final = 1_000
LEAST: Final = 100
_TIMED: Final = frozenset({"ok", errors.DeadlinePassed.code})
_LATE_SHARE: Final = 0.01
_ROUNDING: Final = 1e-6
"""0.29 of a hundred are 28.999..., and the 29th failure is allowed."""

OWN_FAULTS: Final = frozenset(
    error.code
    for error in (
        errors.ArtifactCorrupt,
        errors.ArtifactMissing,
        errors.DeadlinePassed,
        errors.InsufficientMemory,
        errors.InternalError,
        errors.LoadFailed,
        errors.OutputNotText,
        errors.RunFailed,
    )
)


class CanaryWatch:
    """Counts a canary's answers; belongs to one event loop.

    Args:
        canary: with its limits.
        drop: called once, with the reason, when a limit is passed.
        loaded_at: tells when the version was loaded.
        clock: of that moment, in seconds.
    """

    def __init__(
        self,
        canary: Canary,
        drop: Callable[[str], None],
        *,
        loaded_at: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._canary = canary
        self._loaded_at = loaded_at
        self._clock = clock
        self._drop = drop
        self._answers: deque[tuple[bool, bool]] = deque()
        self._failed = 0
        self._late = 0
        self._is_over = canary.max_error_rate is None and canary.max_latency_seconds is None

    def add(self, code: str, seconds: float, count: int = 1) -> None:
        """Take note of answers that took so long; ``code`` is their problem's, or ``ok``."""
        if self._is_over:
            return
        limit = self._canary.max_latency_seconds
        is_late = code in _TIMED and limit is not None and seconds > limit
        answer = (code in OWN_FAULTS, is_late and self._clock() - seconds > self._loaded_at())
        for _ in range(count):
            self._put(answer)
        reason = self._reason()
        if reason is not None:
            self._is_over = True
            self._drop(reason)

    def _put(self, answer: tuple[bool, bool]) -> None:
        self._answers.append(answer)
        self._failed += answer[0]
        self._late += answer[1]
        if len(self._answers) > WINDOW:
            failed, late = self._answers.popleft()
            self._failed -= failed
            self._late -= late

    def _reason(self) -> str | None:
        seen = len(self._answers)
        weight = max(seen, LEAST)
        rate, seconds = self._canary.max_error_rate, self._canary.max_latency_seconds
        if rate is not None and self._failed > rate * weight + _ROUNDING:
            return f"{self._failed} of its last {seen} answers failed, more than {rate:g} of them"
        if seconds is not None and self._late > _LATE_SHARE * weight + _ROUNDING:
            return f"{self._late} of its last {seen} answers took more than {seconds * 1000:g} ms"
        return None
