"""Where references led when the registry last said so: for a worker that starts while the registry does not answer.

1. Written whenever the registry has been read, by whichever worker of the host read it; in order, on one thread.
2. A document says up to which event it is true. Every worker removes those that a later event makes doubtful, whether
   it knows the reference or not; the events that nobody was there for are gone through when the next worker begins.
3. Read only where the registry does not answer. What was read here is dropped as soon as it does: nothing else would
   ever correct it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from gateway.serving.routes import Documents, Reading
from registry.errors import ServiceError
from registry.events import Event
from registry.names import Reference
from registry.ports import Registry

_FEED = "feed"
"""The key of the document that says up to which event all others have been gone through."""

_PAGE = 1000


class LastKnown:
    """Readings that outlive their process; belongs to one event loop.

    Args:
        documents: where they are; None remembers nothing.
        executor: where they are written and read: one thread, so that the last word is the last one written.
    """

    def __init__(self, documents: Documents | None, executor: Executor) -> None:
        self._documents = documents
        self._executor = executor
        self._sequence = 0
        self.recalled: set[Reference] = set()
        """What this worker answers from memory."""

    def begin(self, registry: Registry, sequence: int) -> None:
        """Go through the events up to ``sequence`` that no worker of the host has seen."""
        self._sequence = sequence
        if self._documents is not None:
            self._submit(_catch_up, self._documents, registry, sequence)

    def remember(self, reference: Reference, found: Reading | None) -> None:
        """Write down what the registry has said; None for a reference that leads nowhere."""
        self.recalled.discard(reference)
        if self._documents is None:
            return
        if found is None:
            self._submit(self._documents.remove, str(reference))
        else:
            self._submit(_put, self._documents, str(reference), found, self._sequence)

    def doubt(self, event: Event) -> None:
        """Remove what an event may have made untrue."""
        self._sequence = max(self._sequence, event.sequence)
        if self._documents is not None:
            self._submit(_doubt, self._documents, event)

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


def _catch_up(documents: Documents, registry: Registry, sequence: int) -> None:
    known = documents.get(_FEED)
    after = known.get("sequence") if known is not None else None
    while isinstance(after, int) and after < sequence:
        try:
            with registry.reading() as catalog:
                missed = catalog.list_events(after=after, limit=_PAGE)
        except ServiceError:
            return  # the next worker goes on from here
        for event in missed:
            _doubt(documents, event)
        if len(missed) < _PAGE:
            break
        after = missed[-1].sequence
    documents.put(_FEED, {"sequence": sequence})


def _doubt(documents: Documents, event: Event) -> None:
    for key in _touched(event):
        document = documents.get(key)
        if document is not None and document.get("sequence", 0) < event.sequence:
            documents.remove(key)
    documents.put(_FEED, {"sequence": event.sequence})


def _touched(event: Event) -> Iterable[str]:
    if event.model is None:
        return ()
    if event.alias is not None:
        return (str(Reference(event.model, alias=event.alias)),)
    return () if event.version is None else (str(Reference(event.model, event.version)),)


def _put(documents: Documents, key: str, found: Reading, sequence: int) -> None:
    documents.put(key, {"sequence": sequence, **found.as_json()})


def _get(documents: Documents, key: str) -> Reading | None:
    document = documents.get(key)
    try:
        return None if document is None else Reading.from_json(document)
    except (KeyError, TypeError, ValueError):
        return None  # another release wrote it
