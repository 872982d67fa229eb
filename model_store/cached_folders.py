"""Folders of a cache as the file system describes them."""

import os
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Seal: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Of each file: its name, inode, size in bytes and modification time in nanoseconds."""


class Room:
    """What this process knows of the free room, so that it need not look at every file each time."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._seen_bytes = 0
        self._taken_bytes = 0

    def is_known_for(self, wanted_bytes: int) -> bool:
        """True while this process has taken less than an eighth of the room that it saw last."""
        with self._mutex:
            return (self._taken_bytes + wanted_bytes) * 8 < self._seen_bytes

    def set(self, free_bytes: int) -> None:
        """Remember what was seen just now."""
        with self._mutex:
            self._seen_bytes, self._taken_bytes = free_bytes, 0

    def take(self, size_bytes: int) -> None:
        """Count what this process has added since."""
        with self._mutex:
            self._taken_bytes += size_bytes


def seal_folder(folder: Path) -> Seal:
    """Describe a real folder's files by name; raises OSError if it, or one of them, is anything else."""
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise NotADirectoryError
    found = []
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise NotADirectoryError
        found.append((path.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def list_folders(root: Path) -> Iterator[tuple[str, int]]:
    """Yield each artifact folder's name and size in bytes."""
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    for name in names:
        try:
            yield name, sum(size for _, _, size, _ in seal_folder(root / name))
        except OSError:
            yield name, 0  # going at this moment, or damaged: it is seen to when somebody asks for it


def remove_path(path: Path) -> None:
    """Remove a folder with all that is in it, or a file, or a link itself; does nothing if it is not there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
