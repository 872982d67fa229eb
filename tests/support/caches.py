"""A cache in a folder of the test, on a store that counts and a clock that ticks when it is read."""

from collections.abc import Iterator
from pathlib import Path

from model_store.disk_cache import DiskCache
from model_store.memory import MemoryStore
from model_store.shared_folders import SharedFolders
from registry.artifact import Artifact, Digest


class CountingStore(MemoryStore):
    """A store that remembers which objects were read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Digest] = []

    def stream(self, digest: Digest) -> Iterator[bytes]:
        self.reads.append(digest)
        return super().stream(digest)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def open_cache(
    store: MemoryStore, tmp_path: Path, *, limit_bytes: int = 1 << 30, grace_seconds: float = 0
) -> DiskCache:
    folders = SharedFolders(tmp_path / "cache", limit_bytes, grace_seconds=grace_seconds, now=Clock())
    return DiskCache(store, folders)


def fetch(cache: DiskCache, artifact: Artifact) -> Path:
    """Return an artifact's folder, which nobody holds any more."""
    with cache.hold(artifact) as folder:
        return folder


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def cached_in(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")}
