"""What every artifact store promises, whatever it is made of."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_store.local import FolderStore
from model_store.memory import MemoryStore
from model_store.s3.store import S3Store
from registry.artifact import Digest
from registry.errors import ArtifactMissing, StorageUnavailable
from registry.storage import ArtifactStore, Probed, StoredBlob
from tests.support.artifacts import digest_of_bytes, put_bytes
from tests.support.s3_server import S3Server

CONTENT = bytes(range(256)) * 8200  # a little more than two chunks
DIGEST = digest_of_bytes(CONTENT)


@pytest.fixture(params=["memory", "folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactStore:
    match request.param:
        case "memory":
            return MemoryStore()
        case "folder":
            return FolderStore(tmp_path / "store")
        case _:
            server: S3Server = request.getfixturevalue("s3_server")
            server.give_credentials(monkeypatch)
            return server.store()


Damage = Callable[[Digest, bytes], None]


@pytest.fixture
def damage(store: ArtifactStore, tmp_path: Path) -> Damage:
    """What puts other bytes in an object's place, as an accident would."""

    def put_elsewhere(digest: Digest, content: bytes) -> None:
        put_bytes(store, tmp_path, content, digest=digest)

    def overwrite(digest: Digest, content: bytes) -> None:
        assert isinstance(store, S3Store)
        bucket = store._bucket
        bucket.client.api.put_object(**bucket.target(bucket.object_key(digest)), Body=content)

    return overwrite if isinstance(store, S3Store) else put_elsewhere


def _whole(store: ArtifactStore, digest: Digest) -> bytes:
    return b"".join(store.stream(digest))


def test_trying_a_store_out_shows_that_it_writes_once_and_leaves_nothing(store: ArtifactStore) -> None:
    if not isinstance(store, Probed):
        assert isinstance(store, MemoryStore)  # in which there is no place to write twice to
        return

    probe = store.probe()

    assert probe.is_exclusive
    assert (probe.clock is None) == isinstance(store, FolderStore)
    assert probe.clock is None or abs(datetime.now(UTC) - probe.clock) < timedelta(minutes=1)
    assert ([*store.blobs()], [*store.fragments()]) == ([], [])


def test_what_was_put_comes_back_whole(store: ArtifactStore, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, CONTENT)
    assert (store.find_size(DIGEST), _whole(store, DIGEST)) == (len(CONTENT), CONTENT)


@pytest.mark.parametrize("content", [b"", b"x"], ids=["nothing", "one byte"])
def test_the_smallest_objects_come_back(store: ArtifactStore, tmp_path: Path, content: bytes) -> None:
    digest = put_bytes(store, tmp_path, content)
    assert (store.find_size(digest), _whole(store, digest)) == (len(content), content)


def test_putting_again_changes_nothing_but_the_age(store: ArtifactStore, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, CONTENT)
    (first,) = store.blobs()
    put_bytes(store, tmp_path, CONTENT[::-1], digest=DIGEST)
    (second,) = store.blobs()
    assert _whole(store, DIGEST) == CONTENT
    assert second == StoredBlob(digest=DIGEST, size_bytes=len(CONTENT), modified_at=second.modified_at)
    assert second.modified_at >= first.modified_at


def test_putting_heals_an_object_that_was_cut_short(store: ArtifactStore, tmp_path: Path, damage: Damage) -> None:
    damage(DIGEST, CONTENT[:100])
    put_bytes(store, tmp_path, CONTENT)
    assert [(blob.digest, blob.size_bytes) for blob in store.blobs()] == [(DIGEST, len(CONTENT))]
    assert (_whole(store, DIGEST), list(store.fragments())) == (CONTENT, [])


def test_a_store_that_was_never_written_to_is_empty(store: ArtifactStore) -> None:
    assert (list(store.blobs()), list(store.fragments()), store.find_size(DIGEST)) == ([], [], None)
    assert store.discard_fragments(modified_before=datetime.now(UTC)) == []


def test_a_missing_object_is_noticed_by_the_call_itself(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactMissing):
        store.stream(DIGEST)


def test_a_file_that_cannot_be_read_is_not_stored(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        store.put(DIGEST, tmp_path / "no-such-file")
    assert caught.value.detail == "storing the file failed: No such file or directory"
    assert (list(store.blobs()), list(store.fragments())) == ([], [])


def test_blobs_lists_each_object_once(store: ArtifactStore, tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    sizes = {put_bytes(store, tmp_path, b"x" * size): size for size in (1, 2, 3)}
    blobs = list(store.blobs())
    assert {blob.digest: blob.size_bytes for blob in blobs} == sizes
    assert all(before < blob.modified_at < datetime.now(UTC) + timedelta(seconds=1) for blob in blobs)


def test_discard_says_whether_something_was_there(store: ArtifactStore, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, CONTENT)
    assert (store.discard(DIGEST), store.discard(DIGEST), store.find_size(DIGEST)) == (True, False, None)


def test_discard_by_age_spares_what_was_put_since(store: ArtifactStore, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, CONTENT)
    (blob,) = store.blobs()
    later = blob.modified_at + timedelta(microseconds=1)
    assert store.discard(DIGEST, modified_before=blob.modified_at) is False
    assert store.discard(DIGEST, modified_before=later) is True


def test_a_discarded_object_can_be_put_again(store: ArtifactStore, tmp_path: Path) -> None:
    put_bytes(store, tmp_path, CONTENT)
    store.discard(DIGEST)
    put_bytes(store, tmp_path, CONTENT)
    assert _whole(store, DIGEST) == CONTENT


def test_locate_names_the_object_before_and_after_it_is_there(store: ArtifactStore, tmp_path: Path) -> None:
    before = store.locate(DIGEST)
    put_bytes(store, tmp_path, CONTENT)
    assert store.locate(DIGEST) == before
    assert before.endswith(f"/{DIGEST.hex[:2]}/{DIGEST.hex[2:4]}/{DIGEST.hex}")


def test_many_threads_putting_one_digest_leave_one_intact_object(store: ArtifactStore, tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    failures: list[Exception] = []

    def put(number: int) -> None:
        barrier.wait()
        try:
            put_bytes(store, tmp_path / str(number), CONTENT)
        except Exception as error:  # noqa: BLE001  a thread's failure is shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [(blob.digest, blob.size_bytes) for blob in store.blobs()] == [(DIGEST, len(CONTENT))]
    assert (_whole(store, DIGEST), list(store.fragments())) == (CONTENT, [])


_PUT_WHEN_TOLD = """
import sys
from pathlib import Path
from model_store.local import FolderStore
from registry.artifact import Digest
sys.stdin.readline()
FolderStore(Path(sys.argv[1])).put(Digest(sys.argv[2]), Path(sys.argv[3]))
"""


def test_many_processes_putting_one_digest_leave_one_intact_object(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    command = [sys.executable, "-c", _PUT_WHEN_TOLD, str(tmp_path / "store"), DIGEST.hex, str(source)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    store = FolderStore(tmp_path / "store")
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert [(blob.digest, blob.size_bytes) for blob in store.blobs()] == [(DIGEST, len(CONTENT))]
    assert (_whole(store, DIGEST), list(store.fragments())) == (CONTENT, [])
