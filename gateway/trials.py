"""What an alias is tried with: its canary is watched, its answers are offered to a shadow.

1. An alias that has neither is answered by the endpoint of its version and costs nothing more.
2. A canary's answers are counted apart, and a canary that passes its limits is dropped: the alias sends everything to
   its own version again, with a reason in the feed. That is tried until the registry answers.
3. An alias that is read again because something about a version has changed goes on with the window that it had; one
   that has been changed itself begins a new one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog

from gateway.metrics import Metrics
from gateway.serving.canary_watch import CanaryWatch
from gateway.serving.routes import Reading
from gateway.serving.shadowing import Shadowing, Tap
from gateway.serving.taps import both_taps
from gateway.web.endpoint import Counting, Endpoint
from registry.promotion import Promotion
from registry.records import Alias, Canary, Version

OURSELVES = "gateway"
"""Who acts in the history where nobody asked for it."""

_AGAIN_SECONDS = 5.0
_MOST_WATCHES = 10_000


class Trials:
    """Stands between aliases and endpoints; belongs to one event loop.

    Args:
        metrics: where canaries are counted.
        promotion: drops canaries.
        executor: where it is called; one thread.
        shadowing: compares.
        loaded_at: tells when a version was loaded, by the monotonic clock.
    """

    def __init__(
        self,
        metrics: Metrics,
        promotion: Promotion,
        *,
        executor: Executor,
        shadowing: Shadowing,
        loaded_at: Callable[[Version], float] = lambda _: 0.0,
    ) -> None:
        self._metrics = metrics
        self._promotion = promotion
        self._executor = executor
        self._shadowing = shadowing
        self._loaded_at = loaded_at
        self._watches: dict[tuple[str, str], tuple[int, CanaryWatch]] = {}
        """By model and alias, with the alias's generation."""

    def attend(self, reading: Reading, main: Endpoint, canary: Endpoint | None) -> tuple[Endpoint, Endpoint | None]:
        """Return what answers for an alias in place of the endpoints of its version and its canary."""
        alias = reading.alias
        if alias is None:
            return main, canary
        if canary is not None and alias.canary is not None:
            canary = replace(canary, counts=self._watched(alias, alias.canary, canary))
        if reading.shadow is not None and alias.shadow is not None and (trial := alias.trial) is not None:
            share = alias.shadow.percent / 100
            tap = Tap(trial, reading.shadow, share, main.output_names, self._shadowing)
            main = replace(main, tap=both_taps(main.tap, tap))
        return main, canary

    def _watched(self, alias: Alias, canary: Canary, endpoint: Endpoint) -> Counting:
        key = alias.model, alias.name
        generation, watch = self._watches.get(key) or (0, None)
        if watch is None or generation != alias.generation:
            loaded_at = partial(self._loaded_at, endpoint.version)
            watch = CanaryWatch(canary, self._dropper(alias), loaded_at=loaded_at)
            self._watches[key] = alias.generation, watch
            if len(self._watches) > _MOST_WATCHES:
                del self._watches[next(iter(self._watches))]
        apart = self._metrics.of_canary(alias.model, alias.name, canary.version)
        return _CountsOfMany((endpoint.counts, apart, watch))

    def _dropper(self, alias: Alias) -> Callable[[str], None]:
        loop = asyncio.get_running_loop()
        log = structlog.get_logger().bind(model=alias.model, alias=alias.name)

        def drop(reason: str) -> None:
            log.error("canary_dropped", reason=reason)
            submit(reason)

        def submit(reason: str) -> None:
            with suppress(RuntimeError):  # the worker is ending
                self._executor.submit(drop_now, reason)

        def drop_now(reason: str) -> None:
            try:
                self._promotion.drop_canary(alias, actor=OURSELVES, reason=f"canary dropped: {reason}")
            except Exception as error:  # noqa: BLE001 - whatever it is, the canary has to go
                log.warning("canary_not_dropped_yet", error=type(error).__name__)
                with suppress(RuntimeError):  # as above
                    loop.call_soon_threadsafe(loop.call_later, _AGAIN_SECONDS, submit, reason)

        return drop


class _CountsOfMany:
    """Counts into several."""

    __slots__ = ("_counts",)

    def __init__(self, counts: tuple[Counting, ...]) -> None:
        self._counts = counts

    def add(self, code: str, seconds: float, count: int = 1) -> None:
        """Count answers; see ``Counting``."""
        for counts in self._counts:
            counts.add(code, seconds, count)
