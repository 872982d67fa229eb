"""What this worker answers from: references to endpoints.

1. What has been asked for is kept, what has not is not: a worker that starts knows nothing and reads what it needs.
2. An endpoint is built once for a version, and stays for as long as anything routes to it. Versions asked for by number
   are kept up to ``max_versions``, those asked for longest ago going first.
3. However many ask for what is not known, the registry is visited once; what is not there is remembered for a second.
4. An event says only that something has changed. What is true now is read from the registry, so that events may be
   applied twice, or in any order. A visit that an event overtakes is made again.
5. An alias that moves is switched when its new version is warm; until then the old version answers. If the new one
   cannot be loaded, the event is not applied: ``apply`` raises, the old version goes on, and the feed tries again. If
   there is only no room or no time to warm it, it is switched all the same.
6. If the registry does not answer, what is known goes on answering, and what is not known here is answered from where
   it led when any worker of the host last knew (``last_known``), until the registry answers again.
7. For a second after a visit has failed one visit at a time tries again; the others do not wait for it: an outage must
   not keep every thread busy.

Belongs to one event loop; the registry is visited in the executor.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from copy import copy
from functools import partial
from typing import Generic

from gateway.serving.absences import Absences
from gateway.serving.last_known import LastKnown
from gateway.serving.routes import OUTAGE, Built, E, Reading, Route, Visit, read
from registry.errors import (
    Conflict,
    DeadlinePassed,
    InsufficientMemory,
    NotFound,
    Overloaded,
    ServiceError,
)
from registry.events import Event, EventKind
from registry.names import Reference
from registry.ports import Catalog, Registry
from registry.records import Version

_ABOUT_A_VERSION = frozenset(
    {
        EventKind.VERSION_CHANGED,
        EventKind.VERSION_RETIRED,
        EventKind.VERSION_CRASHED,
        EventKind.VERSION_ISOLATED,
        EventKind.VERSION_QUARANTINED,
        EventKind.VERSION_CLEARED,
    }
)
_SILENCE_SECONDS = 1.0
_NOT_NOW = (InsufficientMemory, DeadlinePassed, Overloaded)


class Routing(Generic[E]):
    """References to endpoints; an endpoint is whatever ``build`` makes of a version.

    Args:
        registry: where the truth is.
        resolve: the use case of ``registry.resolution``.
        build: makes an endpoint, quickly, on the event loop.
        attend: gets what the registry says of an alias that has a canary or a shadow, and the endpoints of its version
            and its canary, and returns what is to answer in their place.
        warm: gets (the version that an alias leaves, the one that it goes to) and returns when the latter may answer;
            it raises LoadFailed or what a loader raises if it cannot.
        executor: where the registry is visited.
        clock: monotonic seconds.
        draw: a random number from 0 up to 1, for canaries without a routing key.
        last_known: rule 6.
        max_versions: rule 2.
        max_visits: how many visits may be under way at once.
    """

    def __init__(  # noqa: PLR0913 - it stands between many
        self,
        registry: Registry,
        *,
        resolve: Callable[[Catalog, Reference], Version],
        build: Callable[[Version], E],
        warm: Callable[[Version, Version], Awaitable[None]],
        executor: Executor,
        attend: Callable[[Reading, E, E | None], tuple[E, E | None]] = lambda _, main, canary: (main, canary),
        last_known: LastKnown | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        max_versions: int = 10_000,
        max_visits: int = 256,
    ) -> None:
        self._registry = registry
        self._look = partial(read, registry, resolve)
        self._build = build
        self._warm = warm
        self._attend = attend
        self._executor = executor
        self._last_known = last_known or LastKnown(None, executor)
        self._draw = draw
        self._max_versions = max_versions
        self._max_visits = max_visits
        self._versions: OrderedDict[tuple[str, int], Built[E]] = OrderedDict()
        self._aliases: dict[str, dict[str, Route[E]]] = {}
        self._absences = Absences(clock)
        self._clock = clock
        self._silence: ServiceError | None = None
        self._silent_until = 0.0
        self._asking_count = 0
        self._visits: dict[Reference, Visit[E]] = {}
        self._switches: dict[Reference, _Switch] = {}

    # --- asking -------------------------------------------------------------------------------------------------------

    def find(self, reference: Reference, routing_key: bytes | None = None) -> E | None:
        """Return the endpoint if it is known; looks into two tables and nowhere else.

        Args:
            reference: what the caller wrote.
            routing_key: where the alias has a canary, equal keys go to the same version, in every process; without a
                key it is drawn.
        """
        if reference.version is not None:
            built = self._versions.get((reference.model, reference.version))
            if built is None:
                return None
            self._versions.move_to_end((reference.model, reference.version))
            return built.endpoint
        routes = self._aliases.get(reference.model)
        route = None if routes is None else routes.get(reference.alias)
        return None if route is None else route.choose(reference, routing_key, self._draw)

    def is_settled(self, reference: Reference) -> bool:
        """Return whether ``find`` gives the same endpoint whatever the routing key: there is no canary to draw for."""
        if reference.version is not None:
            return True
        route = self._aliases.get(reference.model, {}).get(reference.alias)
        return route is None or route.canary is None

    async def resolve(self, reference: Reference, routing_key: bytes | None = None) -> E:
        """Return the endpoint, from the registry if need be.

        Raises:
            ModelNotFound, VersionNotFound, AliasNotFound, NoActiveVersion, VersionRetired: it leads nowhere.
            RegistryUnavailable, RegistryBusy: it is not known here, and the registry does not answer.
            Overloaded: too many other visits are under way.
        """
        endpoint = self.find(reference, routing_key)
        if endpoint is not None:
            return endpoint
        absence = self._absences.find(reference)
        if absence is not None:
            raise absence
        visit = self._visits.get(reference) or self._start_visit(reference)
        found = await asyncio.shield(visit.task)  # others wait for the same visit: it survives this caller
        if isinstance(found, ServiceError):
            raise copy(found)
        return found.choose(reference, routing_key, self._draw)

    async def versions(self, reference: Reference) -> tuple[Version, ...]:
        """Return every version that the reference may lead to, a canary's too; raises what ``resolve`` raises."""
        await self.resolve(reference, b"")
        if reference.version is not None:
            built = self._versions.get((reference.model, reference.version))
            return () if built is None else (built.version,)
        route = self._aliases.get(reference.model, {}).get(reference.alias)
        return () if route is None else tuple(built.version for built in route.targets)

    # --- visiting the registry ----------------------------------------------------------------------------------------

    def _start_visit(self, reference: Reference) -> Visit[E]:
        if len(self._visits) >= self._max_visits:
            raise Overloaded("too many names are being looked up", retry_after_seconds=1)
        visit = Visit[E]()
        visit.task = asyncio.get_running_loop().create_task(self._visit(reference, visit))
        self._visits[reference] = visit
        return visit

    async def _visit(self, reference: Reference, visit: Visit[E]) -> Route[E] | ServiceError:
        try:
            while True:
                visit.is_overtaken = False
                found, is_fresh = await self._ask_or_recall(reference)
                if not visit.is_overtaken:
                    if is_fresh:
                        self._last_known.remember(reference, found if isinstance(found, Reading) else None)
                    return self._install(reference, found)
        except ServiceError as error:
            return error
        finally:
            del self._visits[reference]

    async def _ask_or_recall(self, reference: Reference) -> tuple[Reading | ServiceError, bool]:
        """Return what the registry says, and True; or what it has said last, and False."""
        error = self._silence if self._asking_count and self._clock() < self._silent_until else None
        if error is None:
            self._asking_count += 1
            try:
                found = await self._read(reference)
            except OUTAGE as outage:
                error = self._silence = outage
                self._silent_until = self._clock() + _SILENCE_SECONDS
            else:
                return found, True
            finally:
                self._asking_count -= 1
        recalled = await self._last_known.recall(reference)
        if recalled is None:
            raise copy(error)
        return recalled, False

    async def _read(self, reference: Reference) -> Reading | ServiceError:
        """Return what the registry says: an error that the reference leads nowhere is an answer, silence is raised."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, self._look, reference)
        except (NotFound, Conflict) as absence:
            return absence

    def _install(self, reference: Reference, found: Reading | ServiceError) -> Route[E] | ServiceError:
        if isinstance(found, ServiceError):
            self._absences.remember(reference, found)
            self._remove(reference)
            return found
        main = self._built(found.version)
        canary = None if found.canary is None else self._built(found.canary)
        ends = main.endpoint, None if canary is None else canary.endpoint
        if found.alias is not None:
            ends = self._attend(found, *ends)
        route = Route(main, canary, found.share, ends, found.numbers if found.alias is None else found.alias.targets)
        if reference.version is None:
            self._aliases.setdefault(reference.model, {})[reference.alias] = route
        return route

    def _remove(self, reference: Reference) -> None:
        if reference.version is not None:
            self._versions.pop((reference.model, reference.version), None)
        else:
            self._aliases.get(reference.model, {}).pop(reference.alias, None)

    def _built(self, version: Version) -> Built[E]:
        key = (version.model, version.number)
        known = self._versions.get(key) or next((b for b in self._routed(version.model) if b.version == version), None)
        built = known if known is not None and known.version == version else Built(version, self._build(version))
        self._versions[key] = built
        self._versions.move_to_end(key)
        if len(self._versions) > self._max_versions:
            self._versions.popitem(last=False)
        return built

    def _routed(self, model: str) -> Iterator[Built[E]]:
        for route in self._aliases.get(model, {}).values():
            yield from route.targets

    # --- following the feed -------------------------------------------------------------------------------------------

    def begin(self, sequence: int) -> None:
        """Forget what was read before the feed began, at ``sequence``: nothing would ever correct it."""
        self._last_known.begin(self._registry, self._look, sequence)
        self._aliases.clear()
        self._versions.clear()
        self._last_known.recalled.clear()
        for visit in self._visits.values():
            visit.is_overtaken = True

    def forget_recalled(self) -> None:
        """Forget what was not read from the registry, which answers again."""
        self._last_known.settle(self._registry, self._look)
        for reference in self._last_known.recalled:
            route = self._aliases.get(reference.model, {}).get(reference.alias) if reference.version is None else None
            for built in () if route is None else route.targets:
                self._versions.pop((reference.model, built.version.number), None)
            self._remove(reference)
        self._last_known.recalled.clear()

    async def apply(self, event: Event) -> None:
        """Bring everything known of the event's model to what is true now, and return when it answers so.

        Raises:
            RegistryUnavailable, RegistryBusy: the registry does not answer. What is known stays; apply it again.
            LoadFailed, ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage: rule 5.
        """
        if event.model is None:
            return
        self._absences.forget(event.model)
        for reference, visit in self._visits.items():
            if reference.model == event.model:
                visit.is_overtaken = True
        self._last_known.doubt(event, self._look)
        for reference in self._touched(event, event.model):
            await self._refresh(reference, event.sequence)

    def _touched(self, event: Event, model: str) -> list[Reference]:
        """List what is known here and may have become another by the event."""
        routes = self._aliases.get(model, {})
        if event.kind is EventKind.ALIAS_MOVED and event.alias is not None:
            return [Reference(model, alias=event.alias)] if event.alias in routes else []
        if event.kind not in _ABOUT_A_VERSION or event.version is None:
            return []
        touched = [Reference(model, event.version)] if (model, event.version) in self._versions else []
        for alias, route in routes.items():
            if event.version in route.numbers:
                touched.append(Reference(model, alias=alias))
        return touched

    async def _refresh(self, reference: Reference, sequence: int) -> None:
        """Return when the reference leads where it did at the event, or at a later one."""
        while True:
            later = self._switches.get(reference)
            if later is None or later.sequence <= sequence:
                later = await self._switch(reference, sequence)
            if later is None:
                return
            await later.ended.wait()
            if later.is_made:
                return

    async def _switch(self, reference: Reference, sequence: int) -> "_Switch | None":
        """Lead a reference where it leads now; return the switch of a later event, if that has overtaken this one."""
        own = _Switch(sequence)
        before = self._switches.get(reference)
        if before is not None:
            before.overtaken_by = own
        self._switches[reference] = own
        try:
            found = await self._read(reference)
            if reference.version is None and isinstance(found, Reading):
                await self._warm_up(reference, found)
            if own.overtaken_by is None:  # else that has read later, and installs what it has found
                self._install(reference, found)
                self._last_known.remember(reference, found if isinstance(found, Reading) else None)
                own.is_made = True
        except ServiceError:
            if own.overtaken_by is None:  # else it does not matter any more
                raise
        finally:
            if self._switches.get(reference) is own:
                del self._switches[reference]
            own.ended.set()
        return own.overtaken_by

    async def _warm_up(self, reference: Reference, found: Reading) -> None:
        route = self._aliases.get(reference.model, {}).get(reference.alias)
        if route is None:
            return
        answering = {built.version.number for built in route.targets}
        for version in (found.version, found.canary):
            if version is not None and version.number not in answering:
                try:
                    await self._warm(route.main.version, version)
                except _NOT_NOW:
                    continue  # the model is sound: its first requests will wait for it


class _Switch:
    """A reference that is being led to where an event, or a later one, has it."""

    __slots__ = ("ended", "is_made", "overtaken_by", "sequence")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.ended = asyncio.Event()
        self.is_made = False
        self.overtaken_by: _Switch | None = None
