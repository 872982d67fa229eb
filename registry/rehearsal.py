"""Making sure that a version can be loaded before anything points to it.

1. Its bytes are to be had and are the right ones: a copy is verified, which the load that follows finds ready.
2. The runtime of today has looked into it: what only another one has inspected is inspected again, in a child process.
"""

from registry.errors import InvalidArtifact, NotPromotable
from registry.names import quoted
from registry.ports import Clock, Inspector, Registry
from registry.records import Version
from registry.storage import ArtifactFolders


class Rehearsal:
    """Rehearses loads; safe for threads."""

    def __init__(self, *, registry: Registry, folders: ArtifactFolders, inspector: Inspector, clock: Clock) -> None:
        self._registry = registry
        self._folders = folders
        self._inspector = inspector
        self._clock = clock

    def __call__(self, version: Version) -> None:
        """Return if the version can be expected to load; blocks on the store, the database and the inspector.

        Raises:
            NotPromotable: the runtime refuses it.
            ArtifactMissing, ArtifactCorrupt: the store has lost or damaged its bytes.
            StorageUnavailable, InsufficientStorage, RegistryUnavailable, RegistryBusy, Overloaded: it cannot be told
                now.
        """
        artifact = version.artifact
        with self._folders.hold(artifact) as folder:
            with self._registry.reading() as catalog:
                known = catalog.find_inspection(artifact.digest, self._inspector.runtime)
            if known is not None:
                return
            try:
                inspection = self._inspector.inspect(folder, artifact)
            except InvalidArtifact as error:
                raise NotPromotable(
                    f"version {version.number} of model {quoted(version.model)} does not load with "
                    f"{self._inspector.runtime}: {error.detail} ({error.code})"
                ) from error
        with self._registry.writing() as transaction:
            transaction.add_artifact(artifact, inspection, at=self._clock.now())
