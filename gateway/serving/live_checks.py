"""Trying is not proving: now and then, an answer out of a shared run is compared with the same request run alone.

1. The first shared run of a version is checked, then one after a second, and then ever more rarely, up to one a minute:
   one of its requests, with marks of what is missing if there is such a one.
2. It waits until nothing has been run for a moment, so that nobody waits for it; but not for ever.
3. What the level of the proof promises is what must hold: the same bits, or closeness. A difference beyond that ends
   the sharing of this version's runs, in this process at once.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from gateway.serving.batching import Feed
from gateway.serving.course import Course
from gateway.serving.runtime import Array
from registry.batching import Level
from registry.errors import ServiceError
from registry.records import Version
from registry.same_answers import compare

_QUIET_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_MAX_WAITING: Final = 16
_MAX_ELEMENTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Sample:
    """One request's part of a shared run."""

    course: Course
    feed: Feed
    outputs: tuple[str, ...]
    answer: list[Array]
    taken_at: float


class LiveChecks:
    """Compares samples when there is time; belongs to one event loop.

    Args:
        run_alone: runs a feed of a version alone; None if the version is not loaded any more.
        differed: told of a version whose sample differed.
        count_runs: tells how many runs there have been.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        run_alone: Callable[[Course, Feed, tuple[str, ...]], Awaitable[list[Array] | None]],
        differed: Callable[[Version], None],
        count_runs: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_alone = run_alone
        self._differed = differed
        self._count_runs = count_runs
        self._clock = clock
        self._samples: list[_Sample] = []
        self._task: asyncio.Task[None] | None = None

    def add(
        self,
        course: Course,
        feed_of: Callable[[int], Feed],
        outputs: tuple[str, ...],
        shares: Sequence[list[Array]],
    ) -> None:
        """Take one request's part of a shared run, to be compared later.

        Args:
            course: of the version.
            feed_of: tells what a request brought, by its place.
            outputs: what was asked for.
            shares: what the requests got, by place.
        """
        now = self._clock()
        course.check_at = now + course.check_after
        course.check_after = min(2 * course.check_after, _LONGEST_PAUSE_SECONDS)
        feed, place = _sample(feed_of, len(shares))
        if len(self._samples) >= _MAX_WAITING or sum(array.size for array in feed.values()) > _MAX_ELEMENTS:
            return
        rows = {name: array.copy() for name, array in feed.items()}
        self._samples.append(_Sample(course, rows, outputs, [array.copy() for array in shares[place]], now))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._compare_all())

    async def _compare_all(self) -> None:
        while self._samples:
            runs = self._count_runs()
            await asyncio.sleep(_QUIET_SECONDS)
            sample = self._samples[0]
            if self._count_runs() == runs or self._clock() - sample.taken_at >= _PATIENCE_SECONDS:
                self._samples.pop(0)
                await self._compare(sample)

    async def _compare(self, sample: _Sample) -> None:
        course = sample.course
        level = course.rule.level
        try:
            alone = await self._run_alone(course, sample.feed, sample.outputs)
        except ServiceError:
            return  # nothing can be said of it now
        if alone is None or level is Level.NONE:
            return
        match = compare(alone, sample.answer)
        if match.is_close if level is Level.CLOSE else match.is_same:
            return
        structlog.get_logger().error(
            "batching_differed",
            model=course.version.model,
            version=course.version.number,
            promised=level.value,
            difference=match.difference,
        )
        self._differed(course.version)


def _sample(feed_of: Callable[[int], Feed], count: int) -> tuple[Feed, int]:
    """Return one of the requests: one that made-up rows are least like, if there is one, else any."""
    feeds = [feed_of(place) for place in range(count)]
    odd = [place for place, feed in enumerate(feeds) if any(map(_is_odd, feed.values()))]
    place = random.choice(odd or range(count))  # noqa: S311 - a sample
    return feeds[place], place


def _is_odd(array: Array) -> bool:
    match array.dtype.kind:
        case "f":
            return not np.isfinite(array).all()
        case "i":
            return bool((array < 0).any())
        case _:
            return False
