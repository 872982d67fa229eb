import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_store.layout import key_of
from model_store.local import FolderStore
from registry.artifact import Artifact, Digest
from registry.consistency import Finding, FindingKind, check, repair
from registry.storage import StoredBlob
from tests.support.artifacts import RegistryOfArtifacts, artifact_of, digest_of_bytes, put_artifact, put_bytes

TWO = {"net.onnx": b"graph", "net.onnx.data": b"weights"}
GRAPH, WEIGHTS = (digest_of_bytes(content) for content in TWO.values())
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class ClockAt:
    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def artifact(store: FolderStore, tmp_path: Path) -> Artifact:
    return put_artifact(store, tmp_path, TWO)


def _overwrite(store_root: Path, digest: Digest, content: bytes) -> None:
    path = store_root / key_of(digest)
    path.chmod(0o644)
    path.write_bytes(content)


def _date(path: Path, moment: datetime) -> None:
    os.utime(path, (moment.timestamp(), moment.timestamp()))


def test_a_whole_store_has_no_findings(store: FolderStore, artifact: Artifact) -> None:
    assert check(RegistryOfArtifacts(artifact), store, verify=True) == []


def test_an_empty_store_and_an_empty_registry_agree(store: FolderStore) -> None:
    assert check(RegistryOfArtifacts(), store, verify=True) == []


def test_a_row_without_bytes_is_found(store: FolderStore, artifact: Artifact) -> None:
    store.discard(WEIGHTS)
    what = f"net.onnx.data ({WEIGHTS}) at {store.locate(WEIGHTS)} is missing"
    assert check(RegistryOfArtifacts(artifact), store, verify=False) == [
        Finding(kind=FindingKind.ROW_WITHOUT_BYTES, what=what)
    ]


def test_a_wrong_size_is_found_without_reading(store: FolderStore, artifact: Artifact, tmp_path: Path) -> None:
    _overwrite(tmp_path / "store", WEIGHTS, b"cut")
    what = f"net.onnx.data ({WEIGHTS}) at {store.locate(WEIGHTS)} has 3 bytes, was registered with 7"
    assert check(RegistryOfArtifacts(artifact), store, verify=False) == [
        Finding(kind=FindingKind.WRONG_SIZE, what=what)
    ]


def test_a_wrong_digest_is_found_by_reading_only(store: FolderStore, artifact: Artifact, tmp_path: Path) -> None:
    _overwrite(tmp_path / "store", WEIGHTS, b"WEIGHTS")
    what = f"{WEIGHTS} at {store.locate(WEIGHTS)} has the digest {digest_of_bytes(b'WEIGHTS')}"
    registry = RegistryOfArtifacts(artifact)
    assert check(registry, store, verify=False) == []
    assert check(registry, store, verify=True) == [Finding(kind=FindingKind.WRONG_DIGEST, what=what)]


def test_bytes_without_a_row_are_found(store: FolderStore, tmp_path: Path) -> None:
    digest = put_bytes(store, tmp_path, b"orphan")
    _date(tmp_path / "store" / key_of(digest), NOW)
    assert check(RegistryOfArtifacts(), store, verify=True) == [
        Finding(
            kind=FindingKind.BYTES_WITHOUT_ROW,
            what=f"{digest} at {store.locate(digest)}: 6 bytes, last put 2026-01-02 03:04:05+00:00",
            repair="discarded once it is old enough and still without a row",
        )
    ]


def test_a_half_file_is_found(store: FolderStore, artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "store" / "tmp" / "half.part").write_bytes(b"half")
    assert check(RegistryOfArtifacts(artifact), store, verify=False) == [
        Finding(
            kind=FindingKind.HALF_FILE,
            what="tmp/half.part was never finished",
            repair="discarded once it is old enough",
        )
    ]


def test_the_worst_comes_first(store: FolderStore, artifact: Artifact, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, b"orphan")
    (tmp_path / "store" / "tmp" / "half.part").write_bytes(b"half")
    _overwrite(tmp_path / "store", GRAPH, b"GRAPH")
    store.discard(WEIGHTS)
    kinds = [finding.kind for finding in check(RegistryOfArtifacts(artifact), store, verify=True)]
    assert kinds == [
        FindingKind.ROW_WITHOUT_BYTES,
        FindingKind.WRONG_DIGEST,
        FindingKind.BYTES_WITHOUT_ROW,
        FindingKind.HALF_FILE,
    ]


class StoreThatRegistersWhenListed(FolderStore):
    """A store during whose listing a version is registered, as another process may do at any moment."""

    def __init__(self, root: Path, registry: RegistryOfArtifacts, folder: Path) -> None:
        super().__init__(root)
        self._registry, self._folder = registry, folder

    def blobs(self) -> Iterator[StoredBlob]:
        listed = list(super().blobs())
        self._registry.rows.append(put_artifact(self, self._folder, TWO))
        return iter(listed)


def test_a_version_registered_meanwhile_is_no_finding(tmp_path: Path) -> None:
    registry = RegistryOfArtifacts()
    assert check(registry, StoreThatRegistersWhenListed(tmp_path / "store", registry, tmp_path), verify=True) == []


def test_repair_discards_only_what_is_old_and_without_a_row(
    store: FolderStore, artifact: Artifact, tmp_path: Path
) -> None:
    old, young = put_bytes(store, tmp_path, b"old orphan"), put_bytes(store, tmp_path, b"young orphan")
    halves = {name: tmp_path / "store" / "tmp" / name for name in ("old.part", "young.part")}
    for path in halves.values():
        path.write_bytes(b"half")
    for path in (*(tmp_path / "store" / key_of(digest) for digest in (old, GRAPH, WEIGHTS)), halves["old.part"]):
        _date(path, NOW - timedelta(hours=24, seconds=1))
    for path in (tmp_path / "store" / key_of(young), halves["young.part"]):
        _date(path, NOW - timedelta(hours=24))
    assert repair(RegistryOfArtifacts(artifact), store, clock=ClockAt(NOW)) == [
        Finding(kind=FindingKind.BYTES_WITHOUT_ROW, what=f"{old} at {store.locate(old)}", repair="discarded"),
        Finding(kind=FindingKind.HALF_FILE, what="tmp/old.part", repair="discarded"),
    ]
    assert {blob.digest for blob in store.blobs()} == {young, GRAPH, WEIGHTS}
    assert list(store.fragments()) == ["tmp/young.part"]


class RegistryThatSeesAPut(RegistryOfArtifacts):
    """A registry during whose reading the same bytes are uploaded again."""

    def __init__(self, store: FolderStore, folder: Path) -> None:
        super().__init__()
        self._store, self._folder = store, folder

    def artifacts(self) -> Iterator[Artifact]:
        put_bytes(self._store, self._folder, b"orphan")
        return super().artifacts()


def test_repair_spares_old_bytes_that_are_uploaded_again_meanwhile(store: FolderStore, tmp_path: Path) -> None:
    digest = put_bytes(store, tmp_path, b"orphan")
    _date(tmp_path / "store" / key_of(digest), NOW - timedelta(days=2))
    assert repair(RegistryThatSeesAPut(store, tmp_path), store, clock=ClockAt(NOW)) == []
    assert store.find_size(digest) == 6


def test_damaged_bytes_of_a_row_are_never_discarded(store: FolderStore, artifact: Artifact, tmp_path: Path) -> None:
    _overwrite(tmp_path / "store", WEIGHTS, b"WEIGHTS")
    _date(tmp_path / "store" / key_of(WEIGHTS), NOW - timedelta(days=2))
    assert repair(RegistryOfArtifacts(artifact), store, clock=ClockAt(NOW)) == []
    assert artifact_of(TWO) == artifact
    assert store.find_size(WEIGHTS) == 7
