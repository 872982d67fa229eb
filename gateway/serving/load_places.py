"""Where models are loaded: those that have to be fetched first wait apart from those that are at hand.

A store that says nothing can hold every thread that fetches. What lies in the cache already must not wait behind that,
nor may the memory of a session that is dropped. What turns out on the way not to be at hand (a prepared model that is
damaged, the copy gone) steps aside, and is begun again where others fetch; so does what waits for a child process.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from typing import Any, Protocol, TypeVar

from registry.artifact import Artifact
from registry.records import Version

T = TypeVar("T")


class Cached(Protocol):
    """What can tell whether an artifact is at hand."""

    def has(self, artifact: Artifact) -> bool:
        """Return whether it is, by a look at the disk."""
        ...


class _NotAtHandError(Exception):
    """Work in a near place would have to fetch something."""


class LoadPlaces(Executor):
    """Two executors as one; work whose first argument is a version that none of ``cached`` has goes to ``far``.

    Args:
        cached: what a version can be loaded from without fetching.
        copies: that of them which is left when the others prove to be damaged.
        near: where nothing is fetched.
        far: where all else is done.
    """

    def __init__(self, cached: Sequence[Cached], copies: Cached, *, near: Executor, far: Executor) -> None:
        self._cached = cached
        self._copies = copies
        self._near = near
        self._far = far
        self._here = threading.local()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Do the work where it belongs."""
        if not args or not isinstance(args[0], Version):
            return self._near.submit(fn, *args, **kwargs)
        work = partial(fn, *args, **kwargs)
        if not any(cached.has(args[0].artifact) for cached in self._cached):
            return self._far.submit(work)
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        self._near.submit(self._work_near, work).add_done_callback(partial(self._go_on, work, answer))
        return answer

    def step_aside(self, artifact: Artifact) -> None:
        """To be called by the work before it fetches: where nothing is fetched, it ends here and begins elsewhere."""
        if getattr(self._here, "is_near", False) and not self._copies.has(artifact):
            raise _NotAtHandError

    def go_far(self) -> None:
        """To be called by the work before it waits for something else: it begins again where that holds up nobody."""
        if getattr(self._here, "is_near", False):
            raise _NotAtHandError

    def _work_near(self, work: Callable[[], T]) -> T:
        self._here.is_near = True
        try:
            return work()
        finally:
            self._here.is_near = False

    def _go_on(self, work: Callable[[], T], answer: Future[T], done: Future[T]) -> None:
        if not done.cancelled() and isinstance(done.exception(), _NotAtHandError):
            try:
                self._far.submit(work).add_done_callback(partial(_pass_on, answer))
            except RuntimeError as error:  # the worker is ending
                answer.set_exception(error)
        else:
            _pass_on(answer, done)


def _pass_on(answer: Future[T], done: Future[T]) -> None:
    error = CancelledError() if done.cancelled() else done.exception()
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
