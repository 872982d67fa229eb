"""Graphs without weights on this host's disk, beside the verified copies and within the same limit.

    <root>/<hex of the artifact's digest>.graph-<format>/
    ├── graph.onnx      the graph
    └── graph.sha256    its digest

1. It is made once, however many threads and processes ask: they wait for its lock.
2. It is verified each time: it is small. What is damaged is removed and made again.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from model_store.cached_folders import remove_path, seal_folder
from model_store.failures import storage_errors
from model_store.locks import FileLock
from model_store.shared_folders import SharedFolders
from registry.artifact import Artifact
from registry.storage import MOST_STRIPPED_BYTES, STRIPPED_GRAPH

_DIGEST = "graph.sha256"
_DIGEST_BYTES = 64

FORMAT: Final = 1
"""To be raised when something else is left out than before: what was made is made again then."""


class StrippedGraphs:
    """Graphs by artifact; safe for threads and processes."""

    def __init__(self, folders: SharedFolders) -> None:
        self._folders = folders

    def find(self, artifact: Artifact) -> bytes | None:
        """Return the graph if it has been made and nobody is making it anew; never raises."""
        name = _name(artifact)
        with suppress(OSError):
            if self._folders.path(name).exists():
                with self._folders.lock(name) as lock:
                    if lock.try_share() and lock.is_current():
                        lock.mark_used(self._folders.now())
                        return _read(self._folders.path(name))
        return None

    def make(self, artifact: Artifact, strip: Callable[[Path], None]) -> bytes:
        """Return the graph, which ``strip`` writes into an empty folder unless somebody else has; blocks.

        Raises:
            StorageUnavailable, InsufficientStorage: the disk.
            What ``strip`` raises; nothing is kept then.
        """
        with storage_errors("keeping a graph"):
            self._folders.make_root()
            while True:
                with self._folders.lock(_name(artifact)) as lock:
                    lock.exclude()
                    if lock.is_current():
                        return self._make(artifact, lock, strip)

    def _make(self, artifact: Artifact, lock: FileLock, strip: Callable[[Path], None]) -> bytes:
        folder = self._folders.path(_name(artifact))
        found = None
        with suppress(OSError):
            found = _read(folder)
        if found is None:
            remove_path(folder)
            with self._folders.scratch() as scratch:
                strip(scratch.path)
                found = _sealed(scratch.path)
                size_bytes = len(found) + _DIGEST_BYTES
                self._folders.make_room(size_bytes)
                scratch.path.rename(folder)
            self._folders.take(size_bytes)
        lock.mark_used(self._folders.now())
        return found


def _name(artifact: Artifact) -> str:
    return f"{artifact.digest.hex}.graph-{FORMAT}"


def _sealed(folder: Path) -> bytes:
    """Return the graph that has been written, and write its digest beside it."""
    seal_folder(folder)  # whoever wrote it has read a stranger's file: it is a real file, or nothing
    octets = _octets(folder)
    (folder / _DIGEST).write_text(hashlib.sha256(octets).hexdigest(), encoding="ascii")
    for path in folder.iterdir():
        path.chmod(0o444)
    return octets


def _read(folder: Path) -> bytes | None:
    """Return the graph of a folder, or None if it is damaged; raises OSError if there is none."""
    seal_folder(folder)
    octets = _octets(folder)
    is_intact = hashlib.sha256(octets).hexdigest().encode() == (folder / _DIGEST).read_bytes()
    return octets if is_intact else None


def _octets(folder: Path) -> bytes:
    with (folder / STRIPPED_GRAPH).open("rb") as file:
        return file.read(MOST_STRIPPED_BYTES)
