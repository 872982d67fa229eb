"""A registry in memory: the visits that serving makes, for real, and a feed that grows with every write."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from registry.errors import ModelNotFound, NoActiveVersion, RegistryUnavailable, VersionNotFound, VersionRetired
from registry.events import Event, EventKind
from registry.names import Reference
from registry.records import Alias, Canary, Trial, Version, WorkerReport
from registry.shadow import ShadowReport
from registry.standing import Standing
from tests.support.serving_models import CREATED_AT

DATABASE_TIME = CREATED_AT + timedelta(days=1)
"""What the clock of every such registry says."""


class MemoryRegistry:
    """Catalog, transaction and registry in one; ``visits`` counts openings, ``is_down`` makes them fail."""

    def __init__(self) -> None:
        self.versions: dict[tuple[str, int], Version] = {}
        self.aliases: dict[tuple[str, str], Alias] = {}
        self.events: list[Event] = []
        self.reports: list[WorkerReport] = []
        self.shadow_reports: list[tuple[Trial, ShadowReport]] = []
        self.visits = 0
        self.is_down = False

    def check_schema(self) -> None:
        self._visit()

    @contextmanager
    def reading(self) -> Iterator["MemoryRegistry"]:
        self._visit()
        yield self

    writing = reading

    def _visit(self) -> None:
        self.visits += 1
        if self.is_down:
            raise RegistryUnavailable("the registry does not answer")

    def find_version(self, model: str, number: int) -> Version | None:
        return self.versions.get((model, number))

    def find_alias(self, model: str, name: str) -> Alias | None:
        return self.aliases.get((model, name))

    def list_events(self, *, after: int, limit: int) -> Sequence[Event]:
        return [event for event in self.events if event.sequence > after][:limit]

    def latest_sequence(self) -> int:
        return len(self.events)

    def now(self) -> datetime:
        return DATABASE_TIME

    def report_worker(self, report: WorkerReport) -> None:
        self.reports.append(report)

    def forget_worker(self, host: str, pid: int) -> None:
        self.reports = [report for report in self.reports if (report.host, report.pid) != (host, pid)]

    def add_shadow_report(self, trial: Trial, report: ShadowReport) -> None:
        self.shadow_reports.append((trial, report))

    def set_standing(self, model: str, number: int, standing: Standing) -> None:
        self.versions[model, number] = replace(self.versions[model, number], standing=standing)

    def add_event(
        self,
        kind: EventKind,
        *,
        model: str,
        version: int | None = None,
        alias: str | None = None,
        actor: str,
        at: datetime,
        detail: Mapping[str, Any],
    ) -> int:
        event = Event(
            sequence=len(self.events) + 1,
            kind=kind,
            model=model,
            version=version,
            alias=alias,
            actor=actor,
            at=at,
            detail=detail,
        )
        self.events.append(event)
        return event.sequence

    def register(self, version: Version) -> Event:
        self.versions[version.model, version.number] = version
        return self._event(EventKind.VERSION_REGISTERED, version.model, version=version.number)

    def change(self, version: Version) -> Event:
        self.versions[version.model, version.number] = version
        return self._event(EventKind.VERSION_CHANGED, version.model, version=version.number)

    def retire(self, model: str, number: int) -> Event:
        self.versions[model, number] = replace(self.versions[model, number], retired_at=CREATED_AT)
        return self._event(EventKind.VERSION_RETIRED, model, version=number)

    def stand(self, model: str, number: int, standing: Standing, kind: EventKind) -> Event:
        self.set_standing(model, number, standing)
        return self._event(kind, model, version=number)

    def move(self, model: str, number: int, *, alias: str = "production", canary: Canary | None = None) -> Event:
        before = self.aliases.get((model, alias))
        self.aliases[model, alias] = Alias(
            model=model,
            name=alias,
            version=number,
            canary=canary,
            generation=1 if before is None else before.generation + 1,
            updated_at=CREATED_AT,
        )
        return self._event(EventKind.ALIAS_MOVED, model, version=number, alias=alias)

    def _event(self, kind: EventKind, model: str, *, version: int, alias: str | None = None) -> Event:
        self.add_event(kind, model=model, version=version, alias=alias, actor="tests", at=CREATED_AT, detail={})
        return self.events[-1]


def resolve(catalog: MemoryRegistry, reference: Reference) -> Version:
    """Resolve as the use case promises to."""
    if not any(model == reference.model for model, _ in catalog.versions):
        raise ModelNotFound(f"no model is called {reference.model}")
    number = reference.version
    if number is None:
        alias = catalog.find_alias(reference.model, reference.alias)
        if alias is None:
            raise NoActiveVersion(f"{reference.model} has no version promoted")
        number = alias.version
    version = catalog.find_version(reference.model, number)
    if version is None:
        raise VersionNotFound(f"{reference} does not exist")
    if version.is_retired:
        raise VersionRetired(f"{reference} is retired")
    return version
