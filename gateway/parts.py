"""The registry, the store and the inspector of some settings, each in the form that the settings choose.

All that a command needs that serves nothing; ``gateway.wiring`` adds what serves.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from gateway.documents import DocumentFolder
from gateway.example_checks import ExampleChecks
from gateway.graphs import Graphs
from gateway.runtime_checks import RuntimeChecks
from gateway.settings import Settings
from model_store.disk_cache import DiskCache
from model_store.local import FolderStore
from model_store.prepared_models import PreparedModels
from model_store.s3.bucket import Bucket
from model_store.s3.client import S3Client
from model_store.s3.direct import S3Uploads
from model_store.s3.foreign import S3Sources
from model_store.s3.store import S3Store
from model_store.shared_folders import SharedFolders
from model_store.streams import sweep_scratch
from model_store.stripped_graphs import StrippedGraphs
from registry.batching import Batching
from registry.errors import ServiceError
from registry.inspection.host import host_key
from registry.inspection.sandbox import SandboxedInspector
from registry.promotion import Promotion
from registry.recording import Recording
from registry.records import Inspection, Version
from registry.registration import Registration
from registry.rehearsal import Rehearsal
from registry.sql import schema
from registry.sql.unit_of_work import SqlRegistry
from registry.storage import ArtifactStore, DirectUploads, ForeignObjects, Preparation


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The registry and the store of some settings: all that a command needs that serves nothing."""

    settings: Settings
    registry: SqlRegistry
    store: ArtifactStore
    uploads: DirectUploads | None
    """None where the store is a folder."""
    sources: ForeignObjects
    folders: DiskCache
    prepared: PreparedModels
    graphs: Graphs
    inspector: SandboxedInspector
    clock: SystemClock
    example_checks: ExampleChecks
    runtime_checks: RuntimeChecks
    rehearsal: Rehearsal

    def upgrade_schema(self) -> tuple[str | None, str | None]:
        """Bring the database to this code's schema and return the revisions before and after."""
        return schema.upgrade(self.settings.registry_url)

    def schema_revisions(self) -> tuple[str | None, str]:
        """Return the database's revision and this code's."""
        path = self.settings.embedded_database_path
        is_absent = path is not None and not path.exists()
        return None if is_absent else self.registry.current_revision(), schema.head_revision()

    def registration(self) -> Registration:
        """Return the use case over these parts."""
        return Registration(
            registry=self.registry,
            store=self.store,
            inspector=self.inspector,
            folders=self.folders,
            clock=self.clock,
            batching=Batching(self.settings.batching),
            passed=self.example_checks.note,
        )

    def promotion(self) -> Promotion:
        """Return the use case over these parts."""
        return Promotion(self.registry, self.clock, rehearse=self.rehearsal)

    def recording(self) -> Recording:
        """Return the use case over these parts."""
        return Recording(
            registry=self.registry,
            folders=self.folders,
            inspector=self.inspector,
            clock=self.clock,
            passed=self.example_checks.note,
        )

    def prepare(self, version: Version) -> Preparation | None:
        """Make a version's prepared form, if there is none yet; blocks for seconds, in a child process.

        Raises:
            ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, Overloaded, InternalError.
        """
        artifact = version.artifact
        with self.folders.hold(artifact) as folder:
            return self.prepared.make(
                artifact, lambda into: self.inspector.prepare(folder, artifact, version.inspection, into)
            )

    def inspect_again(self, version: Version) -> Inspection:
        """Inspect on this host what another kind of host has inspected; blocks for seconds, in a child process.

        Raises:
            ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, Overloaded, InternalError.
            InvalidArtifact, UnsupportedFormat: it does not load here.
        """
        with self.folders.hold(version.artifact) as folder:
            return self.inspector.inspect(folder, version.artifact)

    def visit_registry(self) -> None:
        """Visit it once: the first visit costs as much as many others, and has time while a worker stands by.

        No connection is kept: whoever stands by for hours would find it cut.
        """
        with suppress(ServiceError):
            self.registry.check_schema()
        self.registry.close()

    def clear_scratch(self) -> None:
        """Remove what killed processes left behind; what cannot be reached now is not worth refusing to start for."""
        try:
            sweep_scratch(self.settings.spool_dir)
            self.folders.check()
        except ServiceError as error:
            structlog.get_logger().error("scratch_not_cleared", code=error.code, detail=error.detail)

    def close(self) -> None:
        """Close what has connections."""
        self.registry.close()


def open_parts(settings: Settings) -> Parts:
    """Make the parts; nothing is connected to yet, and only the data dir is made."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    client = S3Client(settings.s3_endpoint_url or None)
    store, uploads = _open_store(settings, client)
    folders = SharedFolders(settings.folders_dir, settings.folders_limit_bytes)
    copies = DiskCache(store, folders)
    registry, inspector, clock = SqlRegistry.open(settings.registry_url), SandboxedInspector(), SystemClock()
    proofs = DocumentFolder(settings.proofs_dir)
    checks = ExampleChecks(host_key(), proofs)
    return Parts(
        settings=settings,
        registry=registry,
        store=store,
        uploads=uploads,
        sources=S3Sources(client, settings.import_buckets),
        folders=copies,
        prepared=PreparedModels(folders, host_key()),
        graphs=Graphs(copies, StrippedGraphs(folders), inspector),
        inspector=inspector,
        clock=clock,
        example_checks=checks,
        runtime_checks=RuntimeChecks(
            registry=registry, inspector=inspector, hold=copies.hold, documents=proofs, clock=clock
        ),
        rehearsal=Rehearsal(registry=registry, folders=copies, inspector=inspector, clock=clock, passed=checks.note),
    )


def _open_store(settings: Settings, client: S3Client) -> tuple[ArtifactStore, DirectUploads | None]:
    if settings.s3_place is None:
        return FolderStore(settings.store_dir), None
    bucket = Bucket(client, *settings.s3_place)
    return S3Store(bucket), S3Uploads(bucket)


def create_embedded_database(settings: Settings) -> None:
    """Make the embedded database if there is none, so that the first command on an empty data dir works.

    Raises:
        RegistryUnavailable, RegistryBusy: it cannot be made.
    """
    path = settings.embedded_database_path
    if path is not None and not path.exists():
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        schema.upgrade(settings.registry_url)
