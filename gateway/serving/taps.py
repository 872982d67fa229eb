"""Where requests are offered once they are answered, for whoever looks at some of them."""

from collections.abc import Sequence
from typing import Protocol

from gateway.serving.batching import Feed
from gateway.serving.runtime import Array


class AnyTap(Protocol):
    """Takes what it wants of live requests, quickly and on the event loop; raises nothing that is its own mistake."""

    def offer(self, feed: Feed, outputs: tuple[str, ...] | None, arrays: Sequence[Array]) -> None:
        """Take a copy of one request that has been answered, perhaps.

        Args:
            feed: its inputs.
            outputs: the names of those that were wanted; None for all.
            arrays: the answer, in their order.
        """
        ...

    def offer_rows(
        self, feed: Feed, counts: Sequence[int], outputs: tuple[str, ...] | None, arrays: Sequence[Array]
    ) -> None:
        """Take copies of some of the requests that have shared a run, each of them with so many rows."""
        ...


class BothTaps:
    """Offers to one, then to another."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: AnyTap, second: AnyTap) -> None:
        self._first = first
        self._second = second

    def offer(self, feed: Feed, outputs: tuple[str, ...] | None, arrays: Sequence[Array]) -> None:
        """Offer to both; see ``AnyTap``."""
        self._first.offer(feed, outputs, arrays)
        self._second.offer(feed, outputs, arrays)

    def offer_rows(
        self, feed: Feed, counts: Sequence[int], outputs: tuple[str, ...] | None, arrays: Sequence[Array]
    ) -> None:
        """Offer to both; see ``AnyTap``."""
        self._first.offer_rows(feed, counts, outputs, arrays)
        self._second.offer_rows(feed, counts, outputs, arrays)


def both_taps(first: AnyTap | None, second: AnyTap) -> AnyTap:
    """Return what offers to both, if there are two."""
    return second if first is None else BothTaps(first, second)
