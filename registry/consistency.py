"""Does the store hold what the registry says it holds, and nothing else?

1. The store is listed before the registry is read: bytes come first and rows second, so a version that is registered
   meanwhile is never taken for one without bytes.
2. Bytes without a row are no damage: an upload that has not finished yet, or one that was refused or interrupted.
   They are discarded once they are old, if they still have no row; the store looks at the age again while nobody
   can put them a second time.
3. Nothing that a row refers to is ever discarded, not even if it is damaged.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from registry.artifact import Artifact, ArtifactFile, Digest
from registry.errors import ArtifactMissing
from registry.ports import Clock, Registry
from registry.storage import ArtifactStore, StoredBlob

UNREFERENCED_AGE = timedelta(hours=24)
"""How old bytes without a row must be before they are discarded: far older than any upload in progress."""


class FindingKind(StrEnum):
    """What can be wrong between the registry and the store."""

    ROW_WITHOUT_BYTES = "row_without_bytes"
    WRONG_SIZE = "wrong_size"
    WRONG_DIGEST = "wrong_digest"
    BYTES_WITHOUT_ROW = "bytes_without_row"
    HALF_FILE = "half_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not fit, for an operator to read."""

    kind: FindingKind
    what: str
    """Which object, where it lies and what is wrong with it, in one line."""
    repair: str | None = None
    """What ``repair`` does about it; None where a person must act."""


def check(registry: Registry, store: ArtifactStore, *, verify: bool) -> list[Finding]:
    """List everything that does not fit, the worst first.

    Args:
        registry: only read from.
        store: only read from.
        verify: read every object and compare its digest; takes as long as reading the whole store.

    Raises:
        RegistryUnavailable, RegistryBusy, StorageUnavailable: one of them does not answer.
    """
    blobs = {blob.digest: blob for blob in store.blobs()}
    rows = _files_by_digest(_read_artifacts(registry))
    found = [finding for file in rows.values() for finding in _check_row(file, blobs, store)]
    if verify:
        found.extend(finding for digest in sorted(blobs) for finding in _check_digest(digest, store))
    found.extend(_unreferenced(blob, store) for digest, blob in sorted(blobs.items()) if digest not in rows)
    found.extend(_half_file(name) for name in sorted(store.fragments()))
    order = list(FindingKind)
    return sorted(found, key=lambda finding: order.index(finding.kind))


def repair(
    registry: Registry, store: ArtifactStore, *, clock: Clock, min_age: timedelta = UNREFERENCED_AGE
) -> list[Finding]:
    """Discard bytes without a row and half files that are older than ``min_age``, and list what was discarded.

    May run while versions are being registered.

    Raises:
        RegistryUnavailable, RegistryBusy, StorageUnavailable: one of them does not answer.
    """
    modified_before = clock.now() - min_age
    old = sorted(blob for blob in _by_age(store.blobs(), modified_before))
    rows = _files_by_digest(_read_artifacts(registry)) if old else {}
    discarded = [
        _discarded(FindingKind.BYTES_WITHOUT_ROW, f"{digest} at {store.locate(digest)}")
        for digest in old
        if digest not in rows and store.discard(digest, modified_before=modified_before)
    ]
    names = store.discard_fragments(modified_before=modified_before)
    return [*discarded, *(_discarded(FindingKind.HALF_FILE, name) for name in sorted(names))]


def _read_artifacts(registry: Registry) -> list[Artifact]:
    with registry.reading() as catalog:
        return list(catalog.artifacts())


def _files_by_digest(artifacts: Iterable[Artifact]) -> dict[Digest, ArtifactFile]:
    return {file.digest: file for artifact in artifacts for file in artifact.files}


def _by_age(blobs: Iterable[StoredBlob], modified_before: datetime) -> Iterable[Digest]:
    return (blob.digest for blob in blobs if blob.modified_at < modified_before)


def _check_row(file: ArtifactFile, blobs: Mapping[Digest, StoredBlob], store: ArtifactStore) -> Iterable[Finding]:
    blob = blobs.get(file.digest)
    # A row that is younger than the listing has bytes that the listing lacks.
    size_bytes = store.find_size(file.digest) if blob is None else blob.size_bytes
    where = f"{file.name} ({file.digest}) at {store.locate(file.digest)}"
    if size_bytes is None:
        yield Finding(kind=FindingKind.ROW_WITHOUT_BYTES, what=f"{where} is missing")
    elif size_bytes != file.size_bytes:
        what = f"{where} has {size_bytes} bytes, was registered with {file.size_bytes}"
        yield Finding(kind=FindingKind.WRONG_SIZE, what=what)


def _check_digest(digest: Digest, store: ArtifactStore) -> Iterable[Finding]:
    sha256 = hashlib.sha256()
    try:
        for chunk in store.stream(digest):
            sha256.update(chunk)
    except ArtifactMissing:
        return  # discarded since it was listed; if a row wants it, the next check says so
    if sha256.hexdigest() != digest.hex:
        what = f"{digest} at {store.locate(digest)} has the digest {Digest(sha256.hexdigest())}"
        yield Finding(kind=FindingKind.WRONG_DIGEST, what=what)


def _unreferenced(blob: StoredBlob, store: ArtifactStore) -> Finding:
    return Finding(
        kind=FindingKind.BYTES_WITHOUT_ROW,
        what=f"{blob.digest} at {store.locate(blob.digest)}: {blob.size_bytes} bytes, last put {blob.modified_at}",
        repair="discarded once it is old enough and still without a row",
    )


def _half_file(name: str) -> Finding:
    return Finding(
        kind=FindingKind.HALF_FILE, what=f"{name} was never finished", repair="discarded once it is old enough"
    )


def _discarded(kind: FindingKind, what: str) -> Finding:
    return Finding(kind=kind, what=what, repair="discarded")
