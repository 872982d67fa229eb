"""What the registry remembers, as values: nothing here can be changed, only replaced by a newer reading."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from registry.artifact import Artifact, ArtifactFile, Digest
from registry.batching import Batching, BatchReport, Level
from registry.examples import ExampleFacts
from registry.roles import Caller, Role
from registry.signature import Signature
from registry.standing import CLEAN, Standing
from registry.threads import ThreadReport

T = TypeVar("T")


class MoveKind(StrEnum):
    """Which way an alias went."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the sandboxed child found out about an artifact before it was stored."""

    signature: Signature
    opset_imports: Mapping[str, int]
    """Operator set version by domain; the default domain is spelled ``ai.onnx``."""
    producer: str
    metadata: Mapping[str, str]
    runtime: str
    """Who measured: the runtime's name and version, and the machine's architecture."""
    memory_bytes: int
    """Growth of Anonymous memory (smaps_rollup) from loading the model and running its largest probe."""
    load_seconds: float
    run_seconds: float | None
    """The median run of the smallest probe; None where no generated input was accepted."""
    is_bounded: bool
    """True if what a run takes follows from the input's size: no Loop, no shape of values, no very large constant."""
    batch: BatchReport | None = None
    """What trying to run rows together has shown; None where it was not tried."""
    threads: ThreadReport | None = None
    """What trying to run with several threads has shown; None where it was not tried."""

    @property
    def row_names(self) -> tuple[str, ...]:
        """The inputs whose rows may share runs; empty where none may."""
        if self.batch is None or self.batch.level is Level.NONE:
            return ()
        return tuple(spec.name for spec in self.signature.inputs if not spec.optional)

    def as_json(self) -> dict[str, Any]:
        """Return the form that is stored; ``from_json(as_json(i)) == i``."""
        return {
            "signature": self.signature.as_json(),
            "opset_imports": dict(self.opset_imports),
            "producer": self.producer,
            "metadata": dict(self.metadata),
            "runtime": self.runtime,
            "memory_bytes": self.memory_bytes,
            "load_seconds": self.load_seconds,
            "run_seconds": self.run_seconds,
            "is_bounded": self.is_bounded,
            "batch": None if self.batch is None else self.batch.as_json(),
            "threads": None if self.threads is None else self.threads.as_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Inspection":
        """Return the inspection that ``as_json`` describes, here or in another release."""
        batch, threads = value.get("batch"), value.get("threads")  # inspections of earlier releases have none
        known = {member.name for member in fields(cls)} & value.keys()  # and those of later ones may have more
        return cls(
            **{name: value[name] for name in known - {"signature", "batch", "threads"}},
            signature=Signature.from_json(value["signature"]),
            batch=None if batch is None else BatchReport.from_json(batch),
            threads=None if threads is None else ThreadReport.from_json(threads),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An immutable positive integer under a model's name, and what it stands for."""

    model: str
    number: int
    artifact: Artifact
    inspection: Inspection
    description: str
    tags: Mapping[str, str]
    batching: Batching
    created_at: datetime
    created_by: str
    retired_at: datetime | None
    examples: ExampleFacts | None = None
    """None if it has no golden examples."""
    standing: Standing = CLEAN
    """Where it runs, and why: it changes, as nothing of its row does."""

    @property
    def signature(self) -> Signature:
        """What the version takes and gives."""
        return self.inspection.signature

    @property
    def is_retired(self) -> bool:
        """True for a tombstone."""
        return self.retired_at is not None

    def as_json(self) -> dict[str, Any]:
        """Return a form that can be written down; ``from_json(as_json(v)) == v``."""
        return {
            "model": self.model,
            "number": self.number,
            "digest": self.artifact.digest.hex,
            "files": [[file.name, file.digest.hex, file.size_bytes] for file in self.artifact.files],
            "inspection": self.inspection.as_json(),
            "description": self.description,
            "tags": dict(self.tags),
            "batching": self.batching.value,
            "created_at": self.created_at.isoformat(),
            "created_by": self.created_by,
            "retired_at": None if self.retired_at is None else self.retired_at.isoformat(),
            "examples": None if self.examples is None else asdict(self.examples),
            "standing": self.standing.as_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Version":
        """Return the version that ``as_json`` describes."""
        files = tuple(
            ArtifactFile(name=name, digest=Digest(digest), size_bytes=size_bytes)
            for name, digest, size_bytes in value["files"]
        )
        retired_at = value["retired_at"]
        examples = value.get("examples")  # earlier releases have written none
        return cls(
            model=value["model"],
            number=value["number"],
            artifact=Artifact(digest=Digest(value["digest"]), files=files),
            inspection=Inspection.from_json(value["inspection"]),
            description=value["description"],
            tags=value["tags"],
            batching=Batching(value["batching"]),
            created_at=datetime.fromisoformat(value["created_at"]),
            created_by=value["created_by"],
            retired_at=None if retired_at is None else datetime.fromisoformat(retired_at),
            examples=None if examples is None else ExampleFacts(**examples),
            standing=Standing.from_json(value.get("standing")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A second version that gets a share of an alias's requests."""

    version: int
    percent: float
    """More than 0, at most 100."""
    max_error_rate: float | None = None
    """The share of its requests, from 0 to 1, that may fail by its own fault before it is dropped; None: any."""
    max_latency_seconds: float | None = None
    """How long its answers may take, but for one in a hundred, before it is dropped; None: any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A version that gets copies of a share of an alias's requests; nobody sees its answers."""

    version: int
    percent: float
    """More than 0, at most 100."""
    trial: int = 0
    """The alias's generation at which it was set: whom the comparisons belong to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which comparisons belong together: those of one shadow beside one version, since it was set."""

    model: str
    alias: str
    number: int
    """The alias's generation at which the shadow was set."""
    live: int
    """The version that answers."""
    shadow: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A movable name for a version."""

    model: str
    name: str
    version: int
    canary: Canary | None
    generation: int
    """1 at the first move, one more at each: the order of moves never depends on a clock."""
    updated_at: datetime
    shadow: Shadow | None = None

    @property
    def targets(self) -> tuple[int, ...]:
        """Every version that gets requests by it, or copies of them."""
        others = (other.version for other in (self.canary, self.shadow) if other is not None)
        return (self.version, *others)

    @property
    def trial(self) -> Trial | None:
        """What comparisons of its shadow belong to now; None if it has none."""
        if self.shadow is None:
            return None
        return Trial(
            model=self.model,
            alias=self.name,
            number=self.shadow.trial,
            live=self.version,
            shadow=self.shadow.version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One promotion or rollback, kept for ever."""

    id: int
    """Grows over all models: their order, and what ``undoes`` and links say."""
    number: int
    """Grows by one in its alias, from 1: what people say, ``m3``."""
    model: str
    alias: str
    from_version: int | None
    to_version: int
    kind: MoveKind
    undoes: int | None
    """For a rollback: the oldest promotion that it takes back; all later ones are taken back with it."""
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name with versions."""

    name: str
    description: str
    tags: Mapping[str, str]
    latest_version: int | None
    """The largest number that is not retired."""
    aliases: tuple[Alias, ...]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of an access token; its secret is not."""

    id: str
    """The public part of what its owner presents."""
    name: str
    role: Role
    models: str | None
    """The pattern of the models' names that it is good for; None for all."""
    secret_sha256: str = field(repr=False)
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    last_used_at: datetime | None = None
    """To the minute or so."""

    def is_good(self, now: datetime) -> bool:
        """True if it is neither revoked nor at its end."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def as_caller(self) -> Caller:
        """Return whoever presents it."""
        return Caller(name=self.name, role=self.role, models=self.models, token=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSwitch:
    """An event that a worker could not apply so far: it goes on answering as before."""

    sequence: int
    model: str | None
    alias: str | None
    version: int | None
    code: str
    """Of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What one gateway process last said of itself."""

    host: str
    pid: int
    applied: int
    """The sequence number up to which it has applied the feed."""
    resident: tuple[str, ...]
    """Loaded versions, as ``iris:3``, those that have been used most first."""
    reported_at: datetime
    """By the database's clock: those of the hosts may differ."""
    failed: tuple[FailedSwitch, ...] = ()
    """What it cannot follow, and goes on trying."""
    read: int = 0
    """The sequence number up to which it has read the feed; 0 if it does not say."""
    pending: tuple[int, ...] = ()
    """The events up to ``read`` that it has not applied; all others up to there it has."""
    ring_id: int = 0
    """The place of its gateway on the proxy's ring; 0 if it has none."""
    has_left: bool = False
    """True if it has ended as it should; only one with a place is remembered then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items of a list, and where to go on."""

    items: tuple[T, ...]
    next: str | None
    """The cursor of the next page; None at the end."""
