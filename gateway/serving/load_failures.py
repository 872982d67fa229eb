"""Which versions did not load, and how long nobody tries them again.

1. A load that failed is not tried again for 1 s, then 2, 4 and so on up to 300 s; a load that succeeds forgets all.
2. What is the store's trouble and not the model's (files missing or damaged, no answer, no disk) keeps its own class
   and is remembered for 1 s only: it ends when an operator ends it.
3. The table is bounded; what failed longest ago is forgotten first.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass
from functools import partial

from registry.errors import Busy, Fault, LoadFailed, ServiceError

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Failure:
    error: ServiceError
    until: float
    backoff_seconds: float


class LoadFailures:
    """Remembered load failures by version; times are seconds of ``clock``, which must be monotonic."""

    def __init__(self, clock: Callable[[], float], *, max_remembered: int = 10_000) -> None:
        self._clock = clock
        self._max_remembered = max_remembered
        self._failures: OrderedDict[Hashable, _Failure] = OrderedDict()

    def find(self, key: Hashable) -> ServiceError | None:
        """Return the error to answer with, new at each call, or None if loading may be tried."""
        failure = self._failures.get(key)
        if failure is None or self._clock() >= failure.until:
            return None
        return self._answer(failure)

    def remember(self, key: Hashable, error: BaseException) -> Callable[[], ServiceError]:
        """Note that a load has failed and return a maker of errors to answer with.

        An error that is neither Busy nor a Fault is the loader's trouble with the model: LoadFailed, its cause chained.
        """
        known = error if isinstance(error, Busy | Fault) else _as_load_failure(error)
        before = self._failures.pop(key, None)
        backoff_seconds = FIRST_BACKOFF_SECONDS
        if before is not None and isinstance(known, LoadFailed):
            backoff_seconds = min(MAX_BACKOFF_SECONDS, 2 * before.backoff_seconds)
        failure = _Failure(known, self._clock() + backoff_seconds, backoff_seconds)
        self._failures[key] = failure
        if len(self._failures) > self._max_remembered:
            self._failures.popitem(last=False)
        return partial(self._answer, failure)

    def forget(self, key: Hashable) -> None:
        """Note that the version has loaded."""
        self._failures.pop(key, None)

    def _answer(self, failure: _Failure) -> ServiceError:
        # One instance for each caller: raising a shared one would tie their tracebacks together.
        remaining_seconds = max(1, math.ceil(failure.until - self._clock()))
        answer = copy(failure.error)
        answer.retry_after_seconds = remaining_seconds
        answer.__cause__ = failure.error.__cause__
        return answer


def _as_load_failure(error: BaseException) -> LoadFailed:
    failure = LoadFailed("the model could not be loaded")
    failure.__cause__ = error
    return failure
