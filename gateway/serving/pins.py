"""Models that stay loaded, whatever else is asked for.

1. A pin is a reference. What it leads to is loaded before the worker is ready, and never makes room for others.
2. Where a reference leads elsewhere (its alias has moved, or has a canary now), the pin follows; what it has left is
   like any other session then.
3. Pins have room in the order in which they are given. One that does not fit beside those before it is none: the log
   says so, and the rest of the budget stays for everybody else.
4. What cannot be found or loaded is tried again and again; the log says so once for each kind of trouble.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from gateway.serving.cache_entry import MIN_SESSION_BYTES
from gateway.serving.session_cache import SessionCache
from registry.errors import Conflict, InsufficientMemory, NotFound, ServiceError
from registry.events import Event
from registry.names import Reference, parse_reference
from registry.records import Version

_LOAD_SECONDS = 60.0


class Pins:
    """What is pinned in one worker; belongs to one event loop.

    Args:
        references: rule 3, as an operator writes them; what is malformed is logged and left out.
        find: returns the versions that a reference leads to; raises ServiceError.
        cache: where they are loaded and pinned.
        expect: tells how many bytes a version's session will take.
        budget_bytes: the cache's.
        clock: of the cache's deadlines.
        retry_seconds: rule 4.
    """

    def __init__(
        self,
        references: Sequence[str],
        *,
        find: Callable[[Reference], Awaitable[Sequence[Version]]],
        cache: SessionCache[Any],
        expect: Callable[[Version], int],
        budget_bytes: int,
        clock: Callable[[], float],
        retry_seconds: float = 5.0,
    ) -> None:
        self._find = find
        self._cache = cache
        self._expect = expect
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._told: dict[object, str] = {}
        self._found: dict[Reference, Sequence[Version]] = {}
        for text in references:
            try:
                self._found[parse_reference(text)] = ()
            except ServiceError as error:
                self._tell(text, text, error)
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load and pin what can be, then go on looking after it."""
        if self._found:
            await self._keep()
            self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Look after nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def notice(self, event: Event) -> None:
        """Follow at once, if the event is about a pinned model."""
        if any(reference.model == event.model for reference in self._found):
            self._woken.set()

    async def _go_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._retry_seconds):
                    await self._woken.wait()
            self._woken.clear()
            await self._keep()

    async def _keep(self) -> None:
        for reference in self._found:
            await self._follow(reference)
        pinned = self._fitting()
        self._cache.pin(pinned)
        for version in pinned:
            if not self._cache.is_resident(version):
                await self._load(version)

    async def _follow(self, reference: Reference) -> None:
        try:
            self._found[reference] = await self._find(reference)
        except ServiceError as error:
            if isinstance(error, NotFound | Conflict):
                self._found[reference] = ()
            self._tell(reference, str(reference), error)
        else:
            self._told.pop(reference, None)

    def _fitting(self) -> list[Version]:
        """Return what has room (rule 3), each version once."""
        free_bytes = self._budget_bytes
        fitting: dict[tuple[str, int], Version] = {}
        for version in (version for versions in self._found.values() for version in versions):
            key = (version.model, version.number)
            wanted_bytes = max(MIN_SESSION_BYTES, self._expect(version))
            if key in fitting:
                continue
            if wanted_bytes > free_bytes:
                words = f"it takes {wanted_bytes} bytes, and those pinned before it leave {free_bytes} of the budget"
                self._tell(key, f"{version.model}:{version.number}", InsufficientMemory(words))
                continue
            free_bytes -= wanted_bytes
            fitting[key] = version
        return list(fitting.values())

    async def _load(self, version: Version) -> None:
        key = (version.model, version.number)
        try:
            await self._cache.preload(version, self._clock() + _LOAD_SECONDS)
        except ServiceError as error:
            self._tell(key, f"{version.model}:{version.number}", error)
        else:
            self._told.pop(key, None)
            structlog.get_logger().info("pinned", model=version.model, version=version.number)

    def _tell(self, what: object, name: str, error: ServiceError) -> None:
        if self._told.get(what) != error.code:
            self._told[what] = error.code
            structlog.get_logger().error("not_pinned", reference=name, code=error.code, detail=error.detail)
