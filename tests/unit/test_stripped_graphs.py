"""Graphs without weights on the disk: made once, verified, made again when damaged; failures remembered for a while."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_store.shared_folders import SharedFolders
from model_store.stripped_graphs import StrippedGraphs
from registry.errors import InternalError, InvalidArtifact, StorageUnavailable
from tests.support.artifacts import artifact_of
from tests.support.caches import Clock

ONE, TWO = (artifact_of({"model.onnx": content}) for content in (b"one", b"two"))


def opened(tmp_path: Path, *, limit_bytes: int = 1 << 20) -> StrippedGraphs:
    return StrippedGraphs(SharedFolders(tmp_path / "cache", limit_bytes, grace_seconds=0, now=Clock()))


def write(folder: Path) -> None:
    (folder / "graph.onnx").write_bytes(b"graph")


def never(_folder: Path) -> None:
    raise AssertionError("it is there")


def folder_of(tmp_path: Path) -> Path:
    return tmp_path / "cache" / f"{ONE.digest.hex}.graph-1"


def test_what_was_made_is_found_by_every_process(tmp_path: Path) -> None:
    assert opened(tmp_path).find(ONE) is None
    assert opened(tmp_path).make(ONE, write) == b"graph"
    assert (opened(tmp_path).find(ONE), opened(tmp_path).find(TWO)) == (b"graph", None)
    assert opened(tmp_path).make(ONE, never) == b"graph"


def test_of_many_who_want_it_one_makes_it(tmp_path: Path) -> None:
    made = []

    def write_and_count(folder: Path) -> None:
        made.append(folder)
        write(folder)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: opened(tmp_path).make(ONE, write_and_count), range(16)))
    assert (found, len(made)) == ([b"graph"] * 16, 1)


@pytest.mark.parametrize("name", ["graph.onnx", "graph.sha256"])
def test_what_is_damaged_is_not_found_and_made_again(tmp_path: Path, name: str) -> None:
    opened(tmp_path).make(ONE, write)
    path = folder_of(tmp_path) / name
    path.chmod(0o644)
    path.write_bytes(b"other")
    assert opened(tmp_path).find(ONE) is None
    assert opened(tmp_path).make(ONE, write) == b"graph"
    assert opened(tmp_path).find(ONE) == b"graph"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(_folder: Path) -> None:
        raise InvalidArtifact("inspection_crashed", "it crashed")

    with pytest.raises(InvalidArtifact):
        opened(tmp_path).make(ONE, fail)
    assert not folder_of(tmp_path).exists()
    assert opened(tmp_path).make(ONE, write) == b"graph"


def test_a_link_is_no_graph_whoever_has_made_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with pytest.raises((StorageUnavailable, InternalError)):
        opened(tmp_path).make(ONE, lambda folder: (folder / "graph.onnx").symlink_to(secret))
    assert opened(tmp_path).find(ONE) is None


def test_room_is_made_for_it_as_for_copies(tmp_path: Path) -> None:
    graphs = opened(tmp_path, limit_bytes=100)
    graphs.make(ONE, write)
    graphs.make(TWO, write)
    assert (graphs.find(ONE), graphs.find(TWO)) == (None, b"graph")
