"""Where references led when the registry last said so: for a worker that starts while the registry does not answer.

1. Written whenever the registry has been read, by whichever worker of the host read it; in order, on one thread.
2. Read only in an outage. What was read here is dropped as soon as the registry answers again: nothing else would ever
   correct it.
"""

import asyncio
import contextlib
from concurrent.futures import Executor

from gateway.serving.routes import Documents, Reading
from registry.names import Reference


class LastKnown:
    """Readings that outlive their process; belongs to one event loop.

    Args:
        documents: where they are; None remembers nothing.
        executor: where they are written and read: one thread, so that the last word is the last one written.
    """

    def __init__(self, documents: Documents | None, executor: Executor) -> None:
        self._documents = documents
        self._executor = executor
        self.recalled: set[Reference] = set()
        """What this worker answers from memory."""

    def remember(self, reference: Reference, found: Reading | None) -> None:
        """Write down what the registry has said; None for a reference that leads nowhere."""
        self.recalled.discard(reference)
        if self._documents is None:
            return
        with contextlib.suppress(RuntimeError):  # the worker is ending
            if found is None:
                self._executor.submit(self._documents.remove, str(reference))
            else:
                self._executor.submit(self._put, str(reference), found)

    async def recall(self, reference: Reference) -> Reading | None:
        """Return what the registry said last, or None."""
        if self._documents is None:
            return None
        found = await asyncio.get_running_loop().run_in_executor(self._executor, self._get, str(reference))
        if found is not None:
            self.recalled.add(reference)
        return found

    def _put(self, key: str, found: Reading) -> None:
        if self._documents is not None:
            self._documents.put(key, found.as_json())

    def _get(self, key: str) -> Reading | None:
        document = None if self._documents is None else self._documents.get(key)
        try:
            return None if document is None else Reading.from_json(document)
        except (KeyError, TypeError, ValueError):
            return None  # another release wrote it
