"""Taking samples of what requests bring, for a second: what the event loop does for the statistics of inputs.

1. Of each second, the first ``MOST_REQUESTS`` requests of a version are looked at; the others are counted.
2. Of an input, at most ``MOST_VALUES`` are copied, ``MOST_TEXTS`` if they are text: rows at even distances, kept whole
   where the input has columns. Requests that have shared a run are sampled as they were run, all in one.
3. Nothing of this is a caller's business: whatever goes wrong is logged without a word of what was sent, and forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from gateway.serving.batching import Feed
from gateway.serving.runtime import Array
from registry.input_statistics import InputPlan, LookedAt
from registry.records import Version

MOST_REQUESTS: Final = 64
MOST_VALUES: Final = 4096
MOST_TEXTS: Final = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of one input, of one request or of several that have shared a run."""

    table: NDArray[Any]
    requests: int
    size_bytes: int


@dataclass(slots=True, kw_only=True)
class Second:
    """What has been taken of one version since the last look."""

    requests: int = 0
    skipped: int = 0
    size_bytes: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    """By input."""


class Samples:
    """What waits to be looked at, of all versions; belongs to one event loop.

    Args:
        most_bytes: how much of it there may be.
    """

    def __init__(self, most_bytes: int = 16 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._waiting: dict[tuple[str, int], tuple[Version, Second]] = {}
        self.size_bytes = 0
        """Of what waits; whoever takes it takes it off when it is gone."""

    def of(self, version: Version) -> Second:
        """Return what has been taken of a version in this second."""
        found = self._waiting.get((version.model, version.number))
        if found is None:
            found = self._waiting[version.model, version.number] = version, Second()
        return found[1]

    def add(self, second: Second, requests: int, samples: Sequence[tuple[str, Sample]]) -> None:
        """Keep the samples of some requests, if there is room for all of them."""
        size_bytes = sum(sample.size_bytes for _, sample in samples)
        if self.size_bytes + size_bytes > self._most_bytes:
            second.skipped += requests
            return
        self.size_bytes += size_bytes
        second.size_bytes += size_bytes
        second.requests += requests
        for name, sample in samples:
            second.samples.setdefault(name, []).append(sample)

    def take(self) -> list[tuple[Version, Second]]:
        """Return all that waits, which is its owner's now; a new second begins."""
        taken, self._waiting = self._waiting, {}
        return list(taken.values())


class InputTap:
    """Where the requests of one version are offered to be looked at; belongs to one event loop.

    Args:
        version: whose these are.
        plan: of its signature.
        samples: where they go.
        take_room: tells whether this version may be looked at; asked once, with the first request.
    """

    __slots__ = ("_has_failed", "_is_open", "_plan", "_samples", "_take_room", "_version")

    def __init__(
        self, version: Version, plan: InputPlan, samples: Samples, take_room: Callable[[Version, InputPlan], bool]
    ) -> None:
        self._version = version
        self._plan = plan
        self._samples = samples
        self._take_room = take_room
        self._is_open: bool | None = None
        self._has_failed = False

    def offer(self, feed: Feed, outputs: tuple[str, ...] | None, arrays: Sequence[Array]) -> None:  # noqa: ARG002
        """Take a sample of one request, if this second has had few."""
        self._offer(feed, (1,))

    def offer_rows(
        self,
        feed: Feed,
        counts: Sequence[int],
        outputs: tuple[str, ...] | None,  # noqa: ARG002 - what was answered is not looked at
        arrays: Sequence[Array],  # noqa: ARG002
    ) -> None:
        """Take a sample of requests that have shared a run; of the first ones, if this second has no room for all."""
        self._offer(feed, counts)

    def _offer(self, feed: Feed, counts: Sequence[int]) -> None:
        if self._is_open is None:
            self._is_open = self._take_room(self._version, self._plan)
        if not self._is_open:
            return
        second = self._samples.of(self._version)
        count = max(0, min(len(counts), MOST_REQUESTS - second.requests))
        second.skipped += len(counts) - count
        if not count:
            return
        try:
            self._take(second, feed, counts, count)
        except Exception as error:  # noqa: BLE001 - the caller has its answer, and must not get another one
            second.skipped += count
            self._tell_once(error)

    def _take(self, second: Second, feed: Feed, counts: Sequence[int], count: int) -> None:
        rows = None if count == len(counts) else sum(counts[:count])
        brought = [looked for looked in self._plan.inputs if looked.name in feed]
        found = [(looked.name, sample_of(looked, feed[looked.name], rows, count)) for looked in brought]
        self._samples.add(second, count, found)

    def _tell_once(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            tell(self._version, error)


def sample_of(looked: LookedAt, array: Array, rows: int | None, requests: int) -> Sample:
    """Return a copy of some of what an array brings.

    Args:
        looked: the input.
        array: its values.
        rows: of the first dimension, so many are those of the requests; None for all.
        requests: how many have brought it; whoever has brought no row does not count.
    """
    table = looked.table(array if rows is None else array[:rows])
    most = max(1, (MOST_TEXTS if looked.is_text else MOST_VALUES) // looked.width)
    if len(table) > most:
        table, requests = table[np.arange(most) * len(table) // most], 1  # most of them may be of one request
    else:
        table, requests = table.copy(), min(requests, len(table))
    return Sample(table, requests, _bytes_of(table))


def _bytes_of(table: NDArray[Any]) -> int:
    return sum(map(len, table.flat)) if table.dtype.kind == "O" else table.nbytes


def tell(version: Version, error: Exception) -> None:
    """Log a mistake about a version's inputs by its name only: its text, or a stack, might say what somebody sent."""
    name = type(error).__name__
    structlog.get_logger().error("inputs_not_looked_at", model=version.model, version=version.number, error=name)
