import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_store.streams import ScratchFolder, Spool, sweep_scratch
from registry.artifact import Digest
from registry.errors import BodyTooLarge, StorageUnavailable
from registry.storage import Upload

CHUNKS = [b"first", b"", b"second" * 1000]
WHOLE = b"".join(CHUNKS)


def test_a_spooled_file_is_whole_hashed_and_read_only(tmp_path: Path) -> None:
    with Spool(tmp_path, limit_bytes=len(WHOLE)) as spool:
        for chunk in CHUNKS:
            spool.write(chunk)
        assert spool.size_bytes == len(WHOLE)
        upload = spool.finish()
        assert upload == Upload(
            path=upload.path, digest=Digest(hashlib.sha256(WHOLE).hexdigest()), size_bytes=len(WHOLE)
        )
        assert upload.path.read_bytes() == WHOLE
        assert [path.name for path in upload.path.parent.iterdir()] == ["model.onnx"]
        assert upload.path.stat().st_mode & 0o777 == 0o444


def test_the_chunk_that_passes_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    with Spool(tmp_path, limit_bytes=10) as spool:
        spool.write(b"0123456789")
        with pytest.raises(BodyTooLarge) as caught:
            spool.write(b"x")
        assert caught.value.detail == "the file is larger than 10 bytes, the most that is accepted"
        assert spool.finish().size_bytes == 10


@pytest.mark.parametrize("is_finished", [True, False], ids=["finished", "cut off"])
def test_leaving_the_spool_removes_its_folder(tmp_path: Path, *, is_finished: bool) -> None:
    def receive() -> None:
        with Spool(tmp_path, limit_bytes=100) as spool:
            spool.write(b"some bytes")
            if is_finished:
                spool.finish()
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        receive()
    assert list(tmp_path.iterdir()) == []


def test_discarding_twice_is_harmless(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=100)
    spool.discard()
    spool.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_spool_takes_no_more(tmp_path: Path) -> None:
    with Spool(tmp_path, limit_bytes=100) as spool:
        spool.finish()
        with pytest.raises(ValueError, match="finished"):
            spool.write(b"late")


_SPOOL_UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from model_store.streams import Spool
from registry.errors import InsufficientStorage
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with Spool(Path(sys.argv[1]), limit_bytes=1 << 30) as spool:
    try:
        for _ in range(3):
            spool.write(bytes(50_001))
    except InsufficientStorage as error:
        print(spool.size_bytes, error.detail)
"""


def test_a_full_disk_while_receiving_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SPOOL_UNDER_A_LIMIT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "50001 there is not enough disk space for receiving the file\n"
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_root_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("not a folder")
    with pytest.raises(StorageUnavailable) as caught:
        Spool(tmp_path / "scratch", limit_bytes=1)
    assert caught.value.detail == "receiving the file failed: File exists"


_SPOOL_AND_WAIT = """
import sys
from pathlib import Path
from model_store.streams import Spool
spool = Spool(Path(sys.argv[1]), limit_bytes=100)
spool.write(b"half")
print("ready", flush=True)
sys.stdin.readline()
"""


def test_sweeping_removes_what_the_dead_left_and_spares_the_living(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SPOOL_AND_WAIT, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    with ScratchFolder(tmp_path) as ours:
        assert (sweep_scratch(tmp_path), len(list(tmp_path.iterdir()))) == (0, 2)
        other.send_signal(signal.SIGKILL)
        other.communicate()
        assert (sweep_scratch(tmp_path), list(tmp_path.iterdir())) == (1, [ours.path])


def test_sweeping_leaves_files_and_links_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("mine")
    (root / "link").symlink_to(elsewhere)
    assert sweep_scratch(root) == 0
    assert (sorted(path.name for path in root.iterdir()), elsewhere.is_dir()) == (["file", "link"], True)


def test_sweeping_a_root_that_is_not_there_finds_nothing(tmp_path: Path) -> None:
    assert sweep_scratch(tmp_path / "nothing") == 0
