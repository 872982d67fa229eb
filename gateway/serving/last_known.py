"""Where references led when the registry last said so: for a worker that starts while the registry does not answer.

1. Written whenever the registry has been read, by whichever worker of the host read it; in order, on one thread.
2. A document says up to which event it is true. What a later event makes doubtful is read again at once, by whichever
   worker hears of it first, whether it knows the reference or not. The events that nobody was there for are gone
   through in the same way when the next worker begins.
3. What is doubtful while the registry does not answer stays, as it does in the workers that run, and is read again when
   the registry answers: by this worker, or by one that begins later, to whom the place in the feed is left. What is
   retired goes at once.
4. Read only where the registry does not answer. What was read here is dropped as soon as it does: nothing else would
   ever correct it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypeAlias

from gateway.serving.routes import Documents, Reading
from registry.errors import Conflict, NotFound, ServiceError
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
        self._silent_until = 0.0
        self._sequence = 0
        self._doubtful: dict[Reference, int] = {}
        """By which event each came into doubt that could not be read again; the executor's own."""
        self.recalled: set[Reference] = set()
        """What this worker answers from memory."""

    def begin(self, registry: Registry, look: Look, sequence: int) -> None:
        """Go through the events up to ``sequence`` that no worker of the host has seen."""
        self._sequence = sequence
        if self._documents is not None:
            self._submit(self._catch_up, self._documents, registry, look, sequence)

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
            self._submit(self._go_through, self._documents, look, [event], event.sequence)

    def settle(self, look: Look) -> None:
        """Read again what is still doubtful: the registry answers."""
        if self._documents is not None and self._doubtful:
            self._submit(self._settle, self._documents, look, self._sequence)

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

    def _catch_up(self, documents: Documents, registry: Registry, look: Look, sequence: int) -> None:
        known = documents.get(_FEED)
        after = known.get("sequence") if known is not None else None
        while isinstance(after, int) and after < sequence:
            try:
                with registry.reading() as catalog:
                    missed = catalog.list_events(after=after, limit=_PAGE)
            except ServiceError:
                return  # the next worker goes on from here
            self._go_through(documents, look, missed, sequence)
            if len(missed) < _PAGE:
                break
            after = missed[-1].sequence
        self._leave_place(documents, sequence)

    def _go_through(self, documents: Documents, look: Look, events: Sequence[Event], sequence: int) -> None:
        """Renew what the events make doubtful; what is read now is true up to ``sequence`` at least."""
        for event in events:
            reference = _touched(event)
            if reference is None or not _is_older(documents.get(str(reference)), event.sequence):
                continue
            if event.kind is EventKind.VERSION_RETIRED:
                documents.remove(str(reference))
            else:
                self._doubtful.setdefault(reference, event.sequence)
                self._renew(documents, look, reference, sequence)
        if events:
            self._leave_place(documents, events[-1].sequence)

    def _settle(self, documents: Documents, look: Look, sequence: int) -> None:
        self._silent_until = 0.0
        for reference, since in tuple(self._doubtful.items()):
            if _is_older(documents.get(str(reference)), since):
                self._renew(documents, look, reference, sequence)
            else:
                del self._doubtful[reference]  # another worker has read it, or it was asked for here
        self._leave_place(documents, sequence)

    def _renew(self, documents: Documents, look: Look, reference: Reference, sequence: int) -> None:
        if self._clock() < self._silent_until:
            return
        try:
            _put(documents, str(reference), look(reference), sequence)
        except (NotFound, Conflict):  # it leads nowhere now
            documents.remove(str(reference))
        except ServiceError:
            self._silent_until = self._clock() + _SILENCE_SECONDS
            return
        del self._doubtful[reference]

    def _leave_place(self, documents: Documents, sequence: int) -> None:
        before_doubt = min(self._doubtful.values(), default=sequence + 1) - 1
        documents.put(_FEED, {"sequence": min(sequence, before_doubt)})


def _touched(event: Event) -> Reference | None:
    if event.model is None or (event.alias is None and event.version is None):
        return None
    return Reference(event.model, event.version if event.alias is None else None, event.alias or PRODUCTION)


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
