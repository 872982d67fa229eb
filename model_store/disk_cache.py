"""Verified copies of artifacts near the process.

    <root>/
    ├── <hex of the artifact's digest>/    the files under their names, read-only
    ├── .locks/<hex>                       shared while the folder is used, exclusive while it appears or goes;
    │                                      its modification time is when the folder was last used
    └── .tmp/<random>/                     a folder on its way in

1. Every byte is hashed while it is copied, in a folder that nobody looks into; the folder is renamed as one.
2. One artifact is copied once, however many threads and processes ask: they wait for its lock.
3. A folder is verified before use: its files and their sizes each time, their digests unless this very process has
   verified these very files (inode, size, modification time) before.
4. What is damaged is removed and copied again, once. If the store's own bytes are wrong: ArtifactCorrupt.
5. The limit is kept by removing folders, least recently used first, down to nine tenths of it. A folder that is
   locked, or was used within the grace time, stays, even if the limit is passed for that: the disk may refuse a
   model for want of room, a busy neighbour may not. An artifact larger than the limit is refused.
6. Each process looks at the whole folder again after using an eighth of the room that it saw last: looking costs a
   system call for each file.
7. A root that is a symbolic link, or cannot be written to, is not used.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model_store.cached_folders import Room, Seal, list_folders, remove_path, seal_folder
from model_store.failures import storage_errors
from model_store.locks import FileLock
from model_store.streams import ScratchFolder, hash_file, sweep_scratch, write_all
from registry.artifact import Artifact, ArtifactFile
from registry.errors import ArtifactCorrupt, InsufficientStorage, StorageUnavailable
from registry.storage import ArtifactStore

GRACE_SECONDS = 60.0
"""How long a folder certainly stays after its last use: what was just needed will often be needed again."""

_LOCKS = ".locks"
_SCRATCH = ".tmp"


class DiskCache:
    """ArtifactFolders in a folder that any number of threads and processes share."""

    def __init__(
        self,
        store: ArtifactStore,
        root: Path,
        limit_bytes: int,
        *,
        grace_seconds: float = GRACE_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._root = root
        self._limit_bytes = limit_bytes
        self._grace_seconds = grace_seconds
        self._now = now
        self._verified: dict[str, Seal] = {}
        self._room = Room()

    @contextmanager
    def hold(self, artifact: Artifact) -> Iterator[Path]:
        """Yield a verified folder that stays for as long as the block takes; see ArtifactFolders."""
        with self._acquire(artifact):
            yield self._root / artifact.digest.hex

    def has(self, artifact: Artifact) -> bool:
        """Return whether there is a folder for the artifact, with files of the right sizes; verifies nothing."""
        try:
            seal = seal_folder(self._root / artifact.digest.hex)
        except OSError:
            return False
        return [(name, size) for name, _, size, _ in seal] == _sizes(artifact)

    def forget(self, artifact: Artifact) -> None:
        """Remove the folder, unless somebody holds it; see ArtifactFolders."""
        with suppress(OSError):
            if (self._root / artifact.digest.hex).exists():
                self._evict(artifact.digest.hex, 0.0)

    def check(self) -> None:
        """Make sure that the cache can be used, and remove what killed processes left in it.

        Raises:
            StorageUnavailable: the root is a symbolic link, or nothing can be written there.
            InsufficientStorage: the disk is full.
        """
        with storage_errors("preparing the artifact cache"):
            self._make_root()
            with ScratchFolder(self._root / _SCRATCH) as probe:
                (probe.path / "probe").write_bytes(b"probe")
            sweep_scratch(self._root / _SCRATCH)

    def _acquire(self, artifact: Artifact) -> FileLock:
        with storage_errors("preparing the artifact cache"):
            self._make_root()
        while True:
            with storage_errors("locking the artifact cache"):
                lock = FileLock(self._root / _LOCKS / artifact.digest.hex)
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
            lock.mark_used(self._now())
            return True
        lock.exclude()
        if not lock.is_current():
            return False
        if not self._is_intact(artifact):
            self._replace(artifact)
        lock.mark_used(self._now())
        lock.share()
        return lock.is_current()

    def _is_intact(self, artifact: Artifact) -> bool:
        folder = self._root / artifact.digest.hex
        try:
            seal = seal_folder(folder)
            if [(name, size) for name, _, size, _ in seal] != _sizes(artifact):
                return False
            if self._verified.get(artifact.digest.hex) != seal:
                if any(hash_file(folder / file.name) != file.digest for file in artifact.files):
                    return False
                self._verified[artifact.digest.hex] = seal
        except OSError:
            return False  # absent, or on a disk that cannot read it: copied again either way
        return True

    def _replace(self, artifact: Artifact) -> None:
        folder = self._root / artifact.digest.hex
        with storage_errors("clearing the artifact cache"):
            remove_path(folder)
            self._make_room(artifact.size_bytes)
        try:
            self._copy(artifact, folder)
        except ArtifactCorrupt:
            self._copy(artifact, folder)  # once more: the wire may have been at fault, not the store
        self._room.take(artifact.size_bytes)

    def _copy(self, artifact: Artifact, folder: Path) -> None:
        with storage_errors("copying into the artifact cache"), ScratchFolder(self._root / _SCRATCH) as scratch:
            for file in artifact.files:
                self._copy_file(file, scratch.path / file.name)
            seal = seal_folder(scratch.path)
            scratch.path.rename(folder)
            self._verified[artifact.digest.hex] = seal

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

    def _make_root(self) -> None:
        if self._root.is_symlink():
            raise StorageUnavailable("the artifact cache's folder is a symbolic link, which is not followed")
        for folder in (self._root, self._root / _LOCKS, self._root / _SCRATCH):
            folder.mkdir(parents=True, exist_ok=True)
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise StorageUnavailable("a part of the artifact cache is a symbolic link, which is not followed")

    def _make_room(self, wanted_bytes: int) -> None:
        if wanted_bytes > self._limit_bytes:
            raise InsufficientStorage(
                f"the model's files take {wanted_bytes} bytes, the whole artifact cache may hold {self._limit_bytes}"
            )
        if self._room.is_known_for(wanted_bytes):
            return
        used = [(self._used_at(name), name, size_bytes) for name, size_bytes in list_folders(self._root)]
        total_bytes = sum(size_bytes for _, _, size_bytes in used)
        if total_bytes + wanted_bytes > self._limit_bytes:
            goal_bytes = max(self._limit_bytes * 9 // 10 - wanted_bytes, 0)
            for _, name, size_bytes in sorted(used):
                if total_bytes <= goal_bytes:
                    break
                total_bytes -= size_bytes if self._evict(name, self._grace_seconds) else 0
        self._room.set(self._limit_bytes - total_bytes)

    def _used_at(self, name: str) -> float:
        try:
            return (self._root / _LOCKS / name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _evict(self, name: str, grace_seconds: float) -> bool:
        with FileLock(self._root / _LOCKS / name) as lock:
            if not lock.try_exclude() or not lock.is_current():
                return False
            if self._now() - lock.used_at < grace_seconds:
                return False
            remove_path(self._root / name)
            self._verified.pop(name, None)
            lock.unlink()
            return True


def _sizes(artifact: Artifact) -> list[tuple[str, int]]:
    return sorted((file.name, file.size_bytes) for file in artifact.files)
