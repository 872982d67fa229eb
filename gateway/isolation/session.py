"""An isolated version's session: its origin, a child that runs it, one that is ready, and whoever waits.

1. One run at a time, and the callers take turns: whoever sends what kills the child waits like everybody else, and a
   child that dies takes nobody along but the request that it was running.
2. A child that dies is replaced by the one that is ready, and another is ordered. If the origin has died too, it is
   started anew.
3. Who was alone in a child that dies is told so: the run took too much time or memory, or crashed. Only where the child
   had served others before, and its memory may have been damaged then, is the request run again, once, in a new child.
4. A thread does all this, since it blocks. It belongs to the session and ends with it.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from time import monotonic
from typing import Any, Final, Literal, Protocol

import structlog

from gateway.isolation.origin import Child, DeathError, Origin
from gateway.serving.batching import Feed
from gateway.serving.isolated import Line, Work
from gateway.serving.runtime import Array, Cancellation
from registry.errors import (
    DeadlinePassed,
    InternalError,
    LoadFailed,
    ModelCrashed,
    ModelOutOfMemory,
    OutputNotText,
    Overloaded,
    RunFailed,
    ServiceError,
)
from registry.records import Version
from registry.standing import Stage

_PROCESS_BYTES: Final = 48 * 1024 * 1024
"""What the origin and two children take beside the model."""

_LATE: Final = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT"})
"""The deaths that an earlier run may have caused."""

_RUN_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05

_ERRORS: Final[dict[str, type[ServiceError]]] = {
    error.__name__: error for error in (RunFailed, OutputNotText, DeadlinePassed, ModelOutOfMemory)
}


class Watching(Protocol):
    """Who is told how the children of versions fare; any thread may tell."""

    def note_death(self, version: Version, *, stage: Stage, cause: str) -> ServiceError | None:
        """Take note of a death; return what to tell whoever comes now, if the version is not to be run any more."""
        ...

    def note_answer(self, version: Version) -> None:
        """Take note of a good answer."""
        ...


class ChildSession:
    """A version's runs in child processes; ``begin`` and ``run`` may be called by any thread.

    Args:
        version: which.
        start: starts an origin; called again where one has died; raises as ``Origin``.
        watching: is told how it goes.
        max_queue: how much may wait.

    Raises:
        LoadFailed: it does not load, or dies of it.
        InternalError: no process can be started.
    """

    is_elsewhere: Literal[True] = True
    threads = 1

    def __init__(
        self,
        version: Version,
        start: Callable[[], Origin],
        *,
        watching: Watching,
        max_queue: int,
    ) -> None:
        began = monotonic()
        self.is_displaced = False
        self.memory_bytes: int | None = version.inspection.memory_bytes + _PROCESS_BYTES
        self._version = version
        self._watching = watching
        self._start = start
        self._origin = self._begin()
        self._child: Child | None = None
        self._ready = self._origin.order()
        self._line = Line(max_queue, self._crowded)
        self._is_open = True
        self._closed: Callable[[], None] = lambda: None
        self.load_seconds = monotonic() - began
        self._thread = threading.Thread(target=self._keep, name="isolated", daemon=True)
        self._thread.start()

    def begin(self, work: Work) -> None:
        """Have it run when its turn comes; ``work.answer`` is resolved then.

        Raises:
            Overloaded: too many wait.
        """
        self._line.add(work)

    def run(self, outputs: Sequence[str], feed: Feed, cancellation: Cancellation) -> list[Array]:
        """Run the model, as ``Session.run`` does; blocks."""
        work = Work(feed, outputs, monotonic() + _RUN_SECONDS, caller=None)
        self.begin(work)
        while True:
            with suppress(TimeoutError):
                return work.answer.result(_LOOK_SECONDS)
            if cancellation.is_cancelled:
                work.give_up()

    def when_closed(self, closed: Callable[[], None]) -> None:
        """Have this called once the session has been closed."""
        self._closed = closed

    def close(self) -> None:
        """End the processes; blocks for a moment."""
        self._is_open = False
        for work in self._line.close():
            work.settle(_closing())
        running = self._child
        if running is not None:
            running.kill()
        self._thread.join()
        for child in (self._child, self._ready):
            if child is not None:
                child.close()
        self._origin.close()
        self._closed()

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while (work := self._line.next()) is not None:
            try:
                work.settle(self._attend(work))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer, and so does the next
                if not isinstance(error, ServiceError):
                    structlog.get_logger().error("isolated_run_failed", model=self._version.model, exc_info=error)
                work.settle(error)
            del work

    def _attend(self, work: Work) -> list[Array] | Exception:
        """Return what becomes of some work: it is run once, or twice (rule 3)."""
        death = None
        for _ in range(2):
            seconds = work.deadline - monotonic()
            if not work.is_wanted or seconds <= 0:
                return DeadlinePassed("the request waited in the queue for too long", retry_after_seconds=1)
            child = self._meet()
            work.began = monotonic()
            try:
                words, arrays = child.ask(work.feed, work.outputs, seconds, lambda: work.is_wanted)
            except DeathError as error:
                if not self._is_open:
                    return _closing()
                death = error
                may_be_innocent = child.answered_count > 0 and error.cause in _LATE
                stop = self._bury(child, error)
                if stop is not None:
                    self._refuse_all(stop)
                    return stop
                if not may_be_innocent:
                    break
            else:
                work.ended = monotonic()
                return self._outcome(words, arrays)
        return _told(death)

    def _meet(self) -> Child:
        """Return a child that is there, and have the next one made."""
        if self._child is not None:
            return self._child
        for _ in range(2):
            child = self._ready or self._origin.order()
            self._ready = None
            if child is not None and child.meet():
                self._child, self._ready = child, self._origin.order()
                if not self._is_open:  # whoever closes it has not seen this child, which would run to the deadline
                    raise _closing()
                return child
            if child is not None:
                child.close()
            self._origin.close()
            self._origin = self._begin()
        raise InternalError("no child process is to be had")

    def _bury(self, child: Child, death: DeathError) -> ServiceError | None:
        child.close()
        self._child = None
        structlog.get_logger().warning(
            "isolated_child_died", model=self._version.model, version=self._version.number, cause=death.cause
        )
        return self._watching.note_death(self._version, stage=Stage.RUN, cause=death.cause)

    def _refuse_all(self, stop: ServiceError) -> None:
        """Tell everybody who waits, and who comes, that the version is not run any more."""
        for work in self._line.close():
            work.settle(copy(stop))

    def _begin(self) -> Origin:
        try:
            return self._start()
        except DeathError as death:
            self._watching.note_death(self._version, stage=Stage.LOAD, cause=death.cause)
            raise LoadFailed(f"the model has ended its process while it was loaded ({death.cause})") from death

    def _outcome(self, words: dict[str, Any], arrays: list[Array]) -> list[Array] | ServiceError:
        """Return what a child has answered; that there was no memory for a run says nothing for the version."""
        error = None if words["error"] is None else _ERRORS.get(words["error"], InternalError)(str(words["detail"]))
        if not isinstance(error, ModelOutOfMemory):
            self._watching.note_answer(self._version)
        return arrays if error is None else error

    def _crowded(self) -> ServiceError:
        return Overloaded(f"too many requests wait for {self._version.model} already", retry_after_seconds=1)


def _closing() -> ServiceError:
    return Overloaded("the model leaves its process", retry_after_seconds=1)


def _told(death: DeathError | None) -> ServiceError:
    """Return what the caller is told whose request has ended a child."""
    if death is not None and death.is_for_memory:
        return ModelOutOfMemory("the run took more memory than a run may")
    if death is not None and death.is_for_time:
        return DeadlinePassed("the run took too long")
    return ModelCrashed("the model crashed on this request, in a process of its own")
