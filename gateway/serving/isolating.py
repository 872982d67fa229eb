"""Where the runs of each version are made: in this process, in children of its own, or nowhere.

1. The registry says so, in each version's standing, and in its feed. What has happened here and is not written down
   yet comes first: a version that has just ended a worker is not run in another one while the registry is told.
2. Whoever is accused (``gateway.evidence``) is told to the registry by whichever worker comes first, in order. If the
   registry does not answer, it is told later.
3. A worker that crashes is seen by the others at once, before it is known whose it was: until then, whatever it ran
   is run here no more.
4. A child that has died ``_STREAK`` times in a row, and has never answered anybody, dies on every request: the version
   is quarantined. One that has answered, or has come from a worker that did, has to die for ``_QUIET_SECONDS``:
   somebody may want it again. Deaths beyond the second are told to the registry once a minute.
5. A version on probation that has answered so often and so long without a death comes back into this process. Its
   session is older than its probation, most often, and does not know of it: what has been moved here is remembered.

``of`` and the notes may be called by any thread; everything else belongs to one event loop.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.evidence import Accusation, AnswerTimes
from gateway.ledger import Key
from gateway.serving.cache_entry import key_of
from registry.crashes import Crashes
from registry.errors import Conflict, ModelQuarantined, NotFound, ServiceError
from registry.events import Event, EventKind
from registry.records import Version
from registry.standing import LASTING_DEATHS, Death, Isolation, Stage

_STREAK: Final = 5
_QUIET_SECONDS: Final = 5.0
_TELLING_SECONDS: Final = 60.0
_PROBATION_ANSWERS: Final = 200
_PROBATION_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 5.0

_MOVES: Final = {
    EventKind.VERSION_ISOLATED: Isolation.ISOLATED,
    EventKind.VERSION_QUARANTINED: Isolation.QUARANTINED,
    EventKind.VERSION_CLEARED: Isolation.IN_PROCESS,
}
"""Where versions are run after events of these kinds, or may be again."""

_ORDER: Final = (Isolation.IN_PROCESS, Isolation.ISOLATED, Isolation.QUARANTINED)


@dataclass(slots=True)
class _Course:
    """How the children of a version have fared here."""

    streak: int = 0
    dying_since: float = 0.0
    died_at: float = 0.0
    told_count: int = 0
    told_at: float = 0.0
    since: float = 0.0
    answers: int = 0


class Isolating:
    """What this worker knows of where versions run.

    Args:
        crashes: where the registry is told; that blocks.
        executor: where it is done; one thread, so that it is told in order.
        answered: when children of each version last answered, here or in a sibling.
        host: for the record.
        actor: for the record.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        crashes: Crashes,
        *,
        executor: Executor,
        answered: AnswerTimes,
        host: str,
        actor: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._crashes = crashes
        self._executor = executor
        self._changed: Callable[[Key], None] = lambda _: None
        self._answered = answered
        self._host = host
        self._actor = actor
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._lock = threading.Lock()
        self._here: dict[Key, Isolation] = {}
        self._courses: dict[Key, _Course] = {}
        self._suspected: set[Key] = set()
        self._followed: dict[Key, int] = {}
        self.death_count = 0
        """Of children, since the start."""

    def start(self, changed: Callable[[Key], None]) -> None:
        """Have this called, on the event loop, for each version that may run somewhere else from now on."""
        self._changed = changed

    def of(self, version: Version) -> Isolation:
        """Return where a version is to be run."""
        known = version.standing.isolation
        here = self._here.get(key_of(version)) if self._here else None
        return known if here is None else max(known, here, key=_ORDER.index)

    def move(self, keys: Iterable[Key], isolation: Isolation = Isolation.ISOLATED) -> None:
        """Run these elsewhere from now on, whatever the registry says, until it says something new."""
        for key in keys:
            with self._lock:
                before = self._here.get(key, Isolation.IN_PROCESS)
                self._here[key] = max(before, isolation, key=_ORDER.index)
                if isolation is Isolation.ISOLATED:
                    self._suspected.add(key)
                    self._answered.note(key, self._clock())  # it has been of use where it was
            self._tell_change(key)

    def apply(self, event: Event) -> None:
        """Follow an event of the feed, when the version has been read anew.

        What it says is kept: a request that has come before may still have the version as it was then. Events are
        applied side by side, so that one may come when a later one about the same version has been followed already.
        """
        if event.kind not in _MOVES or event.model is None or event.version is None:
            return
        key = event.model, event.version
        if event.sequence <= self._followed.get(key, 0):
            return
        self._followed[key] = event.sequence
        with self._lock:
            if event.kind is EventKind.VERSION_CLEARED:
                self._here.pop(key, None)
                self._courses.pop(key, None)
                self._suspected.discard(key)
            else:
                self._here[key] = _MOVES[event.kind]
                if event.detail.get("on_probation"):
                    self._suspected.add(key)
        self._changed(key)

    # --- what others have done ----------------------------------------------------------------------------------------

    def record(self, accused: Accusation) -> bool:
        """Tell the registry who is accused; return whether it has been told. Blocks."""
        death = Death(
            where=Isolation.IN_PROCESS,
            stage=accused.stage,
            cause=accused.cause,
            is_certain=accused.is_certain,
            host=self._host,
        )
        return self._record(accused.key, death)

    # --- what children do, told by their threads ----------------------------------------------------------------------

    def note_death(self, version: Version, *, stage: Stage, cause: str) -> ServiceError | None:
        """Take note that a child has died; return what to tell whoever comes now, if the version is quarantined."""
        key, now = key_of(version), self._clock()
        self.death_count += 1
        answered_at = self._answered.of(key)
        with self._lock:
            course = self._courses.setdefault(key, _Course(since=now))
            if answered_at > course.died_at:  # a sibling's child has answered since
                course.streak = 0
            course.dying_since = course.dying_since if course.streak else now
            course.died_at = now
            course.streak += 1
            course.answers, course.since = 0, now
            is_hopeless = course.streak >= _STREAK and (
                not answered_at or now - max(answered_at, course.dying_since) >= _QUIET_SECONDS
            )
            known = max(version.standing.deaths, course.told_count)
            is_due = known < LASTING_DEATHS or now - course.told_at >= _TELLING_SECONDS
            if is_due:
                course.told_count, course.told_at = course.told_count + 1, now
        if is_due:
            death = Death(where=Isolation.ISOLATED, stage=stage, cause=cause, is_certain=True, host=self._host)
            self._submit(self._record, key, death)
        if not is_hopeless:
            return None
        self.move([key], Isolation.QUARANTINED)
        self._submit(self._quarantine, key, cause)
        return quarantined(version)

    def note_answer(self, version: Version) -> None:
        """Take note that a child has answered."""
        key, now = key_of(version), self._clock()
        self._answered.note(key, now)
        with self._lock:
            course = self._courses.setdefault(key, _Course(since=now))
            course.streak = 0
            course.answers += 1
            has_passed = course.answers >= _PROBATION_ANSWERS and now - course.since >= _PROBATION_SECONDS
            if has_passed:
                course.answers, course.since = 0, now
            is_suspected = version.standing.is_on_probation or key in self._suspected
        if has_passed and is_suspected:
            self._submit(self._end_probation, key)

    # --- telling the registry -----------------------------------------------------------------------------------------

    def _record(self, key: Key, death: Death) -> bool:
        return self._told(key, lambda: self._crashes.record_death(*key, death=death, actor=self._actor))

    def _quarantine(self, key: Key, cause: str) -> None:
        reason = f"its process has died on every request, the last time of {cause}"
        if not self._told(key, lambda: self._crashes.quarantine(*key, reason=reason, actor=self._actor)):
            self._submit_later(self._quarantine, key, cause)

    def _end_probation(self, key: Key) -> None:
        if self._told(key, lambda: self._crashes.end_probation(*key, actor=self._actor)):
            with self._lock:
                self._suspected.discard(key)

    def _told(self, key: Key, tell: Callable[[], object]) -> bool:
        try:
            tell()
        except (NotFound, Conflict):
            return True  # it has been retired meanwhile
        except ServiceError as error:
            structlog.get_logger().error("crash_not_told", model=key[0], version=key[1], code=error.code)
            return False
        return True

    def _submit(self, work: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the worker is ending
            self._executor.submit(work, *arguments)

    def _submit_later(self, work: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._loop.call_later, _AGAIN_SECONDS, self._submit, work, *arguments)

    def _tell_change(self, key: Key) -> None:
        if threading.get_ident() == self._loop_thread:
            self._changed(key)
            return
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._changed, key)


def quarantined(version: Version) -> ModelQuarantined:
    """Return what a caller of a quarantined version is told."""
    return ModelQuarantined(
        f"{version.model} version {version.number} has ended its process on every request, and is not run until an "
        "administrator clears it"
    )
