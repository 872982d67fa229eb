"""What the use cases need from the world, and nothing about who provides it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from registry.artifact import Artifact, Digest
from registry.batching import Batching, Level
from registry.events import Event, EventKind
from registry.examples import Examples
from registry.records import (
    Alias,
    Canary,
    Inspection,
    Model,
    Move,
    MoveKind,
    Page,
    Shadow,
    Token,
    Trial,
    Version,
    WorkerReport,
)
from registry.shadow import ShadowReport
from registry.standing import Standing


class Clock(Protocol):
    """The wall clock, for what people read; never for durations or order."""

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        ...


class Haste(StrEnum):
    """Whom a rehearsal stands in line with."""

    RECORDING = "recording"
    """Inspections: publishers wait for publishers."""
    PROMOTING = "promoting"
    """Other promotions."""
    LOADING = "loading"
    """Nobody: callers wait for it, so it is made at once or not at all."""


class Inspector(Protocol):
    """Finds out what a file is without letting it harm this process."""

    @property
    def runtime(self) -> str:
        """Who would measure: the runtime's name and version and the machine's architecture."""
        ...

    def inspect(self, folder: Path, artifact: Artifact) -> Inspection:
        """Inspect an artifact whose files lie in ``folder`` under their names; blocks for up to half a minute.

        Raises:
            UnsupportedFormat: the file is not ONNX at all.
            InvalidArtifact: it is refused, with the reason as code.
        """
        ...

    def rehearse(
        self,
        folder: Path,
        artifact: Artifact,
        examples: Examples,
        *,
        row_names: Sequence[str] = (),
        haste: Haste = Haste.PROMOTING,
    ) -> Level:
        """Load an artifact that has been inspected, and run its examples; blocks for up to half a minute.

        Where rows of the inputs ``row_names`` may share runs, those of the examples are run together as well: returned
        is the level that this leaves.

        Raises:
            InvalidArtifact: it does not load, or it takes too long or too much.
            ExamplesDiffer: it loads, and does not give what its examples say.
            Overloaded: others take all turns.
        """
        ...


class Catalog(Protocol):
    """What can be read of the registry, at one moment.

    Every method raises RegistryUnavailable where the database does not answer, RegistryBusy where it is locked.
    """

    def find_model(self, name: str) -> Model | None:
        """Return the model, or None."""
        ...

    def list_models(
        self, *, limit: int, after: str | None = None, query: str | None = None, pattern: str | None = None
    ) -> Page[Model]:
        """Return models by name, after the cursor, those whose name or description contains ``query``.

        All whose names match ``pattern`` (``*`` any signs, ``?`` any one) are among them, and hardly any other: it
        spares whoever looks for these the walk through the rest, and does not say who may see what.
        """
        ...

    def find_version(self, model: str, number: int) -> Version | None:
        """Return the version, retired or not, or None."""
        ...

    def find_version_of_artifact(self, model: str, digest: Digest) -> Version | None:
        """Return the model's version that has these bytes and is not retired, or None."""
        ...

    def list_versions(self, model: str, *, limit: int, after: str | None = None) -> Page[Version]:
        """Return a model's versions, newest first, retired ones included."""
        ...

    def list_isolated(self, *, limit: int, after: str | None = None) -> Page[Version]:
        """Return the versions that do not run in process and are not retired, by model and number.

        Raises:
            InvalidRequest: ``after`` is no cursor of this list.
        """
        ...

    def find_alias(self, model: str, name: str) -> Alias | None:
        """Return the alias, or None if it has never been moved."""
        ...

    def find_inspection(self, digest: Digest, runtime: str) -> Inspection | None:
        """Return what ``runtime`` found out about an artifact, or None."""
        ...

    def find_examples(self, model: str, number: int) -> Examples:
        """Return the version's golden examples, in their order; none if it has none."""
        ...

    def find_shadow_report(self, model: str, alias: str) -> tuple[Trial, ShadowReport] | None:
        """Return the newest trial that there are comparisons of, and what they show; or None."""
        ...

    def list_moves(
        self, model: str, alias: str | None = None, *, after: int = 0, limit: int | None = None
    ) -> Sequence[Move]:
        """Return the moves of one alias, or of all, with larger ids, oldest first, and no more than ``limit``."""
        ...

    def list_newest_moves(self, model: str, *, before: int | None = None, limit: int) -> Sequence[Move]:
        """Return the moves of all of a model's aliases, newest first; only those with smaller ids than ``before``."""
        ...

    def list_events(self, *, after: int, limit: int) -> Sequence[Event]:
        """Return events with larger sequence numbers, in order."""
        ...

    def find_last_moved(self, model: str, alias: str) -> int:
        """Return the sequence number of the newest event of an alias, 0 if there is none."""
        ...

    def latest_sequence(self) -> int:
        """Return the sequence number of the newest event, 0 if there is none."""
        ...

    def now(self) -> datetime:
        """Return the moment by the database's clock, the only one that all its clients share."""
        ...

    def list_aliases(self, names: Collection[str]) -> Sequence[Alias]:
        """Return the aliases of all models with these names."""
        ...

    def list_workers(self, *, since: datetime) -> Sequence[WorkerReport]:
        """Return the workers that have reported since then and have not left, by host and process id."""
        ...

    def list_places(self) -> Sequence[WorkerReport]:
        """Return what workers of gateways with a place on the proxy's ring have said, until they are long silent."""
        ...

    def find_tokens(self, ids: Collection[str]) -> list[Token]:
        """Return the access tokens that have these public ids, whatever has become of them, in no particular order."""
        ...

    def list_tokens(self, *, limit: int, after: str | None = None) -> Page[Token]:
        """Return access tokens in the order of their making, those that are no longer good included.

        Raises:
            InvalidRequest: ``after`` is no cursor of this list.
        """
        ...

    def list_used_tokens(self, *, since: datetime, at: datetime, limit: int) -> list[Token]:
        """Return access tokens that are good at a moment and were used since another, those used last first."""
        ...

    def has_admin_token(self, *, at: datetime) -> bool:
        """Return True if there is an admin's token that is good at that moment."""
        ...

    def artifacts(self) -> Iterator[Artifact]:
        """Yield every artifact that a version refers to, those of retired versions too."""
        ...


class Transaction(Catalog, Protocol):
    """What can be written. Everything between entering and leaving is committed at once or not at all."""

    def ensure_model(self, name: str, *, description: str = "", actor: str, at: datetime) -> None:
        """Add the model if it is not there yet; one that is there keeps its description."""
        ...

    def change_model(self, name: str, *, description: str | None, tags: Mapping[str, str] | None) -> None:
        """Replace what is not None."""
        ...

    def add_artifact(self, artifact: Artifact, inspection: Inspection, *, at: datetime) -> None:
        """Remember an artifact and its inspection; does nothing for what is remembered already."""
        ...

    def add_version(
        self,
        model: str,
        artifact: Artifact,
        *,
        description: str,
        tags: Mapping[str, str],
        actor: str,
        at: datetime,
        batching: Batching = Batching.EXACT,
    ) -> int:
        """Add a version and return its number: one more than any that the model has ever had."""
        ...

    def change_version(
        self,
        model: str,
        number: int,
        *,
        description: str | None,
        tags: Mapping[str, str] | None,
        batching: Batching | None,
    ) -> None:
        """Replace what is not None; everything else about a version is immutable."""
        ...

    def set_standing(self, model: str, number: int, standing: Standing) -> None:
        """Replace where the version runs, and why."""
        ...

    def set_examples(self, model: str, number: int, examples: Examples) -> None:
        """Replace the version's golden examples."""
        ...

    def add_shadow_report(self, trial: Trial, report: ShadowReport) -> None:
        """Add to what the trial has shown; does nothing if a later one has begun."""
        ...

    def retire_version(self, model: str, number: int, *, actor: str, at: datetime) -> None:
        """Leave a tombstone in the version's place."""
        ...

    def set_alias(
        self,
        model: str,
        name: str,
        *,
        version: int,
        canary: Canary | None,
        shadow: Shadow | None = None,
        at: datetime,
    ) -> Alias:
        """Point the alias somewhere and return it with its new generation; a shadow without a trial begins one."""
        ...

    def add_move(
        self,
        model: str,
        alias: str,
        *,
        from_version: int | None,
        to_version: int,
        kind: MoveKind,
        undoes: int | None,
        actor: str,
        reason: str,
        at: datetime,
    ) -> Move:
        """Append to the history."""
        ...

    def add_event(
        self,
        kind: EventKind,
        *,
        model: str | None,
        version: int | None = None,
        alias: str | None = None,
        actor: str,
        at: datetime,
        detail: Mapping[str, Any],
    ) -> int:
        """Append to the feed and return the sequence number."""
        ...

    def add_token(self, token: Token) -> None:
        """Add an access token."""
        ...

    def revoke_token(self, id_: str, *, actor: str, at: datetime) -> None:
        """Note that a token is good no longer; does nothing for one that is revoked already."""
        ...

    def note_use(self, ids: Collection[str], *, at: datetime) -> None:
        """Note when tokens were last used; never puts the moment back."""
        ...

    def forget_worker(self, host: str, pid: int) -> None:
        """Forget what a worker said of itself: it is about to end, and nobody shall wait for it.

        Of one whose gateway has a place on the ring only that it is there: what it has loaded helps whoever takes the
        place next.
        """
        ...

    def report_worker(self, report: WorkerReport) -> None:
        """Replace what this worker said of itself before, and forget workers long silent."""
        ...


class Registry(Protocol):
    """The database, as two kinds of visit."""

    def reading(self) -> AbstractContextManager[Catalog]:
        """Open a consistent view for reading.

        Raises:
            RegistryUnavailable, RegistryBusy: from here or from any call inside.
        """
        ...

    def writing(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that holds the writers' lock; leaving commits, an exception rolls back.

        Raises:
            RegistryUnavailable, RegistryBusy: from here, from any call inside, or from the commit.
        """
        ...

    def check_schema(self) -> None:
        """Make sure that the database has the schema of this code.

        Raises:
            SchemaMismatch: it is older or newer; the message names both revisions.
            RegistryUnavailable: it does not answer.
        """
        ...
