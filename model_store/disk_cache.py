"""Verified copies of artifacts near the process, in shared folders named by the hex of their digests.

1. Every byte is hashed while it is copied, in a folder that nobody looks into; the folder is renamed as one.
2. One artifact is copied once, however many threads and processes ask: they wait for its lock.
3. A folder is verified before use: its files and their sizes each time, their digests unless this very process has
   verified these very files before.
4. What is damaged is removed and copied again, once. If the store's own bytes are wrong: ArtifactCorrupt.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_store.cached_folders import remove_path, seal_folder
from model_store.failures import storage_errors
from model_store.locks import FileLock
from model_store.shared_folders import SharedFolders
from model_store.streams import hash_file, write_all
from registry.artifact import Artifact, ArtifactFile
from registry.errors import ArtifactCorrupt
from registry.storage import ArtifactStore


class DiskCache:
    """ArtifactFolders in folders that any number of threads and processes share."""

    def __init__(self, store: ArtifactStore, folders: SharedFolders) -> None:
        self._store = store
        self._folders = folders

    @contextmanager
    def hold(self, artifact: Artifact) -> Iterator[Path]:
        """Yield a verified folder that stays for as long as the block takes; see ArtifactFolders."""
        with self._acquire(artifact):
            yield self._folders.path(artifact.digest.hex)

    def has(self, artifact: Artifact) -> bool:
        """Return whether there is a folder for the artifact, with files of the right sizes; verifies nothing."""
        try:
            seal = seal_folder(self._folders.path(artifact.digest.hex))
        except OSError:
            return False
        return [(name, size) for name, _, size, _ in seal] == _sizes(artifact)

    def forget(self, artifact: Artifact) -> None:
        """Remove the folder, unless somebody holds it; see ArtifactFolders."""
        self._folders.forget(artifact.digest.hex)

    def check(self) -> None:
        """Make sure that the cache can be used, and remove what killed processes left in it.

        Raises:
            StorageUnavailable, InsufficientStorage: as ``SharedFolders.check``.
        """
        self._folders.check()

    def _acquire(self, artifact: Artifact) -> FileLock:
        with storage_errors("preparing the artifact cache"):
            self._folders.make_root()
        while True:
            with storage_errors("locking the artifact cache"):
                lock = self._folders.lock(artifact.digest.hex)
            try:
                if self._is_ready(artifact, lock):
                    return lock
            except BaseException:
                lock.close()
                raise
            lock.close()  # the folder was evicted while we waited, and the lock file with it

    def _is_ready(self, artifact: Artifact, lock: FileLock) -> bool:
        """Share the lock of a verified folder; False if the lock file was unlinked meanwhile."""
        lock.share()
        if not lock.is_current():
            return False
        if self._is_intact(artifact):
            lock.mark_used(self._folders.now())
            return True
        lock.exclude()
        if not lock.is_current():
            return False
        if not self._is_intact(artifact):
            self._replace(artifact)
        lock.mark_used(self._folders.now())
        lock.share()
        return lock.is_current()

    def _is_intact(self, artifact: Artifact) -> bool:
        folder = self._folders.path(artifact.digest.hex)
        try:
            seal = seal_folder(folder)
            if [(name, size) for name, _, size, _ in seal] != _sizes(artifact):
                return False
            if self._folders.verified.get(artifact.digest.hex) != seal:
                if any(hash_file(folder / file.name) != file.digest for file in artifact.files):
                    return False
                self._folders.verified[artifact.digest.hex] = seal
        except OSError:
            return False  # absent, or on a disk that cannot read it: copied again either way
        return True

    def _replace(self, artifact: Artifact) -> None:
        folder = self._folders.path(artifact.digest.hex)
        with storage_errors("clearing the artifact cache"):
            remove_path(folder)
            self._folders.make_room(artifact.size_bytes)
        try:
            self._copy(artifact, folder)
        except ArtifactCorrupt:
            self._copy(artifact, folder)  # once more: the wire may have been at fault, not the store
        self._folders.take(artifact.size_bytes)

    def _copy(self, artifact: Artifact, folder: Path) -> None:
        with storage_errors("copying into the artifact cache"), self._folders.scratch() as scratch:
            for file in artifact.files:
                self._copy_file(file, scratch.path / file.name)
            seal = seal_folder(scratch.path)
            scratch.path.rename(folder)
            self._folders.verified[artifact.digest.hex] = seal

    def _copy_file(self, file: ArtifactFile, path: Path) -> None:
        sha256 = hashlib.sha256()
        size_bytes = 0
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            for chunk in self._store.stream(file.digest):
                size_bytes += len(chunk)
                if size_bytes > file.size_bytes:
                    break  # wrong in any case, and it must not fill the disk
                sha256.update(chunk)
                write_all(fd, chunk)
            os.fchmod(fd, 0o444)
        finally:
            os.close(fd)
        if size_bytes != file.size_bytes or sha256.hexdigest() != file.digest.hex:
            raise ArtifactCorrupt(f"the artifact store's bytes of {file.digest} have another digest")


def _sizes(artifact: Artifact) -> list[tuple[str, int]]:
    return sorted((file.name, file.size_bytes) for file in artifact.files)
