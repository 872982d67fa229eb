"""Locks that the kernel gives back when their holder dies: flock on an open file or folder.

Two openings of one path exclude each other, in one process as in two, so the same lock serves threads and processes.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLock:
    """A lock on a small file of its own, which its exclusive holder may unlink.

    Whoever waited for a lock file that was unlinked meanwhile holds a lock that nobody else will ever meet: after
    taking a lock, ask ``is_current``, and begin again if it is not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def share(self) -> None:
        """Wait until nobody has it exclusively; others may share it."""
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def try_share(self) -> bool:
        """Share it if nobody has it exclusively now."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def exclude(self) -> None:
        """Wait until nobody else has it; a share held before is given up while waiting."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def try_exclude(self) -> bool:
        """Take it exclusively if that is possible at once."""
        return try_lock(self._fd)

    def is_current(self) -> bool:
        """True if the file is still the one that others would open."""
        try:
            there = self._path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))

    @property
    def used_at(self) -> float:
        """When ``mark_used`` was last called, in seconds since the epoch."""
        return os.fstat(self._fd).st_mtime

    def mark_used(self, at: float) -> None:
        """Remember a moment of use for everybody, in seconds since the epoch."""
        os.utime(self._fd, (at, at))

    def unlink(self) -> None:
        """Remove the file; only for who holds it exclusively."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the lock."""
        os.close(self._fd)


def try_lock(fd: int) -> bool:
    """Take the open file exclusively if nobody has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_abandoned(path: Path) -> bool:
    """True if the file or folder is there and no living opener has locked it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        return try_lock(fd)
    finally:
        os.close(fd)
