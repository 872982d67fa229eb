"""Whether the runtime of this worker has inspected what it loads: no other one's word counts.

1. A version is recorded with the runtime that inspected it first. Where that is this one, nothing is looked up: the
   names are compared, and that is all.
2. Else somebody may have inspected it with this runtime since: a note of this host's says so, or the registry. Where
   nobody has, it is inspected before it is loaded, in a child process, and that is noted in both.
3. What is refused, or is another model by now, does not load; the log says why. It is tried again by the next load.
4. The registry may be silent: then it is inspected here, and noted here. What cannot be told otherwise is not loaded.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import structlog

from gateway.serving.routes import OUTAGE, Documents
from registry.artifact import Artifact
from registry.errors import InvalidArtifact, LoadFailed, UnsupportedFormat
from registry.names import quoted
from registry.ports import Clock, Inspector, Registry
from registry.records import Inspection, Version
from registry.reinspection import inspect_again


class RuntimeChecks:
    """What this runtime has inspected; safe for threads.

    Args:
        registry: where inspections are.
        inspector: whose runtime it is, and what starts children.
        hold: gives the folder of an artifact, verified, for as long as it is held.
        documents: the notes of rule 2, shared by the workers of the host.
        clock: dates an inspection.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        inspector: Inspector,
        hold: Callable[[Artifact], AbstractContextManager[Path]],
        documents: Documents,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._inspector = inspector
        self._hold = hold
        self._documents = documents
        self._clock = clock
        self._runtime = inspector.runtime

    def is_due(self, version: Version) -> bool:
        """Return whether another runtime has inspected the version, and this one has not, by the notes of this host."""
        return version.inspection.runtime != self._runtime and self._documents.get(self._key(version)) is None

    def check(self, version: Version) -> Inspection | None:
        """Inspect a version that is due, unless the registry knows; blocks. Return what was found out here, if it was.

        Raises:
            LoadFailed: rule 3.
            ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, Overloaded, InternalError.
        """
        known = self._find(version)
        try:
            with self._hold(version.artifact) as folder:
                found = inspect_again(self._inspector, folder, version, known)
        except (InvalidArtifact, UnsupportedFormat) as error:
            log = structlog.get_logger().bind(model=version.model, version=version.number)
            log.warning("not_loaded_by_this_runtime", runtime=self._runtime, code=error.code, reason=error.detail)
            raise LoadFailed(
                f"version {version.number} of model {quoted(version.model)} does not load with {self._runtime}: "
                f"{error.detail} ({error.code})"
            ) from error
        self._documents.put(self._key(version), {"runtime": self._runtime})
        if known is not None:
            return None
        self._record(version, found)
        return found

    def _find(self, version: Version) -> Inspection | None:
        try:
            with self._registry.reading() as catalog:
                return catalog.find_inspection(version.artifact.digest, self._runtime)
        except OUTAGE:
            return None

    def _record(self, version: Version, found: Inspection) -> None:
        log = structlog.get_logger().bind(model=version.model, version=version.number, runtime=self._runtime)
        try:
            with self._registry.writing() as transaction:
                transaction.add_artifact(version.artifact, found, at=self._clock.now())
        except OUTAGE as error:
            log.warning("inspected_again_unrecorded", code=error.code)
        else:
            log.info("inspected_again")

    def _key(self, version: Version) -> str:
        return f"runtime.{version.artifact.digest.hex}.{self._runtime}"
