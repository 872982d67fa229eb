"""Threads that nobody waits for at the end: for work that may never come back, and that nobody needs."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThreads(Executor):
    """A thread for each piece of work, which ends with the process, done or not.

    Args:
        name: of the threads.
        begin: called first in each of them.
    """

    def __init__(self, name: str, begin: Callable[[], None]) -> None:
        self._name = name
        self._begin = begin

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Start the work."""
        future: Future[T] = Future()
        work = partial(self._work, future, partial(fn, *args, **kwargs))
        threading.Thread(target=work, name=self._name, daemon=True).start()
        return future

    def _work(self, future: Future[T], work: Callable[[], T]) -> None:
        self._begin()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - an executor hands every error to whoever waits
                future.set_exception(error)
