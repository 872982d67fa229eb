"""How the cache keeps its limit, and whom it spares."""

import random
import threading
from pathlib import Path

import pytest

from model_store.memory import MemoryStore
from registry.artifact import Artifact
from registry.errors import InsufficientStorage
from tests.support.artifacts import put_artifact
from tests.support.caches import CountingStore, cached_in, contents_of, fetch, open_cache

ONE = {"model.onnx": b"graph" * 200}


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


def _artifacts(store: MemoryStore, tmp_path: Path, count: int) -> list[Artifact]:
    return [put_artifact(store, tmp_path, {"model.onnx": bytes([number]) * 100}) for number in range(count)]


def test_the_least_recently_used_folders_go_first(store: CountingStore, tmp_path: Path) -> None:
    first, second, third, fourth = _artifacts(store, tmp_path, 4)
    cache = open_cache(store, tmp_path, limit_bytes=330)
    for artifact in (first, second, third, first, fourth):
        fetch(cache, artifact)
    assert cached_in(tmp_path) == {first.digest.hex, fourth.digest.hex}  # down to nine tenths of the limit: 297 bytes
    assert {path.name for path in (tmp_path / "cache" / ".locks").iterdir()} == cached_in(tmp_path)


def test_the_limit_holds_however_many_are_fetched(store: CountingStore, tmp_path: Path) -> None:
    cache = open_cache(store, tmp_path, limit_bytes=1000)
    for artifact in _artifacts(store, tmp_path, 50):
        fetch(cache, artifact)
        assert len(cached_in(tmp_path)) * 100 <= 1000
    assert len(cached_in(tmp_path)) >= 8


def test_a_folder_in_use_is_not_evicted(store: CountingStore, tmp_path: Path) -> None:
    held, *others = _artifacts(store, tmp_path, 5)
    cache = open_cache(store, tmp_path, limit_bytes=250)
    with cache.hold(held) as folder:
        for artifact in others:
            fetch(cache, artifact)
        assert contents_of(folder) == {"model.onnx": bytes([0]) * 100}
    fetch(cache, others[0])
    assert held.digest.hex not in cached_in(tmp_path)


def test_a_folder_fetched_just_now_is_not_evicted(store: CountingStore, tmp_path: Path) -> None:
    artifacts = _artifacts(store, tmp_path, 4)
    cache = open_cache(store, tmp_path, limit_bytes=150, grace_seconds=60)
    for artifact in artifacts:
        fetch(cache, artifact)
    assert cached_in(tmp_path) == {artifact.digest.hex for artifact in artifacts}


def test_an_artifact_larger_than_the_cache_is_refused_and_evicts_nobody(store: CountingStore, tmp_path: Path) -> None:
    (small,) = _artifacts(store, tmp_path, 1)
    large = put_artifact(store, tmp_path, ONE)
    cache = open_cache(store, tmp_path, limit_bytes=999)
    fetch(cache, small)
    with pytest.raises(InsufficientStorage) as caught:
        fetch(cache, large)
    assert caught.value.detail == "the model's files take 1000 bytes, the whole artifact cache may hold 999"
    assert cached_in(tmp_path) == {small.digest.hex}


def test_threads_that_evict_each_other_always_hold_whole_folders(store: CountingStore, tmp_path: Path) -> None:
    artifacts = _artifacts(store, tmp_path, 6)
    caches = [open_cache(store, tmp_path, limit_bytes=250) for _ in range(2)]  # as in two processes
    wrong: list[object] = []

    def fetch_at_random(seed: int) -> None:
        choice = random.Random(seed)  # noqa: S311  a choice of models, not a secret
        try:
            for _ in range(60):
                number = choice.randrange(len(artifacts))
                with caches[seed % 2].hold(artifacts[number]) as folder:
                    content = contents_of(folder)
                if content != {"model.onnx": bytes([number]) * 100}:
                    wrong.append(content)
        except Exception as error:  # noqa: BLE001  a thread's failure is shown by the assertion below
            wrong.append(error)

    threads = [threading.Thread(target=fetch_at_random, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store.reads) > len(artifacts)


def test_evicting_a_damaged_folder_follows_no_link(store: CountingStore, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    damaged, *others = _artifacts(store, tmp_path, 4)
    cache = open_cache(store, tmp_path, limit_bytes=250)
    (fetch(cache, damaged) / "link").symlink_to(elsewhere)
    for artifact in others:
        fetch(cache, artifact)
    assert damaged.digest.hex not in cached_in(tmp_path)
    assert contents_of(elsewhere) == {"mine": b"mine"}
