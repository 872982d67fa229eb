import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.disk_cache import DiskCache
from model_store.local import FolderStore
from model_store.shared_folders import SharedFolders
from registry.errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable
from tests.support.artifacts import artifact_of, digest_of_bytes, put_artifact, put_bytes
from tests.support.caches import CountingStore, cached_in, contents_of, fetch, open_cache

ONE = {"model.onnx": b"graph" * 200}
TWO = {"net.onnx": b"small graph", "net.onnx.data": b"weights" * 100}


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.mark.parametrize("files", [ONE, TWO], ids=["one file", "two files"])
def test_a_fetched_folder_holds_the_files_under_their_names(
    store: CountingStore, tmp_path: Path, files: dict[str, bytes]
) -> None:
    artifact = put_artifact(store, tmp_path, files)
    folder = fetch(open_cache(store, tmp_path), artifact)
    assert folder == tmp_path / "cache" / artifact.digest.hex
    assert contents_of(folder) == files


def test_a_second_fetch_reads_nothing(store: CountingStore, tmp_path: Path) -> None:
    artifact = put_artifact(store, tmp_path, TWO)
    cache = open_cache(store, tmp_path)
    assert fetch(cache, artifact) == fetch(cache, artifact)
    assert len(store.reads) == 2


def test_another_process_takes_what_is_there_after_verifying_it(store: CountingStore, tmp_path: Path) -> None:
    artifact = put_artifact(store, tmp_path, ONE)
    fetch(open_cache(store, tmp_path), artifact)
    assert contents_of(fetch(open_cache(store, tmp_path), artifact)) == ONE
    assert len(store.reads) == 1


def _overwrite(folder: Path) -> None:
    path = folder / "model.onnx"
    size_bytes = path.stat().st_size
    path.unlink()
    path.write_bytes(b"x" * size_bytes)


def _overwrite_in_place(folder: Path) -> None:
    path = folder / "model.onnx"
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    path.chmod(0o444)


def _truncate(folder: Path) -> None:
    (folder / "model.onnx").chmod(0o644)
    os.truncate(folder / "model.onnx", 3)


def _link_elsewhere(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").unlink()
    (folder.parent.parent / "elsewhere").write_bytes(content)
    (folder / "model.onnx").symlink_to(folder.parent.parent / "elsewhere")


def _replace_by_link(folder: Path) -> None:
    elsewhere = folder.parent.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "other bytes of the same size": _overwrite,
    "the same file overwritten": _overwrite_in_place,
    "truncated": _truncate,
    "a file is gone": lambda folder: (folder / "model.onnx").unlink(),
    "a file too many": lambda folder: (folder / "more.bin").write_bytes(b"more"),
    "a file is a link": _link_elsewhere,
    "the folder is a link": _replace_by_link,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_folder_is_removed_and_fetched_again_once(
    store: CountingStore, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    artifact = put_artifact(store, tmp_path, ONE)
    cache = open_cache(store, tmp_path)
    damage(fetch(cache, artifact))
    folder = fetch(cache, artifact)
    assert (contents_of(folder), len(store.reads)) == (ONE, 2)
    assert not folder.is_symlink()
    assert not (folder / "model.onnx").is_symlink()


@pytest.mark.parametrize(
    "bytes_in_store",
    [b"other" * 200, b"short", b"long" * 1000],
    ids=["another digest", "truncated", "too long"],
)
def test_a_damaged_object_is_read_twice_and_never_shown(
    store: CountingStore, tmp_path: Path, bytes_in_store: bytes
) -> None:
    artifact = artifact_of(ONE)
    put_bytes(store, tmp_path, bytes_in_store, digest=artifact.digest)
    with pytest.raises(ArtifactCorrupt):
        fetch(open_cache(store, tmp_path), artifact)
    assert (len(store.reads), cached_in(tmp_path), list((tmp_path / "cache" / ".tmp").iterdir())) == (2, set(), [])


def test_a_damaged_object_is_fetched_once_the_store_is_well_again(store: CountingStore, tmp_path: Path) -> None:
    artifact = artifact_of(ONE)
    put_bytes(store, tmp_path, b"damaged", digest=artifact.digest)
    cache = open_cache(store, tmp_path)
    with pytest.raises(ArtifactCorrupt):
        fetch(cache, artifact)
    store.discard(artifact.digest)
    with pytest.raises(ArtifactMissing):
        fetch(cache, artifact)
    put_artifact(store, tmp_path, ONE)
    assert contents_of(fetch(cache, artifact)) == ONE


def test_many_threads_fetching_one_artifact_read_it_once(store: CountingStore, tmp_path: Path) -> None:
    artifact = put_artifact(store, tmp_path, ONE)
    cache = open_cache(store, tmp_path)
    barrier = threading.Barrier(8)
    seen: list[dict[str, bytes]] = []

    def look() -> None:
        barrier.wait()
        seen.append(contents_of(fetch(cache, artifact)))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, store.reads) == ([ONE] * 8, [artifact.digest])


_FETCH_WHEN_TOLD = """
import sys
from pathlib import Path
from model_store.disk_cache import DiskCache
from model_store.local import FolderStore
from model_store.shared_folders import SharedFolders
from tests.support.caches import CountingStore, cached_in, contents_of, open_cache
from tests.support.artifacts import artifact_of
class CountingStore(FolderStore):
    def stream(self, digest):
        print("read", flush=True)
        return super().stream(digest)
content = {"model.onnx": b"weights" * 1_000_000}
cache = DiskCache(CountingStore(Path(sys.argv[1])), SharedFolders(Path(sys.argv[2]), 1 << 30))
sys.stdin.readline()
with cache.hold(artifact_of(content)) as folder:
    print({path.name: path.read_bytes() for path in folder.iterdir()} == content)
"""


def test_processes_fetching_at_once_read_once_and_see_no_half_folder(tmp_path: Path) -> None:
    put_artifact(FolderStore(tmp_path / "store"), tmp_path, {"model.onnx": b"weights" * 1_000_000})
    command = [sys.executable, "-c", _FETCH_WHEN_TOLD, str(tmp_path / "store"), str(tmp_path / "cache")]
    readers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        for _ in range(3)
    ]
    for reader in readers:
        assert reader.stdin is not None
        reader.stdin.write("\n")
        reader.stdin.flush()
    lines = [line for reader in readers for line in reader.communicate()[0].split()]
    assert sorted(lines) == ["True", "True", "True", "read"]


def test_a_root_that_is_a_link_is_not_followed(store: CountingStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    artifact = put_artifact(store, tmp_path, ONE)
    cache = open_cache(store, tmp_path)
    for visit in (cache.check, lambda: fetch(cache, artifact)):
        with pytest.raises(StorageUnavailable) as caught:
            visit()
        assert caught.value.detail == "the artifact cache's folder is a symbolic link, which is not followed"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("part", [".locks", ".tmp"])
def test_a_part_that_is_a_link_is_not_followed(store: CountingStore, tmp_path: Path, part: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable):
        fetch(open_cache(store, tmp_path), put_artifact(store, tmp_path, ONE))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_root_that_cannot_be_written_is_unavailable(store: CountingStore) -> None:
    cache = DiskCache(store, SharedFolders(Path("/proc/self/fdinfo/cache"), 1 << 20))  # read-only for root, too
    with pytest.raises(StorageUnavailable):
        cache.check()


def test_checking_removes_what_a_killed_process_left(store: CountingStore, tmp_path: Path) -> None:
    cache = open_cache(store, tmp_path)
    cache.check()
    left = tmp_path / "cache" / ".tmp" / "left"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    cache.check()
    assert list((tmp_path / "cache" / ".tmp").iterdir()) == []


def test_cached_folders_need_no_store(store: CountingStore, tmp_path: Path) -> None:
    artifact = put_artifact(store, tmp_path, TWO)
    fetch(open_cache(store, tmp_path), artifact)
    for content in TWO.values():
        store.discard(digest_of_bytes(content))
    assert contents_of(fetch(open_cache(store, tmp_path), artifact)) == TWO


def test_a_folder_that_is_forgotten_goes_at_once(store: CountingStore, tmp_path: Path) -> None:
    cache = open_cache(store, tmp_path)
    artifact = put_artifact(store, tmp_path, ONE)
    folder = fetch(cache, artifact)
    cache.forget(artifact)
    assert not folder.exists()
    assert contents_of(fetch(cache, artifact)) == ONE


def test_a_folder_that_somebody_holds_is_not_forgotten(store: CountingStore, tmp_path: Path) -> None:
    cache = open_cache(store, tmp_path)
    artifact = put_artifact(store, tmp_path, ONE)
    with cache.hold(artifact) as folder:
        open_cache(store, tmp_path).forget(artifact)
        assert contents_of(folder) == ONE


def test_forgetting_what_was_never_fetched_does_nothing(store: CountingStore, tmp_path: Path) -> None:
    open_cache(store, tmp_path).forget(artifact_of(ONE))
    assert not (tmp_path / "cache").exists()
