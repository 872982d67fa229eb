"""Requests that share a run: what may be put together, and how it is taken apart again.

1. Only requests of one version, for the same outputs and with the same inner shapes share a run (``registry.batching``
   has the rest of what must be true).
2. A batch has at most the rule's number of rows. A request with as many rows, or more, runs by itself; so does one
   without any.
3. Where the rule pads, a single row runs as two of itself, alone or not: then it has the bits that it has in company.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from gateway.serving.cache_entry import Key
from gateway.serving.runtime import Array
from registry.batching import NEVER, BatchReport, BatchRule, Shapes, rule_of
from registry.records import Version

Feed: TypeAlias = dict[str, Array]


class BatchRules:
    """The rule of each version on this host.

    Args:
        host: ``registry.inspection.host.host_key``.
        find_report: tells what was found out on this host about a version, in a moment.
    """

    def __init__(self, host: str, find_report: Callable[[Version], BatchReport | None]) -> None:
        self._host = host
        self._find_report = find_report
        self._broken: set[Key] = set()

    def of(self, version: Version) -> BatchRule:
        """Return the rule of a version as it stands now."""
        if (version.model, version.number) in self._broken:
            return NEVER
        return rule_of(version.batching, self._find_report(version), self._host)

    def break_(self, version: Version) -> None:
        """Never again put requests of this version together, for as long as this process lives."""
        self._broken.add((version.model, version.number))


def rows_of(feed: Feed) -> int:
    """Return how many rows a feed has; all its inputs have as many, where a rule allows batches at all."""
    return len(next(iter(feed.values())))


def inner_shapes(feed: Feed) -> Shapes:
    """Return the shapes without the rows, in the signature's order."""
    return tuple(array.shape[1:] for array in feed.values())


def may_share(rule: BatchRule, feed: Feed) -> bool:
    """Return whether a feed may share a run with others of its inner shapes."""
    if rule.is_off or not feed:
        return False
    arrays = list(feed.values())
    if not all(array.ndim and len(array) == len(arrays[0]) for array in arrays):
        return False
    return 0 < len(arrays[0]) < rule.max_rows and inner_shapes(feed) in rule.shapes


def join(feeds: Sequence[Feed]) -> Feed:
    """Return one feed with the rows of all, in their order."""
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def split(arrays: Sequence[Array], counts: Sequence[int]) -> Iterator[list[Array]]:
    """Yield each request's own rows of outputs that ``has_rows``."""
    begin = 0
    for count in counts:
        end = begin + count
        yield [array[begin:end] for array in arrays]
        begin = end


def part_of(feed: Feed, place: int, counts: Sequence[int]) -> Feed:
    """Return the rows of one of the requests that were joined."""
    begin = sum(counts[:place])
    return rows_between(feed, begin, begin + counts[place])


def rows_between(feed: Feed, begin: int, end: int) -> Feed:
    """Return some of the rows, as arrays of their own: where an array starts in memory may decide last bits of sums."""
    return {name: array[begin:end].copy() for name, array in feed.items()}


def has_rows(arrays: Sequence[Array], rows: int) -> bool:
    """Return whether every output has one row for each row that went in; what has not cannot be taken apart."""
    return all(getattr(array, "ndim", 0) > 0 and len(array) == rows for array in arrays)
