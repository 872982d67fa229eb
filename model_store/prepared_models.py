"""Prepared models on this host's disk, beside the verified copies and within the same limit.

    <root>/<hex of the artifact's digest>.<host>-<format>/
    ├── model.onnx     the optimised graph
    ├── weights.bin    its weights, as this processor's kernels want them; absent if they are all small
    └── about.json     sizes and digests of these, and what a session of them takes; or why there are none

1. What is written is good for one version of the runtime on one kind of processor: both are in ``<host>``.
2. It is made once, in a folder that nobody looks into, while everybody else goes on loading plainly; renamed as one.
3. It is verified before use as copies are: sizes each time, digests once a process. What is damaged is removed, and may
   be made again.
4. That a model cannot be prepared is remembered in the same way, so that no process tries again; what failed for a
   reason that may pass (a full disk, a busy machine) is not.
5. Room is made for as much as the model's own files take before it is made, and for what it takes in fact afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from model_store.cached_folders import Seal, remove_path, seal_folder
from model_store.failures import storage_errors
from model_store.locks import FileLock
from model_store.shared_folders import SharedFolders
from model_store.streams import hash_file
from registry.artifact import Artifact
from registry.errors import InsufficientStorage
from registry.storage import PREPARED_GRAPH, Preparation

_ABOUT = "about.json"
_FORMAT = 2
"""To be raised when preparing has learned something: what was made, or refused, before is made again then."""

_RETRY_SECONDS = 3600.0
"""What failed for a reason that may pass is not tried again by this process for so long."""


class _About(msgspec.Struct, frozen=True):
    """What ``about.json`` says."""

    files: dict[str, tuple[int, str]]
    """Size and digest of each file."""
    memory_bytes: Annotated[int, msgspec.Meta(ge=0)] | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedModel:
    """A prepared model that can be loaded for as long as it is held."""

    path: Path
    memory_bytes: int
    """What a session of it takes."""


class PreparedModels:
    """Prepared models by artifact; safe for threads and processes.

    Args:
        folders: where they are.
        host: names the runtime's version and the processor (rule 1): letters and digits.
    """

    def __init__(self, folders: SharedFolders, host: str) -> None:
        self._folders = folders
        self._host = f"{host}-{_FORMAT}"
        self._retry_at: dict[str, float] = {}

    @contextmanager
    def hold(self, artifact: Artifact) -> Iterator[PreparedModel | None]:
        """Yield the prepared form, which stays for as long as the block takes; None if there is none. Never raises."""
        name = self._name(artifact)
        lock = self._share(name)
        try:
            yield None if lock is None else self._verified(name)
        finally:
            if lock is not None:
                lock.close()

    def has(self, artifact: Artifact) -> bool:
        """Return whether there is a prepared form; verifies nothing."""
        return self.memory_bytes(artifact) is not None

    def memory_bytes(self, artifact: Artifact) -> int | None:
        """Return what a session of the prepared form takes; None if there is none. Verifies nothing."""
        about = self._about(self._name(artifact))
        return None if about is None else about.memory_bytes

    def forget(self, artifact: Artifact) -> None:
        """Remove what there is, unless somebody holds it; never raises."""
        self._folders.forget(self._name(artifact))

    def make(self, artifact: Artifact, prepare: Callable[[Path], Preparation]) -> Preparation | None:
        """Have ``prepare`` fill an empty folder and keep it; None if that is settled, or somebody else is at it.

        Raises:
            StorageUnavailable, InsufficientStorage: the disk.
            What ``prepare`` raises; nothing is remembered then.
        """
        name = self._name(artifact)
        if self._retry_at.get(name, 0.0) > self._folders.now() or self._is_settled(artifact):
            return None
        with storage_errors("preparing a model"):
            self._folders.make_root()
            lock = self._folders.lock(name)
        with lock:
            if not lock.try_exclude() or not lock.is_current():
                return None
            if self._is_made(name):  # by somebody who was quicker
                return None
            return self._make(artifact, lock, prepare)

    def _is_settled(self, artifact: Artifact) -> bool:
        with self.hold(artifact) as model:
            return model is not None or self._is_refused(self._name(artifact))

    def _is_made(self, name: str) -> bool:
        return self._verified(name) is not None or self._is_refused(name)

    def _is_refused(self, name: str) -> bool:
        about = self._about(name)
        return about is not None and about.memory_bytes is None

    def _make(self, artifact: Artifact, lock: FileLock, prepare: Callable[[Path], Preparation]) -> Preparation:
        name = self._name(artifact)
        with storage_errors("preparing a model"), self._folders.scratch() as scratch:
            remove_path(self._folders.path(name))
            self._folders.make_room(artifact.size_bytes)  # rule 5
            preparation = prepare(scratch.path)
            if preparation.memory_bytes is not None:
                preparation = self._accommodate(scratch.path, preparation)
            if preparation.memory_bytes is None and not preparation.is_final:
                self._retry_at[name] = self._folders.now() + _RETRY_SECONDS
                return preparation
            if preparation.memory_bytes is None:
                for path in scratch.path.iterdir():
                    path.unlink()
            _describe(scratch.path, preparation)
            scratch.path.rename(self._folders.path(name))
            lock.mark_used(self._folders.now())
            return preparation

    def _accommodate(self, folder: Path, preparation: Preparation) -> Preparation:
        size_bytes = sum(path.stat().st_size for path in folder.iterdir())
        try:
            self._folders.make_room(size_bytes)
        except InsufficientStorage:
            return Preparation(reason="its prepared form is larger than the whole artifact cache")
        self._folders.take(size_bytes)
        return preparation

    def _share(self, name: str) -> FileLock | None:
        """Share the folder's lock if it is there and nobody is making or removing it."""
        lock = None
        with suppress(OSError):
            if self._folders.path(name).exists():
                lock = self._folders.lock(name)
                if lock.try_share() and lock.is_current():
                    lock.mark_used(self._folders.now())
                    return lock
        if lock is not None:
            lock.close()
        return None

    def _verified(self, name: str) -> PreparedModel | None:
        about = self._about(name)
        if about is None or about.memory_bytes is None:
            return None
        folder = self._folders.path(name)
        try:
            seal = seal_folder(folder)
            if self._folders.verified.get(name) != seal:
                if _contents(folder) != about.files:
                    return None
                self._folders.verified[name] = seal
        except OSError:
            return None
        return PreparedModel(path=folder / PREPARED_GRAPH, memory_bytes=about.memory_bytes)

    def _about(self, name: str) -> "_About | None":
        try:
            return msgspec.json.decode((self._folders.path(name) / _ABOUT).read_bytes(), type=_About)
        except (OSError, ValueError, RecursionError):
            return None

    def _name(self, artifact: Artifact) -> str:
        return f"{artifact.digest.hex}.{self._host}"


def _describe(folder: Path, preparation: Preparation) -> None:
    about = _About(_contents(folder), preparation.memory_bytes, preparation.reason)
    (folder / _ABOUT).write_bytes(msgspec.json.encode(about))
    for path in folder.iterdir():
        path.chmod(0o444)


def _contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Return size and digest of each file but the description."""
    seal: Seal = seal_folder(folder)
    return {name: (size, hash_file(folder / name).hex) for name, _, size, _ in seal if name != _ABOUT}
