"""Models that are loaded and unloaded by somebody's word, beside those that requests load and retirement ends.

1. What is unloaded leaves the cache of every worker when its last lease has ended; pinned versions stay. The model is
   then called unloaded until it is loaded again, be it by a request.
2. Whoever loads an unloaded model tells all others by the feed.
3. A version that is retired leaves the cache too, with its processes if it has any; and once more a minute later, if a
   request that had come before has loaded it since.
4. A worker that starts later knows nothing of it: it calls the model ready, as it calls all that it can load.

Belongs to one event loop, but for ``note_load``.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Final

import structlog

from gateway.serving.cache_entry import Key
from gateway.serving.session_cache import SessionCache
from registry.errors import ServiceError
from registry.events import Event, EventKind
from registry.records import Version
from registry.residency import Residency

_AGAIN_SECONDS: Final = 60.0


class Residence:
    """What has been unloaded; made on the event loop to which it belongs.

    Args:
        cache: where sessions are.
        records: where it is written down; that blocks.
        executor: where it is done for rule 2.
        actor: by whom then.
        forget: called when a version has been retired, and nothing of it is needed any more.
    """

    def __init__(
        self,
        cache: SessionCache[Any],
        records: Residency,
        *,
        executor: Executor,
        actor: str,
        forget: Callable[[Key], None] = lambda _: None,
    ) -> None:
        self.records = records
        self._cache = cache
        self._executor = executor
        self._actor = actor
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._unloaded: set[str] = set()

    def is_unloaded(self, model: str) -> bool:
        """Return whether the model has been unloaded, and not been loaded since."""
        return model in self._unloaded and not self._cache.has_model(model)

    @property
    def unloaded(self) -> frozenset[str]:
        """The models that are."""
        return frozenset(model for model in self._unloaded if self.is_unloaded(model))

    def sizes(self) -> dict[str, int]:
        """Return what the versions count for in bytes that this worker has loaded, by names such as ``iris:3``."""
        return self._cache.sizes()

    def is_pinned(self, model: str) -> bool:
        """Return whether a version of the model stays loaded whatever is asked for."""
        return self._cache.is_pinned(model)

    async def load(self, version: Version, deadline: float) -> None:
        """Load the version and return when it is there; raises what a cache's ``preload`` raises.

        The others have to be told of it.
        """
        was_unloaded = version.model in self._unloaded
        self._unloaded.discard(version.model)
        try:
            await self._cache.preload(version, deadline)
        except BaseException:
            if was_unloaded:
                self._unloaded.add(version.model)
            raise

    def apply(self, event: Event) -> None:
        """Follow an event of the feed."""
        if event.model is None:
            return
        if event.kind is EventKind.MODEL_UNLOADED:
            self._unloaded.add(event.model)
            self._cache.unload(event.model)
        elif event.kind is EventKind.MODEL_LOADED:
            self._unloaded.discard(event.model)
        elif event.kind is EventKind.VERSION_RETIRED and event.version is not None:
            self._let_go(event.model, event.version)
            self._loop.call_later(_AGAIN_SECONDS, self._let_go, event.model, event.version)

    def _let_go(self, model: str, version: int) -> None:
        self._cache.unload(model, version)
        self._forget((model, version))

    def note_load(self, version: Version) -> None:
        """Take note that a version has been loaded; any thread may call this."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell, version)

    def _tell(self, version: Version) -> None:
        if version.model in self._unloaded:
            self._unloaded.discard(version.model)
            with suppress(RuntimeError):  # the worker is ending
                self._executor.submit(self._record, version)

    def _record(self, version: Version) -> None:
        try:
            self.records.record_load(version.model, version.number, actor=self._actor)
        except ServiceError as error:  # the others go on calling it unloaded; its requests are answered all the same
            structlog.get_logger().warning("load_not_told", model=version.model, code=error.code)
