"""Where the bytes of models are, as the use cases see it, and nothing about who provides it."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

from registry.artifact import Artifact, Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """One object of the store, as a listing shows it."""

    digest: Digest
    size_bytes: int
    modified_at: datetime


class ArtifactStore(Protocol):
    """Bytes by digest. An object is there whole or not at all, and never changes.

    Every method raises StorageUnavailable where the store does not answer, InsufficientStorage where it is full.
    """

    def put(self, digest: Digest, path: Path) -> None:
        """Store the file's bytes, durably, before returning; only renews their age if they are there already.

        The caller vouches that the bytes have the digest.
        """
        ...

    def find_size(self, digest: Digest) -> int | None:
        """Return the size in bytes, or None if the store does not have it."""
        ...

    def stream(self, digest: Digest) -> Iterator[bytes]:
        """Yield the bytes in chunks, unverified.

        Raises:
            ArtifactMissing: before the first chunk, if the store does not have it.
        """
        ...

    def blobs(self) -> Iterator[StoredBlob]:
        """Yield everything that is stored, in no particular order."""
        ...

    def fragments(self) -> Iterator[str]:
        """Yield what interrupted writes left behind, by a name that tells an operator where to look."""
        ...

    def discard_fragments(self, *, modified_before: datetime) -> list[str]:
        """Remove what writes that were interrupted before then left behind, and return the names."""
        ...

    def discard(self, digest: Digest, *, modified_before: datetime | None = None) -> bool:
        """Remove the bytes and return True; False if they are not there.

        Args:
            digest: whose bytes.
            modified_before: spare bytes (and return False) that were put since then, be it for the second time:
                ``put`` renews an object's age, and no ``put`` falls between this look at the age and the removal.
        """
        ...

    def locate(self, digest: Digest) -> str:
        """Return where the bytes are (or would be), as a URI."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreProbe:
    """What trying a store out has shown."""

    is_exclusive: bool
    """Whether a second write to the same place was refused, as the store has promised."""
    clock: datetime | None
    """The moment by the clock of whoever keeps the bytes; None where that is this machine."""


@runtime_checkable
class Probed(Protocol):
    """A store that can be tried out beside what it keeps."""

    def probe(self) -> StoreProbe:
        """Write a small object twice, each time only if it is not there yet, and remove it.

        Raises:
            StorageUnavailable, InsufficientStorage: the store does not answer, or is full.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that has arrived in a folder of its own, hashed while it came."""

    path: Path
    """The only file of its folder, named ``model.onnx``."""
    digest: Digest
    size_bytes: int


class ForeignObjects(Protocol):
    """Objects of other people's buckets, as far as an operator allows."""

    def open(self, source: str, *, limit_bytes: int) -> Iterator[bytes]:
        """Yield the bytes of one object, all of the same moment.

        Args:
            source: ``s3://bucket/key``.
            limit_bytes: the largest object that is begun with.

        Raises:
            SourceNotAllowed: it is none of the buckets that are allowed; nothing has been asked for anywhere.
            SourceNotFound, BodyTooLarge: before the first chunk.
            SourceChanged: before the first chunk, if it was written to in this very moment.
            StorageUnavailable: the bucket's server does not answer, or no longer.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOffer:
    """How a client sends a file straight to the store: one request with these headers, for a while."""

    url: str
    method: str
    headers: Mapping[str, str]
    lifetime: timedelta


class DirectUploads(Protocol):
    """Files that clients send to the store without the gateway in between; nobody trusts them before they are hashed.

    Every method raises StorageUnavailable where the store does not answer.
    """

    def offer(self, digest: Digest, size_bytes: int) -> UploadOffer:
        """Return a permission to send just these bytes, to a place that is no artifact's."""
        ...

    def open(self, digest: Digest, *, limit_bytes: int) -> Iterator[bytes]:
        """Yield what was sent under this digest, unverified.

        Raises:
            UploadNotFound, BodyTooLarge: before the first chunk.
        """
        ...

    def discard(self, digest: Digest) -> None:
        """Remove what was sent under this digest, if there is something."""
        ...


PREPARED_GRAPH = "model.onnx"
PREPARED_WEIGHTS = "weights.bin"
"""What the two files of a prepared model are called; the graph names the other one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What has become of preparing a model on this host: optimised, and its weights ready to be mapped."""

    memory_bytes: int | None = None
    """What a session of it takes; None where the model is to be loaded plainly."""
    reason: str = ""
    """Why."""
    is_final: bool = True
    """False if it may be another matter at another time."""


STRIPPED_GRAPH = "graph.onnx"
"""What a model's graph without its weights is called."""

MOST_STRIPPED_BYTES = 16 * 1024 * 1024
"""Of a graph without weights: hundreds of times what the largest that were seen have."""


class ArtifactFolders(Protocol):
    """Verified local copies of artifacts, for whoever must open them by path."""

    def hold(self, artifact: Artifact) -> AbstractContextManager[Path]:
        """Give a folder that holds the artifact's files under their names, each with the right digest.

        Blocks. Verifies every byte that it copies before anyone can see it. The folder stays for as long as the block
        takes.

        Raises:
            ArtifactMissing, ArtifactCorrupt, StorageUnavailable, InsufficientStorage.
        """
        ...

    def forget(self, artifact: Artifact) -> None:
        """Remove the folder, unless somebody holds it: the artifact has been refused, and nobody will ask for it.

        What cannot be removed now stays, as what was asked for long ago does.
        """
        ...
