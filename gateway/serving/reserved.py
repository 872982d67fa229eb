"""Whose sessions never make room for others: those pinned, and those that answer while a successor is loaded."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from gateway.serving.cache_entry import Key

FindBytes = Callable[[Key], int | None]
"""Tells what the session of a version takes that is loaded or being loaded; None if there is none."""


class Reserved:
    """The versions that stay; belongs to one event loop.

    Args:
        budget_bytes: what all sessions together may take.
        find_bytes: what those take that there are.
    """

    def __init__(self, budget_bytes: int, find_bytes: FindBytes) -> None:
        self._budget_bytes = budget_bytes
        self._find_bytes = find_bytes
        self._pinned: frozenset[Key] = frozenset()
        self._kept: Counter[Key] = Counter()

    def __contains__(self, key: Key) -> bool:
        """Return whether the version's session has to stay."""
        return key in self._pinned or key in self._kept

    def has_pin(self, model: str) -> bool:
        """Return whether a version of the model is pinned."""
        return any(key[0] == model for key in self._pinned)

    def pin(self, keys: Iterable[Key]) -> None:
        """Let these stay; what was pinned before does not any more."""
        self._pinned = frozenset(keys)

    @contextmanager
    def keeping(self, key: Key) -> Iterator[None]:
        """Let this one stay for as long as the block takes."""
        self._kept[key] += 1
        try:
            yield
        finally:
            self._kept[key] -= 1
            if not self._kept[key]:
                del self._kept[key]

    def fault(self, key: Key, size_bytes: int) -> str:
        """Return why there can be no room for a session of this size; empty if there can be."""
        takes = f"the model takes {size_bytes} bytes of memory"
        if size_bytes > self._budget_bytes:
            return f"{takes}, more than the whole budget of {self._budget_bytes} bytes"
        free_bytes = self._free_bytes(key, self._pinned)
        return f"{takes}, and pinned models leave {free_bytes} bytes" if size_bytes > free_bytes else ""

    def fits_beside(self, key: Key, size_bytes: int, other: Key) -> bool:
        """Return whether there can be room for a session of this size while another one stays."""
        return size_bytes <= self._free_bytes(key, self._pinned | {other})

    def _free_bytes(self, key: Key, staying: frozenset[Key]) -> int:
        return self._budget_bytes - sum(self._find_bytes(other) or 0 for other in staying if other != key)
