"""Artifacts made of a few bytes, and the store's view of them."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from registry.artifact import Artifact, Digest, make_artifact
from registry.storage import ArtifactStore


def digest_of_bytes(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


def artifact_of(files: Mapping[str, bytes]) -> Artifact:
    return make_artifact({name: (digest_of_bytes(content), len(content)) for name, content in files.items()})


def put_bytes(store: ArtifactStore, folder: Path, content: bytes, *, digest: Digest | None = None) -> Digest:
    """Put the content under its own digest, or under another one to have it damaged."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = digest or digest_of_bytes(content)
    path = folder / digest.hex
    path.write_bytes(content)
    store.put(digest, path)
    path.unlink()
    return digest


def put_artifact(store: ArtifactStore, folder: Path, files: Mapping[str, bytes]) -> Artifact:
    for content in files.values():
        put_bytes(store, folder, content)
    return artifact_of(files)


class RegistryOfArtifacts:
    """A registry of which only the artifacts that versions refer to are of interest."""

    def __init__(self, *artifacts: Artifact) -> None:
        self.rows = list(artifacts)

    @contextmanager
    def reading(self) -> Iterator["RegistryOfArtifacts"]:
        yield self

    def artifacts(self) -> Iterator[Artifact]:
        yield from self.rows
