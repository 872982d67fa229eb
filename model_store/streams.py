"""Bytes on their way in: folders of their own that never outlive who writes them, and files hashed while they come.

1. A scratch folder is locked by its writer from just after it is made until it is discarded. A kill gives the lock
   back, so an unlocked folder is rubbish whoever left it.
2. ``sweep_scratch`` removes what it can lock. A folder that was swept between making and locking is made again.
3. A spooled file is bounded while it is written, hashed while it is written, and read-only once it is finished: from
   then on the store may link it instead of copying it.
"""

import hashlib
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from model_store.failures import storage_errors
from model_store.locks import try_lock
from registry.artifact import MODEL_FILE, Digest
from registry.errors import BodyTooLarge
from registry.storage import Upload

CHUNK_BYTES = 1 << 20


class ScratchFolder:
    """An empty folder under ``root`` that ``sweep_scratch`` spares while this process lives; raises OSError."""

    def __init__(self, root: Path) -> None:
        self.path, self._fd = _make_locked_folder(root)
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def discard(self) -> None:
        """Remove the folder, if it is still where it was, and unlock it; may be called again."""
        if self._is_open:
            self._is_open = False
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._fd)


class Spool:
    """A bounded file named ``model.onnx`` in a folder of its own, hashed while it is written.

    A context manager: leaving it removes the folder, whatever has happened. Blocks; one thread at a time.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._fd: int | None = None
        with storage_errors("receiving the file"):
            self._folder = ScratchFolder(root)
            self._path = self._folder.path / MODEL_FILE
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except OSError:
                self._folder.discard()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    @property
    def size_bytes(self) -> int:
        """What has been written so far."""
        return self._size_bytes

    def write(self, chunk: bytes) -> None:
        """Append a chunk.

        Raises:
            BodyTooLarge: the file would pass the limit; nothing of the chunk is written.
            InsufficientStorage: the disk is full.
            StorageUnavailable: the disk fails otherwise.
        """
        if self._size_bytes + len(chunk) > self._limit_bytes:
            raise BodyTooLarge(f"the file is larger than {self._limit_bytes} bytes, the most that is accepted")
        with storage_errors("receiving the file"):
            write_all(self._writable(), chunk)
        self._hash.update(chunk)
        self._size_bytes += len(chunk)

    def finish(self) -> Upload:
        """Close the file, read-only from now on, and return what has arrived; it stays until ``discard``."""
        with storage_errors("receiving the file"):
            os.fchmod(self._writable(), 0o444)
            self._close_file()
        return Upload(path=self._path, digest=Digest(self._hash.hexdigest()), size_bytes=self._size_bytes)

    def discard(self) -> None:
        """Remove the folder and everything in it; may be called again."""
        self._close_file()
        self._folder.discard()

    def _writable(self) -> int:
        if self._fd is None:
            raise ValueError("the spool is finished")
        return self._fd

    def _close_file(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


def sweep_scratch(root: Path) -> int:
    """Remove the scratch folders under ``root`` whose writers are dead, and return how many there were.

    Raises:
        StorageUnavailable: the root cannot be read; a root that is not there is simply empty.
    """
    removed = 0
    with storage_errors("clearing the scratch folder"):
        for path in list(root.iterdir()) if root.is_dir() else []:
            removed += _sweep(path)
    return removed


def copy_all(source: int, target: int) -> None:
    """Copy all that is left of one open file to another; both are file descriptors."""
    while chunk := os.read(source, CHUNK_BYTES):
        write_all(target, chunk)


def write_all(fd: int, chunk: bytes) -> None:
    """Write the whole chunk: near a full disk the kernel takes a part first and refuses only then."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(fd, rest) :]


def hash_file(path: Path) -> Digest:
    """Return the digest of a regular file's bytes; a symbolic link is refused with OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb", buffering=0) as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def _make_locked_folder(root: Path) -> tuple[Path, int]:
    root.mkdir(parents=True, exist_ok=True)
    while True:
        path = root / secrets.token_hex(12)
        path.mkdir(mode=0o700)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # a sweep was quicker
        if try_lock(fd) and path.exists():
            return path, fd
        os.close(fd)  # a sweep was quicker


def _sweep(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        if not try_lock(fd):
            return False
        shutil.rmtree(path)  # still locked: its maker, if there is one, notices and makes another
        return True
    finally:
        os.close(fd)
