"""What only a folder can suffer: kills, full disks, foreign files."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_store.layout import digest_of, key_of
from model_store.local import FolderStore
from model_store.streams import Spool
from registry.errors import ArtifactMissing, StorageUnavailable
from tests.support.artifacts import digest_of_bytes, put_bytes

CONTENT = b"0123456789" * 50_000
DIGEST = digest_of_bytes(CONTENT)

_PUT = """
import resource, sys
from pathlib import Path
from model_store.local import FolderStore
from registry.artifact import Digest
from registry.errors import InsufficientStorage
if len(sys.argv) > 4:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
try:
    FolderStore(Path(sys.argv[1])).put(Digest(sys.argv[2]), Path(sys.argv[3]))
except InsufficientStorage as error:
    print(error.detail)
"""


def _putting(root: Path, source: Path, *limits: int) -> list[str]:
    return [sys.executable, "-c", _PUT, str(root), DIGEST.hex, str(source), *map(str, limits)]


def _everything_below(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_key_follows_from_the_digest_and_back() -> None:
    assert key_of(DIGEST) == f"sha256/{DIGEST.hex[:2]}/{DIGEST.hex[2:4]}/{DIGEST.hex}"
    assert digest_of(key_of(DIGEST)) == DIGEST


@pytest.mark.parametrize(
    "key",
    ["", "sha256", f"sha256/{DIGEST.hex}", f"sha256/00/00/{DIGEST.hex}", key_of(DIGEST).upper(), key_of(DIGEST) + "/x"],
)
def test_anything_else_is_no_key(key: str) -> None:
    assert digest_of(key) is None


def test_a_put_that_is_killed_midway_leaves_a_fragment_and_no_object(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(_putting(tmp_path / "store", pipe))
    with pipe.open("wb", buffering=0) as source:
        source.write(CONTENT)  # more than a pipe holds: when it is through, the writer has copied a part
        assert list(store.fragments()) == []  # it is under way, so it is not a fragment
        assert store.discard_fragments(modified_before=datetime.now(UTC) + timedelta(days=1)) == []
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (name,) = store.fragments()
    assert (list(store.blobs()), store.find_size(DIGEST)) == ([], None)
    assert (tmp_path / "store" / name).stat().st_size > 0


def test_a_fragment_goes_when_it_is_old(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    put_bytes(store, tmp_path, CONTENT)
    half = tmp_path / "store" / "tmp" / "half.part"
    half.write_bytes(b"half")
    written_at = datetime.fromtimestamp(half.stat().st_mtime, UTC)
    assert store.discard_fragments(modified_before=written_at) == []
    assert store.discard_fragments(modified_before=written_at + timedelta(seconds=1)) == ["tmp/half.part"]
    assert (list(store.fragments()), store.find_size(DIGEST)) == ([], len(CONTENT))


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    done = subprocess.run(_putting(tmp_path / "store", source, 100_000), capture_output=True, text=True, check=True)
    assert done.stdout == "there is not enough disk space for storing the file\n"
    assert _everything_below(tmp_path / "store") == [".lock"]
    FolderStore(tmp_path / "store").put(DIGEST, source)
    assert FolderStore(tmp_path / "store").find_size(DIGEST) == len(CONTENT)


def test_a_finished_spool_is_linked_and_not_copied(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    with Spool(tmp_path / "scratch", limit_bytes=len(CONTENT)) as spool:
        spool.write(CONTENT)
        upload = spool.finish()
        store.put(upload.digest, upload.path)
        assert upload.path.samefile(tmp_path / "store" / key_of(DIGEST))
    assert b"".join(store.stream(DIGEST)) == CONTENT


def test_a_file_that_its_owner_may_still_write_is_copied(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    store.put(DIGEST, source)
    source.write_bytes(b"changed")
    assert b"".join(store.stream(DIGEST)) == CONTENT
    assert (tmp_path / "store" / key_of(DIGEST)).stat().st_mode & 0o777 == 0o444


def test_files_that_are_no_objects_are_not_listed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    put_bytes(store, tmp_path, CONTENT)
    (tmp_path / "store" / "sha256" / "notes.txt").write_text("mine")
    (tmp_path / "store" / "sha256" / ("0" * 64)).write_text("misplaced")
    assert [blob.digest for blob in store.blobs()] == [DIGEST]


def test_a_store_whose_root_is_a_file_is_unavailable_and_no_path_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    store = FolderStore(tmp_path / "store")
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    for visit in (
        lambda: store.put(DIGEST, source),
        lambda: store.find_size(DIGEST),
        lambda: store.stream(DIGEST),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            visit()
        assert str(tmp_path) not in caught.value.detail
        assert caught.value.detail.endswith("failed: Not a directory")


def test_an_object_that_goes_between_the_call_and_the_first_chunk_is_missing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    put_bytes(store, tmp_path, CONTENT)
    chunks = store.stream(DIGEST)
    store.discard(DIGEST)
    with pytest.raises(ArtifactMissing):
        next(chunks)
