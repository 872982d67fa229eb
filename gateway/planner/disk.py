"""What lies on a host's disk: what was used last, up to the limit, as ``model_store.shared_folders`` keeps it."""

from collections import OrderedDict
from typing import Final

_KEPT: Final = 0.9
"""The cache goes down to that part of its limit, so that it does not look for victims at each fetch."""


class Disk:
    """The disk cache of one host, which all its workers share.

    Args:
        limit_bytes: what it may hold.
    """

    def __init__(self, limit_bytes: float) -> None:
        self._limit_bytes = limit_bytes
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self._bytes = 0
        self.fetched_bytes = 0
        """What came from the store."""

    def fetch(self, version: int, size_bytes: int) -> bool:
        """Have a version's files; return whether they had to be fetched from the store."""
        if version in self._sizes:
            self._sizes.move_to_end(version)
            return False
        self.fetched_bytes += size_bytes
        self._sizes[version] = size_bytes
        self._bytes += size_bytes
        if self._bytes > self._limit_bytes:
            while self._bytes > _KEPT * self._limit_bytes and len(self._sizes) > 1:
                self._bytes -= self._sizes.popitem(last=False)[1]
        return True
