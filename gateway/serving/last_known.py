"""Where references led when the registry last said so: for a worker that starts while the registry does not answer.

1. Written whenever the registry has been read, by whichever worker of the host read it; in order, on one thread.
2. A document says up to which event it is true. What a later event makes doubtful is read again at once, by whichever
   worker hears of it first, whether it knows the reference or not. The events that nobody was there for are gone
   through in the same way when the next worker begins.
3. What is doubtful while the registry does not answer stays, as it does in the workers that run, and is read again when
   the registry answers: by this worker, or by one that begins later, to whom the place in the feed is left. What leads
   to a version that has been retired goes at once, as far as the feed has been gone through up to there. What cannot be
   read for a reason of its own is known no more.
4. Read only where the registry does not answer. What was read here is dropped as soon as it does: nothing else would
   ever correct it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from math import inf
from typing import Any, TypeAlias

import structlog

from gateway.serving.routes import OUTAGE, Documents, Reading
from registry.errors import Conflict, NotFound
from registry.events import Event, EventKind
from registry.names import PRODUCTION, Reference
from registry.ports import Registry

Look: TypeAlias = Callable[[Reference], Reading]
"""Asks the registry where a reference leads; blocks; raises ServiceError if nowhere, or if there is no answer."""

_FEED = "feed"
"""The key of the document that says up to which event all others have been gone through."""

_PAGE = 1000
_SILENCE_SECONDS = 5.0
"""For so long a registry that has just not answered is not asked again: whoever recalls waits for this thread."""


class LastKnown:
    """Readings that outlive their process; belongs to one event loop.

    Args:
        documents: where they are; None remembers nothing.
        executor: where they are written and read: one thread, so that the last word is the last one written.
        clock: monotonic seconds.
    """

    def __init__(
        self, documents: Documents | None, executor: Executor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._documents = documents
        self._executor = executor
        self._clock = clock
        self._sequence = 0
        self._is_settling = False
        self.recalled: set[Reference] = set()
        """What this worker answers from memory."""
        # What follows is the executor's own.
        self._silent_until = -inf
        self._doubtful: dict[Reference, tuple[int, int]] = {}
        """By which event each came into doubt that could not be read again, and by which one last."""
        self._missed: tuple[int, int] | None = None
        """After which event and up to which one the feed has still to be gone through, for those before this worker."""

    def begin(self, registry: Registry, look: Look, sequence: int) -> None:
        """Go through the events up to ``sequence`` that no worker of the host has seen."""
        self._sequence = sequence
        if self._documents is not None:
            self._submit(self._begin, self._documents, registry, look, sequence)

    def remember(self, reference: Reference, found: Reading | None) -> None:
        """Write down what the registry has said; None for a reference that leads nowhere."""
        self.recalled.discard(reference)
        if self._documents is None:
            return
        if found is None:
            self._submit(self._documents.remove, str(reference))
        else:
            self._submit(_put, self._documents, str(reference), found, self._sequence)

    def doubt(self, event: Event, look: Look) -> None:
        """Read again what an event may have made untrue."""
        self._sequence = max(self._sequence, event.sequence)
        if self._documents is not None:
            self._submit(self._hear, self._documents, look, event)

    def settle(self, registry: Registry, look: Look) -> None:
        """Read what is still doubtful: the registry answers."""
        if self._documents is not None and not self._is_settling and (self._doubtful or self._missed):
            self._is_settling = True
            self._submit(self._settle, self._documents, registry, look, self._sequence)

    async def recall(self, reference: Reference) -> Reading | None:
        """Return what the registry said last, or None."""
        if self._documents is None:
            return None
        found = await asyncio.get_running_loop().run_in_executor(self._executor, _get, self._documents, str(reference))
        if found is not None:
            self.recalled.add(reference)
        return found

    def _submit(self, function: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the worker is ending
            self._executor.submit(function, *arguments)

    # --- in the executor ----------------------------------------------------------------------------------------------

    def _begin(self, documents: Documents, registry: Registry, look: Look, sequence: int) -> None:
        known = documents.get(_FEED)
        after = known.get("sequence") if known is not None else None
        if isinstance(after, int) and after < sequence:
            self._missed = after, sequence
        self._catch_up(documents, registry, look)
        self._leave_place(documents, sequence)

    def _catch_up(self, documents: Documents, registry: Registry, look: Look) -> None:
        while self._missed is not None:
            after, sequence = self._missed
            try:
                with registry.reading() as catalog:
                    events = catalog.list_events(after=after, limit=_PAGE)
            except OUTAGE:
                self._silent_until = self._clock() + _SILENCE_SECONDS
                return
            except Exception as error:  # noqa: BLE001 - trying for ever would leave what can be read doubtful
                structlog.get_logger().error("last_known_not_caught_up", after=after, exc_info=error)
                self._missed = None
                return
            self._go_through(documents, look, events, sequence)
            is_last = len(events) < _PAGE or events[-1].sequence >= sequence
            self._missed = None if is_last else (events[-1].sequence, sequence)

    def _hear(self, documents: Documents, look: Look, event: Event) -> None:
        self._go_through(documents, look, [event], event.sequence)
        self._leave_place(documents, event.sequence)

    def _go_through(self, documents: Documents, look: Look, events: Sequence[Event], sequence: int) -> None:
        """Renew what the events make doubtful; what is read now is true up to ``sequence`` at least."""
        for event in events:
            if event.kind is EventKind.VERSION_RETIRED:
                self._drop_retired(documents, event)
            for reference in _touched(documents, event):
                if _is_older(documents.get(str(reference)), event.sequence):
                    first, last = self._doubtful.get(reference, (event.sequence, event.sequence))
                    self._doubtful[reference] = min(first, event.sequence), max(last, event.sequence)
                    self._renew(documents, look, reference, sequence)

    def _drop_retired(self, documents: Documents, event: Event) -> None:
        """Forget the version, and aliases that led to it when they were last read."""
        for reference in (*self._doubtful, *_touched(documents, event)):
            if reference.model != event.model:
                continue
            found = _get(documents, str(reference))
            if found is not None and event.version in found.numbers:
                documents.remove(str(reference))
                self._doubtful.pop(reference, None)

    def _settle(self, documents: Documents, registry: Registry, look: Look, sequence: int) -> None:
        try:
            if self._clock() >= self._silent_until:
                self._catch_up(documents, registry, look)
            for reference, (_, last) in tuple(self._doubtful.items()):
                if _is_older(documents.get(str(reference)), last):
                    self._renew(documents, look, reference, sequence)
                else:
                    del self._doubtful[reference]  # another worker has read it, or it was asked for here
            self._leave_place(documents, sequence)
        finally:
            self._is_settling = False

    def _renew(self, documents: Documents, look: Look, reference: Reference, sequence: int) -> None:
        if self._clock() < self._silent_until:
            return
        try:
            _put(documents, str(reference), look(reference), sequence)
        except OUTAGE:
            self._silent_until = self._clock() + _SILENCE_SECONDS
            return
        except (NotFound, Conflict):  # it leads nowhere now
            documents.remove(str(reference))
        except Exception as error:  # noqa: BLE001 - one that cannot be read must not hold up the others
            structlog.get_logger().error("last_known_forgotten", reference=str(reference), exc_info=error)
            documents.remove(str(reference))
        del self._doubtful[reference]

    def _leave_place(self, documents: Documents, sequence: int) -> None:
        """Say up to which event all documents are true, or will have been renewed."""
        open_ends = [first - 1 for first, _ in self._doubtful.values()]
        if self._missed is not None:
            open_ends.append(self._missed[0])
        documents.put(_FEED, {"sequence": min([sequence, *open_ends])})


def _touched(documents: Documents, event: Event) -> tuple[Reference, ...]:
    """Return what an event is about: an alias, or a version and the alias under which it is asked for as a rule."""
    if event.model is None or (event.alias is None and event.version is None):
        return ()
    if event.alias is not None:
        return (Reference(event.model, alias=event.alias),)
    live = Reference(event.model, alias=PRODUCTION)
    found = _get(documents, str(live))
    is_live = found is not None and event.version in found.numbers
    return (Reference(event.model, event.version), *((live,) if is_live else ()))


def _is_older(document: Mapping[str, Any] | None, sequence: int) -> bool:
    return document is not None and document.get("sequence", 0) < sequence


def _put(documents: Documents, key: str, found: Reading, sequence: int) -> None:
    documents.put(key, {"sequence": sequence, **found.as_json()})


def _get(documents: Documents, key: str) -> Reading | None:
    document = documents.get(key)
    try:
        return None if document is None else Reading.from_json(document)
    except (KeyError, TypeError, ValueError):
        return None  # another release wrote it
