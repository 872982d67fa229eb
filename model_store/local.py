"""Artifacts in a folder (see ``layout``).

1. An object appears by linking a finished, synced file to its name: whole or not at all, and never over another of the
   same size. One of another size has been cut short by some accident, and is replaced.
2. A file that nobody may write any more and that lies on the same file system is linked itself; any other is copied
   into ``tmp/`` first. What lies there unlocked was left by a writer that died.
3. ``put`` returns only when the object and the folders above it are on the disk.
4. ``put`` of what is there already renews its age, under the shared lock; ``discard`` looks at the age and removes
   under the exclusive one. So a sweep by age never takes bytes that somebody has just been told are stored.
"""

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from model_store.failures import storage_errors, translate
from model_store.layout import FRAGMENTS, LOCK, OBJECTS, digest_of, key_of
from model_store.locks import FileLock, is_abandoned, try_lock
from model_store.streams import CHUNK_BYTES, copy_all
from registry.artifact import Digest
from registry.errors import ArtifactMissing
from registry.storage import StoredBlob, StoreProbe

_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK})
"""Another mount of the same file system, a file that is not ours to link, or too many links: copy instead."""


class FolderStore:
    """An ArtifactStore in a folder of a local or shared file system; made when first written to.

    Any number of threads and processes may use one folder at once.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, digest: Digest, path: Path) -> None:
        """Store the file's bytes, durably; see ArtifactStore."""
        target = self._path(digest)
        with storage_errors("storing the file"):
            self._make_folders(target)
            with self._lock() as lock:
                lock.share()
                is_there = _renew(target) and _same_size(path, target)
            if not is_there:
                self._add(path, target)
            self._sync_folders(target)

    def find_size(self, digest: Digest) -> int | None:
        """Return the size in bytes, or None."""
        with storage_errors("looking into the artifact store"):
            try:
                return self._path(digest).stat().st_size
            except FileNotFoundError:
                return None

    def stream(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes in chunks of 1 MiB; an object that is missing is noticed by the call itself."""
        if self.find_size(digest) is None:
            raise _missing(digest)
        return self._chunks(digest)

    def blobs(self) -> Iterator[StoredBlob]:
        """Yield every object."""
        with storage_errors("listing the artifact store"):
            found = [*_blobs_below(self._root, self._root / OBJECTS)]
        yield from found

    def probe(self) -> StoreProbe:
        """Link a file twice to one name, as two writers of the same bytes would; see Probed."""
        folder = self._root / FRAGMENTS
        source, target = (folder / f"{uuid.uuid4().hex}.part" for _ in range(2))
        with storage_errors("trying the artifact store out"):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                source.touch(exist_ok=False)
                os.link(source, target, follow_symlinks=False)
                return StoreProbe(is_exclusive=not _links(source, target), clock=None)
            finally:
                source.unlink(missing_ok=True)
                target.unlink(missing_ok=True)

    def fragments(self) -> Iterator[str]:
        """Yield ``tmp/<name>`` for each write that was interrupted; those under way are not among them."""
        with storage_errors("listing the artifact store"):
            found = [f"{FRAGMENTS}/{path.name}" for path in self._fragments() if is_abandoned(path)]
        yield from found

    def discard_fragments(self, *, modified_before: datetime) -> list[str]:
        """Remove interrupted writes last touched before then; see ArtifactStore."""
        removed = []
        with storage_errors("clearing the artifact store"):
            for path in self._fragments():
                if is_abandoned(path) and _modified_at(path) < modified_before:
                    path.unlink()
                    removed.append(f"{FRAGMENTS}/{path.name}")
        return removed

    def discard(self, digest: Digest, *, modified_before: datetime | None = None) -> bool:
        """Remove the bytes, or spare them if they were put since then; see ArtifactStore."""
        path = self._path(digest)
        with storage_errors("removing a file from the artifact store"):
            if not path.exists():
                return False
            with self._lock() as lock:
                lock.exclude()
                if not path.exists() or (modified_before is not None and _modified_at(path) >= modified_before):
                    return False
                path.unlink()
                return True

    def locate(self, digest: Digest) -> str:
        """Return a ``file:`` URI."""
        return self._path(digest).absolute().as_uri()

    def _path(self, digest: Digest) -> Path:
        return self._root / key_of(digest)

    def _lock(self) -> FileLock:
        return FileLock(self._root / LOCK)

    def _fragments(self) -> list[Path]:
        folder = self._root / FRAGMENTS
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _make_folders(self, target: Path) -> None:
        if not self._root.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            _sync(self._root.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        (self._root / FRAGMENTS).mkdir(exist_ok=True)

    def _sync_folders(self, target: Path) -> None:
        for folder in (target.parent, target.parent.parent, self._root / OBJECTS, self._root):
            _sync(folder)

    def _add(self, path: Path, target: Path) -> None:
        if _can_be_linked(path, self._root):
            _sync(path)
            try:
                self._publish(path, target)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
            else:
                return
        with self._copied(path) as copy:
            self._publish(copy, target)

    def _publish(self, source: Path, target: Path) -> None:
        with self._lock() as lock:
            lock.share()
            try:
                os.link(source, target, follow_symlinks=False)
            except FileExistsError:
                if not _same_size(source, target):  # else another writer of the same bytes was quicker
                    self._replace(source, target)
            _renew(target)  # the age counts from now, however long the bytes took to arrive

    def _replace(self, source: Path, target: Path) -> None:
        second_name = self._root / FRAGMENTS / f"{uuid.uuid4().hex}.part"
        os.link(source, second_name, follow_symlinks=False)
        second_name.replace(target)

    @contextmanager
    def _copied(self, path: Path) -> Iterator[Path]:
        """Copy a file into ``tmp/``, locked, synced and read-only; the copy's own name is gone afterwards."""
        copy = self._root / FRAGMENTS / f"{uuid.uuid4().hex}.part"
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
            try:
                try_lock(target)
                copy_all(source, target)
                os.fchmod(target, 0o444)
                os.fsync(target)
                yield copy
            finally:
                copy.unlink(missing_ok=True)
                os.close(target)
        finally:
            os.close(source)

    def _chunks(self, digest: Digest) -> Iterator[bytes]:
        try:
            with self._path(digest).open("rb", buffering=0) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError as error:
            raise _missing(digest) from error
        except OSError as error:
            raise translate(error, doing="reading from the artifact store") from error


def _missing(digest: Digest) -> ArtifactMissing:
    return ArtifactMissing(f"the artifact store does not have {digest}")


def _can_be_linked(path: Path, root: Path) -> bool:
    """True for a regular file of ours, without any write permission, on the root's file system."""
    found = path.lstat()
    is_frozen = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o222
    return is_frozen and found.st_uid == os.geteuid() and found.st_dev == root.stat().st_dev


def _links(source: Path, target: Path) -> bool:
    """Tell whether a file can be linked to a name."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return False
    return True


def _renew(path: Path) -> bool:
    """Make the object as young as a new one; False if it is not there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _same_size(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size


def _modified_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _blobs_below(root: Path, folder: Path) -> Iterator[StoredBlob]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            digest = digest_of(path.relative_to(root).as_posix())
            if digest is None:
                continue
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # discarded while we were looking
            modified_at = datetime.fromtimestamp(found.st_mtime, UTC)
            yield StoredBlob(digest=digest, size_bytes=found.st_size, modified_at=modified_at)
