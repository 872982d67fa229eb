"""Requests that share a run: what may be put together, and how it is taken apart again.

1. Only requests of one version, for the same outputs and with the same inner shapes share a run (``registry.batching``
   has the rest of what must be true).
2. A batch has at most the rule's number of rows. A request with as many rows, or more, runs by itself; so does one
   without any.
3. Where the rule pads, a single row runs as two of itself, alone or not: then it has the bits that it has in company.
4. What an owner has switched off in mid-flight is off for the next run: rules are looked up, not kept.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np

from gateway.serving.cache_entry import Key
from gateway.serving.runtime import Array
from registry.batching import NEVER, BatchReport, BatchRule, Shapes, rule_of
from registry.records import Version

Feed: TypeAlias = dict[str, Array]

_MAX_RULES: Final = 20_000


class BatchRules:
    """The rule of each version on this host; belongs to one event loop.

    Args:
        host: ``registry.inspection.host.host_key``.
        find_report: tells what was found out on this host about a version that another host has inspected.
    """

    def __init__(self, host: str, find_report: Callable[[Version], BatchReport | None] = lambda _: None) -> None:
        self._host = host
        self._find_report = find_report
        self._rules: dict[Key, tuple[Version, BatchRule]] = {}
        self._broken: set[Key] = set()

    def of(self, version: Version) -> BatchRule:
        """Return the rule of a version as it stands now."""
        key = (version.model, version.number)
        known = self._rules.get(key)
        if known is not None and known[0] is version:
            return known[1]
        return self._make(key, version)

    def forget(self, version: Version) -> None:
        """Look again: something has been found out about the version."""
        self._rules.pop((version.model, version.number), None)

    def switch_off(self, version: Version) -> None:
        """Never again put requests of this version together, for as long as this process lives."""
        key = (version.model, version.number)
        self._broken.add(key)
        self._rules[key] = (version, NEVER)

    def report_of(self, version: Version) -> BatchReport | None:
        """Return what is known for this host."""
        report = version.inspection.batch
        return report if report is not None and report.host == self._host else self._find_report(version)

    def _make(self, key: Key, version: Version) -> BatchRule:
        rule = NEVER if key in self._broken else rule_of(version.batching, self.report_of(version), self._host)
        if len(self._rules) >= _MAX_RULES:
            del self._rules[next(iter(self._rules))]
        self._rules[key] = (version, rule)
        return rule


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
    """Yield each request's own rows of the outputs; counts may leave rows over at the end."""
    begin = 0
    for count in counts:
        end = begin + count
        yield [array[begin:end] for array in arrays]
        begin = end


def has_rows(arrays: Sequence[Array], rows: int) -> bool:
    """Return whether every output has one row for each row that went in; what has not cannot be taken apart."""
    return all(getattr(array, "ndim", 0) > 0 and len(array) == rows for array in arrays)
