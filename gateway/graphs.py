"""Graphs without weights, for whoever looks at a version: made when they are first wanted, in a child process.

What could not be made is not tried again by this process for a while: each attempt may take as long as an inspection.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final

from model_store.stripped_graphs import FORMAT, StrippedGraphs
from registry.errors import InvalidArtifact
from registry.inspection.sandbox import SandboxedInspector
from registry.records import Version
from registry.storage import ArtifactFolders

_AGAIN_SECONDS: Final = 600.0
_MOST_REMEMBERED: Final = 1_000


class Graphs:
    """The graphs of one host; safe for threads.

    Args:
        folders: where the models' files are to be had.
        kept: where the graphs are.
        inspector: has a child make them.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        folders: ArtifactFolders,
        kept: StrippedGraphs,
        inspector: SandboxedInspector,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._folders = folders
        self._kept = kept
        self._inspector = inspector
        self._clock = clock
        self._failures: dict[str, tuple[float, InvalidArtifact]] = {}

    def tag(self, version: Version) -> str:
        """Return what names a version's graph: the same for the same bytes, as long as the same is left out."""
        return f"{version.artifact.digest.hex}-{FORMAT}"

    def find(self, version: Version) -> bytes | None:
        """Return a version's graph if it has been made on this host; looks at the disk.

        Raises:
            InvalidArtifact: it could not be made a moment ago.
        """
        until, error = self._failures.get(version.artifact.digest.hex, (0.0, None))
        if error is not None and self._clock() < until:
            raise InvalidArtifact(error.code, error.detail)
        return self._kept.find(version.artifact)

    def make(self, version: Version) -> bytes:
        """Return a version's graph, made if need be; blocks for as long as the child takes.

        Raises:
            InvalidArtifact: it cannot be made.
            ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage, Overloaded, InternalError.
        """
        artifact = version.artifact
        try:
            with self._folders.hold(artifact) as folder:
                return self._kept.make(artifact, lambda into: self._inspector.strip(folder, artifact, into))
        except InvalidArtifact as error:
            if len(self._failures) >= _MOST_REMEMBERED:
                self._failures.clear()
            self._failures[artifact.digest.hex] = (self._clock() + _AGAIN_SECONDS, error)
            raise
