"""Registries to test with: a fresh database each, and small parts that stand in no network and no child process."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from registry.artifact import MODEL_FILE, Artifact, Digest
from registry.batching import Level
from registry.errors import ArtifactMissing, ExamplesDiffer, InvalidArtifact
from registry.examples import Example, Examples, check_all
from registry.ports import Haste
from registry.promotion import Promotion
from registry.records import Inspection
from registry.registration import Registered, Registration
from registry.rehearsal import Rehearsal
from registry.signature import Signature
from registry.sql import schema
from registry.sql.unit_of_work import SqlRegistry
from registry.storage import StoredBlob, Upload
from tests.support.backend import IS_PRODUCTION
from tests.support.postgres import make_postgres_database

NOON = datetime(2026, 5, 17, 12, 0, 0, 123456, tzinfo=UTC)
PLAIN: Mapping[str, Any] = {
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4], "optional": False}],
    "outputs": [{"name": "label", "dtype": "int64", "shape": ["batch"]}],
}
"""The signature of a test's file that says nothing else."""


@cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.db")
        schema.upgrade(f"sqlite:///{path}")
        return path.read_bytes()


def make_database(folder: Path) -> str:
    """Return the URL of a new, migrated database: of PostgreSQL if the tests run on it, else in ``folder``."""
    return make_postgres_database() if IS_PRODUCTION else make_sqlite_database(folder)


def make_sqlite_database(folder: Path) -> str:
    """Return the URL of a new, migrated SQLite database in ``folder``."""
    path = folder / "registry.db"
    path.write_bytes(_migrated_file())
    return f"sqlite:///{path}"


DATABASES: Mapping[str, Callable[[Path], str]] = {
    "sqlite": make_sqlite_database,
    "postgres": lambda _folder: make_postgres_database(),
}
"""Every kind of database, for contract tests."""


@contextmanager
def fresh_registry(folder: Path, make: Callable[[Path], str] = make_database) -> Iterator[SqlRegistry]:
    """Open a registry over a new database; ``folder`` is where an embedded one lies."""
    registry = SqlRegistry.open(make(folder))
    try:
        yield registry
    finally:
        registry.close()


@dataclass
class HandClock:
    """A clock that stands still until it is set."""

    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment


@dataclass
class MemoryStore:
    """``ArtifactStore`` in a dictionary."""

    contents: dict[Digest, bytes] = field(default_factory=dict)

    def put(self, digest: Digest, path: Path) -> None:
        self.contents.setdefault(digest, path.read_bytes())

    def find_size(self, digest: Digest) -> int | None:
        found = self.contents.get(digest)
        return None if found is None else len(found)

    def stream(self, digest: Digest) -> Iterator[bytes]:
        if digest not in self.contents:
            raise ArtifactMissing(f"{digest} is not in the store")
        yield self.contents[digest]

    def blobs(self) -> Iterator[StoredBlob]:
        for digest, content in self.contents.items():
            yield StoredBlob(digest=digest, size_bytes=len(content), modified_at=NOON)

    def fragments(self) -> Iterator[str]:
        return iter(())

    def discard(self, digest: Digest) -> bool:
        return self.contents.pop(digest, None) is not None

    def locate(self, digest: Digest) -> str:
        return f"memory:{digest.hex}"


@dataclass
class StoreFolders:
    """``ArtifactFolders`` that copies out of a store into a new folder each time; remembers what it was to forget."""

    store: MemoryStore
    root: Path
    numbers: Iterator[int] = field(default_factory=count)
    forgotten: list[Digest] = field(default_factory=list)

    @contextmanager
    def hold(self, artifact: Artifact) -> Iterator[Path]:
        folder = self.root / f"fetched-{next(self.numbers)}"
        folder.mkdir()
        for file in artifact.files:
            (folder / file.name).write_bytes(b"".join(self.store.stream(file.digest)))
        yield folder

    def forget(self, artifact: Artifact) -> None:
        self.forgotten.append(artifact.digest)


@dataclass
class JsonInspector:
    """``Inspector`` of files that hold their signature as JSON, and what they give, or ``{"refuse": CODE}``.

    It remembers what came.

    With ``refuses`` it refuses every file, with that code.
    """

    runtime: str = "json 1.0 x86_64"
    inspected: list[Digest] = field(default_factory=list)
    rehearsed: list[Digest] = field(default_factory=list)
    refuses: str | None = None
    shows: Level = Level.EXACT

    def inspect(self, folder: Path, artifact: Artifact) -> Inspection:
        self.inspected.append(artifact.digest)
        if self.refuses is not None:
            raise InvalidArtifact(self.refuses, "refused as it was told to")
        content = json.loads((folder / artifact.graph.name).read_bytes())
        if "refuse" in content:
            raise InvalidArtifact(content["refuse"], "refused as the file asks for")
        return make_inspection(runtime=self.runtime, signature=content.get("signature", PLAIN))

    def rehearse(
        self,
        folder: Path,
        artifact: Artifact,
        examples: Examples,
        *,
        row_names: Sequence[str] = (),
        haste: Haste = Haste.PROMOTING,
    ) -> Level:
        del row_names, haste
        self.rehearsed.append(artifact.digest)
        if self.refuses is not None:
            raise InvalidArtifact(self.refuses, "refused as it was told to")
        gives = json.loads((folder / artifact.graph.name).read_bytes()).get("gives", {})

        def answer(example: Example) -> dict[str, Any]:
            return {name: np.array(gives[name], array.dtype) for name, array in example.outputs.items()}

        faults = check_all(examples.items, answer)
        if faults:
            raise ExamplesDiffer("other answers than they say", violations=faults)
        return self.shows


def make_inspection(*, runtime: str = "json 1.0 x86_64", signature: Mapping[str, Any] = PLAIN) -> Inspection:
    """Return an inspection with a value that is not its type's default in every field."""
    return Inspection(
        signature=Signature.from_json(signature),
        opset_imports={"ai.onnx": 21, "ai.onnx.ml": 3},
        producer="tests",
        metadata={"author": "Zo\u00eb"},
        runtime=runtime,
        memory_bytes=4096,
        load_seconds=0.1,
        run_seconds=1e-05,
        is_bounded=True,
    )


def digest_of(content: bytes) -> Digest:
    """Return the digest of some bytes."""
    return Digest(hashlib.sha256(content).hexdigest())


@dataclass
class Bench:
    """A registry with everything that the use cases need, and short words for what tests do with them."""

    registry: SqlRegistry
    folder: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    inspector: JsonInspector = field(default_factory=JsonInspector)
    clock: HandClock = field(default_factory=HandClock)
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.folders = StoreFolders(self.store, self.folder)
        self.registration = Registration(
            registry=self.registry,
            store=self.store,
            inspector=self.inspector,
            folders=self.folders,
            clock=self.clock,
        )
        rehearsal = Rehearsal(registry=self.registry, folders=self.folders, inspector=self.inspector, clock=self.clock)
        self.promotion = Promotion(self.registry, self.clock, rehearse=rehearsal)

    def upload(self, content: Mapping[str, Any]) -> Upload:
        """Lay a file in a folder of its own, as the gateway does with what it receives."""
        body = json.dumps(content).encode()
        folder = self.folder / f"upload-{next(self.numbers)}"
        folder.mkdir()
        path = folder / MODEL_FILE
        path.write_bytes(body)
        return Upload(path=path, digest=digest_of(body), size_bytes=len(body))

    def register(self, model: str, content: Mapping[str, Any], **words: Any) -> Registered:
        """Register a file with this content."""
        return self.registration.register_upload(model, self.upload(content), actor="ada", **words)

    def register_versions(self, model: str, number_of_versions: int) -> Sequence[int]:
        """Register that many files of one signature; return their numbers."""
        return [self.register(model, {"salt": salt}).version.number for salt in range(number_of_versions)]


@contextmanager
def fresh_bench(folder: Path, make: Callable[[Path], str] = make_database) -> Iterator[Bench]:
    """Open a bench over a new database; ``folder`` is for everything else, too."""
    with fresh_registry(folder, make) as registry:
        yield Bench(registry, folder)
