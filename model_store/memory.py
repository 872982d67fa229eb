"""Artifacts in a dictionary, for tests and for trying things out."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from model_store.failures import storage_errors
from model_store.layout import key_of
from model_store.streams import CHUNK_BYTES
from registry.artifact import Digest
from registry.errors import ArtifactMissing
from registry.storage import StoredBlob


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """An ArtifactStore that lives as long as the object; any number of threads may use it at once."""

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._objects: dict[Digest, tuple[bytes, datetime]] = {}

    def put(self, digest: Digest, path: Path) -> None:
        """Keep the file's bytes; see ArtifactStore."""
        with storage_errors("storing the file"):
            content = path.read_bytes()
        with self._lock:
            kept, _ = self._objects.get(digest, (content, None))
            self._objects[digest] = (kept if len(kept) == len(content) else content, self._now())

    def find_size(self, digest: Digest) -> int | None:
        """Return the size in bytes, or None."""
        found = self._objects.get(digest)
        return None if found is None else len(found[0])

    def stream(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes in chunks of 1 MiB; see ArtifactStore."""
        found = self._objects.get(digest)
        if found is None:
            raise ArtifactMissing(f"the artifact store does not have {digest}")
        content = found[0]
        return (content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES))

    def blobs(self) -> Iterator[StoredBlob]:
        """Yield every object."""
        with self._lock:
            found = list(self._objects.items())
        for digest, (content, modified_at) in found:
            yield StoredBlob(digest=digest, size_bytes=len(content), modified_at=modified_at)

    def fragments(self) -> Iterator[str]:
        """Yield nothing: what is interrupted here is gone."""
        yield from ()

    def discard_fragments(self, *, modified_before: datetime) -> list[str]:
        """Do nothing: there are none, however old."""
        del modified_before
        return []

    def discard(self, digest: Digest, *, modified_before: datetime | None = None) -> bool:
        """Forget the bytes, or spare them if they were put since then; see ArtifactStore."""
        with self._lock:
            found = self._objects.get(digest)
            if found is None or (modified_before is not None and found[1] >= modified_before):
                return False
            del self._objects[digest]
            return True

    def locate(self, digest: Digest) -> str:
        """Return a ``memory:`` URI, which nobody else can follow."""
        return f"memory:{key_of(digest)}"
