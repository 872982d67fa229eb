"""Rows of the registry's queries become records."""

from sqlalchemy import RowMapping

from registry.artifact import Artifact, ArtifactFile, Digest
from registry.batching import Batching
from registry.events import Event, EventKind
from registry.examples import ExampleFacts
from registry.records import (
    Alias,
    Canary,
    FailedSwitch,
    Inspection,
    Model,
    Move,
    MoveKind,
    Shadow,
    Token,
    Trial,
    Version,
    WorkerReport,
)
from registry.roles import Role
from registry.standing import CLEAN, Isolation, Standing


def model_of(row: RowMapping, of_model: tuple[Alias, ...]) -> Model:
    """Return the model; the aliases come from rows of their own."""
    return Model(
        name=row["name"],
        description=row["description"],
        tags=row["tags"],
        latest_version=row["latest_version"],
        aliases=of_model,
        created_at=row["created_at"],
        created_by=row["created_by"],
    )


def version_of(row: RowMapping, artifact: Artifact) -> Version:
    """Return the version; its artifact comes from rows of its own."""
    return Version(
        model=row["model"],
        number=row["number"],
        artifact=artifact,
        inspection=Inspection.from_json(row["inspection"]),
        description=row["description"],
        tags=row["tags"],
        batching=Batching(row["batching"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        retired_at=row["retired_at"],
        examples=None if row["count"] is None else ExampleFacts(count=row["count"], digest=row["digest"]),
        standing=CLEAN if row["isolation"] is None else _standing_of(row),
    )


def _standing_of(row: RowMapping) -> Standing:
    return Standing(
        isolation=Isolation(row["isolation"]),
        deaths=row["deaths"],
        is_requested=row["is_requested"],
        is_on_probation=row["is_on_probation"],
        reason=row["reason"],
    )


def file_of(row: RowMapping) -> ArtifactFile:
    """Return one file of an artifact."""
    return ArtifactFile(name=row["name"], digest=Digest(row["file_digest"]), size_bytes=row["size_bytes"])


def alias_of(row: RowMapping) -> Alias:
    """Return the alias."""
    return Alias(
        model=row["model"],
        name=row["name"],
        version=row["version"],
        canary=None if row["canary_version"] is None else _canary_of(row),
        generation=row["generation"],
        updated_at=row["updated_at"],
        shadow=None if row["shadow_version"] is None else _shadow_of(row),
    )


def _canary_of(row: RowMapping) -> Canary:
    return Canary(
        version=row["canary_version"],
        percent=row["canary_percent"],
        max_error_rate=row["canary_max_error_rate"],
        max_latency_seconds=row["canary_max_latency_seconds"],
    )


def _shadow_of(row: RowMapping) -> Shadow:
    return Shadow(version=row["shadow_version"], percent=row["shadow_percent"], trial=row["shadow_trial"])


def move_of(row: RowMapping, number: int) -> Move:
    """Return the move, which is the how manieth of its alias its row does not say."""
    return Move(
        id=row["id"],
        number=number,
        model=row["model"],
        alias=row["alias"],
        from_version=row["from_version"],
        to_version=row["to_version"],
        kind=MoveKind(row["kind"]),
        undoes=row["undoes"],
        actor=row["actor"],
        reason=row["reason"],
        at=row["at"],
    )


def event_of(row: RowMapping) -> Event:
    """Return the event."""
    return Event(
        sequence=row["sequence"],
        kind=EventKind(row["kind"]),
        model=row["model"],
        version=row["version"],
        alias=row["alias"],
        actor=row["actor"],
        at=row["at"],
        detail=row["detail"],
    )


def trial_of(row: RowMapping) -> Trial:
    """Return which comparisons a row of shadow_reports adds up."""
    return Trial(
        model=row["model"],
        alias=row["alias"],
        number=row["trial"],
        live=row["live_version"],
        shadow=row["shadow_version"],
    )


def worker_of(row: RowMapping) -> WorkerReport:
    """Return what a worker said of itself."""
    return WorkerReport(
        host=row["host"],
        pid=row["pid"],
        applied=row["applied"],
        resident=tuple(row["resident"]),
        reported_at=row["reported_at"],
        failed=tuple(FailedSwitch(**switch) for switch in row["failed"] or ()),
        read=row["read"] or 0,
        pending=tuple(row["pending"] or ()),
        ring_id=row["ring_id"] or 0,
        has_left=bool(row["has_left"]),
    )


def token_of(row: RowMapping) -> Token:
    """Return the access token."""
    return Token(**{**row, "role": Role(row["role"])})
