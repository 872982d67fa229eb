"""Folders on this host's disk that any number of threads and processes share, within a limit.

    <root>/
    ├── <name>/            what is kept
    ├── .locks/<name>      shared while the folder is used, exclusive while it appears or goes; its modification time is
    │                      when the folder was last used
    └── .tmp/<random>/     a folder on its way in

1. The limit is kept by removing folders, least recently used first, down to nine tenths of it. A folder that is
   locked, or was used within the grace time, stays, even if the limit is passed for that: the disk may refuse a
   model for want of room, a busy neighbour may not. What is larger than the limit is refused.
2. Each process looks at the whole root again after using an eighth of the room that it saw last: looking costs a
   system call for each file.
3. A root that is a symbolic link, or cannot be written to, is not used.
4. What a process has verified it need not verify again while the files are the same (inode, size, modification time).
"""

import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from model_store.cached_folders import Room, Seal, list_folders, remove_path
from model_store.failures import storage_errors
from model_store.locks import FileLock
from model_store.streams import ScratchFolder, sweep_scratch
from registry.errors import InsufficientStorage, StorageUnavailable

GRACE_SECONDS = 60.0
"""How long a folder certainly stays after its last use: what was just needed will often be needed again."""

_LOCKS = ".locks"
_SCRATCH = ".tmp"


class SharedFolders:
    """Folders by name; methods that touch the disk raise OSError unless they say otherwise."""

    def __init__(
        self,
        root: Path,
        limit_bytes: int,
        *,
        grace_seconds: float = GRACE_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._grace_seconds = grace_seconds
        self._room = Room()
        self.now = now
        self.verified: dict[str, Seal] = {}
        """Rule 4, by name."""

    def path(self, name: str) -> Path:
        """Return where the folder of that name is, or would be."""
        return self._root / name

    def lock(self, name: str) -> FileLock:
        """Open the folder's lock."""
        return FileLock(self._root / _LOCKS / name)

    def scratch(self) -> ScratchFolder:
        """Return a new folder on the same disk, to be filled and renamed."""
        return ScratchFolder(self._root / _SCRATCH)

    def make_root(self) -> None:
        """Make what has to be there before anything else.

        Raises:
            StorageUnavailable: a part of it is a symbolic link.
        """
        if self._root.is_symlink():
            raise StorageUnavailable("the artifact cache's folder is a symbolic link, which is not followed")
        for folder in (self._root, self._root / _LOCKS, self._root / _SCRATCH):
            folder.mkdir(parents=True, exist_ok=True)
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise StorageUnavailable("a part of the artifact cache is a symbolic link, which is not followed")

    def check(self) -> None:
        """Make sure that folders can be kept, and remove what killed processes left half done.

        Raises:
            StorageUnavailable: the root is a symbolic link, or nothing can be written there.
            InsufficientStorage: the disk is full.
        """
        with storage_errors("preparing the artifact cache"):
            self.make_root()
            with self.scratch() as probe:
                (probe.path / "probe").write_bytes(b"probe")
            sweep_scratch(self._root / _SCRATCH)

    def make_room(self, wanted_bytes: int) -> None:
        """Remove what has not been used for long until so much fits.

        Raises:
            InsufficientStorage: it is more than the limit.
        """
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

    def take(self, size_bytes: int) -> None:
        """Count what has been added."""
        self._room.take(size_bytes)

    def forget(self, name: str) -> None:
        """Remove a folder, unless somebody holds it; never raises."""
        with suppress(OSError):
            if self.path(name).exists():
                self._evict(name, 0.0)

    def _used_at(self, name: str) -> float:
        try:
            return (self._root / _LOCKS / name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _evict(self, name: str, grace_seconds: float) -> bool:
        with self.lock(name) as lock:
            if not lock.try_exclude() or not lock.is_current():
                return False
            if self.now() - lock.used_at < grace_seconds:
                return False
            remove_path(self.path(name))
            self.verified.pop(name, None)
            lock.unlink()
            return True
