"""How a worker loads a version that it does not run itself."""

from functools import partial

from gateway.isolation.origin import Allowance, Origin
from gateway.isolation.session import ChildSession
from gateway.parts import Parts
from gateway.serving.isolating import Isolating, quarantined
from gateway.serving.load_places import LoadPlaces
from registry.records import Version
from registry.standing import Isolation


class ChildLoader:
    """Makes the sessions of versions that run in children; safe for threads.

    Args:
        parts: where artifacts and prepared models lie.
        isolating: knows which versions these are, and is told how they fare.
        places: where loads run.
    """

    def __init__(self, parts: Parts, isolating: Isolating, places: LoadPlaces) -> None:
        self._parts = parts
        self._isolating = isolating
        self._places = places

    def load(self, version: Version) -> ChildSession | None:
        """Return a session if the version is to run in children, None if it is to run in this process. Blocks.

        Raises:
            ModelQuarantined: it is not to be run.
            LoadFailed, ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, InternalError.
        """
        isolation = self._isolating.of(version)
        if isolation is Isolation.QUARANTINED:
            raise quarantined(version)
        if isolation is Isolation.IN_PROCESS:
            return None
        start, max_queue = partial(self._start_origin, version), self._parts.settings.max_queue
        return ChildSession(version, start, watching=self._isolating, max_queue=max_queue)

    def _start_origin(self, version: Version) -> Origin:
        """Have a process load the version; its files are there, and verified, for as long as that takes."""
        artifact = version.artifact
        allowance = Allowance(run_bytes=self._parts.settings.run_memory_bytes)
        with self._parts.prepared.hold(artifact) as prepared:
            if prepared is not None:
                return Origin(prepared.path, prepared.memory_bytes, artifact.size_bytes, allowance)
        self._places.step_aside(artifact)
        with self._parts.folders.hold(artifact) as folder:
            return Origin(folder / artifact.graph.name, None, artifact.size_bytes, allowance)
