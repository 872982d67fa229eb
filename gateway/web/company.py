"""Requests of one tick that may share runs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gateway.serving.runtime import Array
from gateway.web.asked import Asked
from gateway.web.endpoint import Endpoint


class Company:
    """Requests that may share runs with each other.

    Args:
        endpoint: of all.
        outputs: which are wanted; None for all.
        join: makes one feed of what several bring; None if it cannot be joined.
    """

    __slots__ = (
        "asked",
        "contents",
        "counts",
        "decode_began",
        "decode_ended",
        "endpoint",
        "has_ids",
        "join",
        "outputs",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        outputs: tuple[str, ...] | None,
        join: Callable[[Sequence[Any]], dict[str, Array] | None],
    ) -> None:
        self.endpoint = endpoint
        self.outputs = outputs
        self.join = join
        self.asked: list[Asked] = []
        self.counts: list[int] = []
        """How many rows each brings."""
        self.contents: list[Any] = []
        """The rows of each, in the form that ``join`` takes."""
        self.has_ids = False
        """True if one of the bodies has an id."""
        self.decode_began = self.decode_ended = 0.0
        """The time that reading and joining what they bring has taken, as if all of it had been done in one go."""

    def add(self, asked: Asked, count: int, content: Any) -> None:
        """Take a request in."""
        self.asked.append(asked)
        self.counts.append(count)
        self.contents.append(content)

    def offer(self, feed: dict[str, Array], arrays: list[Array]) -> None:
        """Let what the requests have run together be looked at, where somebody looks."""
        tap = self.endpoint.tap
        if tap is not None:
            tap.offer_rows(feed, self.counts, self.outputs, arrays)

    def part(self, begin: int, end: int) -> "Company":
        """Return some of the requests, in their order."""
        part = Company(self.endpoint, self.outputs, self.join)
        part.asked, part.counts = self.asked[begin:end], self.counts[begin:end]
        part.contents, part.has_ids = self.contents[begin:end], self.has_ids
        part.decode_began, part.decode_ended = self.decode_began, self.decode_ended
        return part

    def batches(self, max_rows: int) -> Iterator["Company"]:
        """Yield the requests in their order, in batches of at most so many rows."""
        if sum(self.counts) <= max_rows:
            yield self
            return
        begin = rows = 0
        for place, count in enumerate(self.counts):
            if rows and rows + count > max_rows:
                yield self.part(begin, place)
                begin, rows = place, 0
            rows += count
        yield self.part(begin, len(self.counts))
