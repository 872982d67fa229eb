"""Where models are loaded: those that have to be fetched first wait apart from those that are at hand.

A store that says nothing can hold every thread that fetches. What lies in the cache already must not wait behind that,
nor may the memory of a session that is dropped.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Protocol, TypeVar

from registry.artifact import Artifact
from registry.records import Version

T = TypeVar("T")


class Cached(Protocol):
    """What can tell whether an artifact is at hand."""

    def has(self, artifact: Artifact) -> bool:
        """Return whether it is, by a look at the disk."""
        ...


class LoadPlaces(Executor):
    """Two executors as one; work whose first argument is a version that none of ``cached`` has goes to ``far``."""

    def __init__(self, cached: Sequence[Cached], *, near: Executor, far: Executor) -> None:
        self._cached = cached
        self._near = near
        self._far = far

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Do the work where it belongs."""
        is_far = bool(args) and isinstance(args[0], Version) and not self._is_at_hand(args[0].artifact)
        return (self._far if is_far else self._near).submit(fn, *args, **kwargs)

    def _is_at_hand(self, artifact: Artifact) -> bool:
        return any(cached.has(artifact) for cached in self._cached)
