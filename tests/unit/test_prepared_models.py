"""Prepared models on the disk: made once, verified, made again when damaged, removed for want of room."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from model_store.prepared_models import PreparedModel, PreparedModels
from model_store.shared_folders import SharedFolders
from registry.errors import InternalError
from registry.storage import Preparation
from tests.support.artifacts import artifact_of
from tests.support.caches import Clock

ONE, TWO = (artifact_of({"model.onnx": content}) for content in (b"one", b"two"))


def opened(tmp_path: Path, *, limit_bytes: int = 1 << 20, host: str = "here") -> PreparedModels:
    """What a process has that has verified nothing yet."""
    return PreparedModels(SharedFolders(tmp_path / "cache", limit_bytes, grace_seconds=0, now=Clock()), host)


def write(folder: Path) -> Preparation:
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "weights.bin").write_bytes(b"w" * 1000)
    return Preparation(memory_bytes=42)


def refuse(folder: Path) -> Preparation:
    (folder / "weights.bin").write_bytes(b"w" * 1000)
    return Preparation(reason="the answers differ")


def never(_folder: Path) -> Preparation:
    raise AssertionError("it is settled")


def held(models: PreparedModels) -> PreparedModel | None:
    with models.hold(ONE) as model:
        return model


def folder_of(tmp_path: Path) -> Path:
    return tmp_path / "cache" / f"{ONE.digest.hex}.here-2"


def test_what_was_made_is_found_by_every_process_of_such_a_host(tmp_path: Path) -> None:
    models = opened(tmp_path)
    assert (held(models), models.has(ONE)) == (None, False)
    assert models.make(ONE, write) == Preparation(memory_bytes=42)
    wanted = PreparedModel(path=folder_of(tmp_path) / "model.onnx", memory_bytes=42)
    assert (held(models), held(opened(tmp_path)), models.has(ONE)) == (wanted, wanted, True)
    assert held(opened(tmp_path, host="there")) is None
    assert models.make(ONE, never) is None


def test_that_a_model_cannot_be_prepared_is_remembered_and_nothing_else_is(tmp_path: Path) -> None:
    models = opened(tmp_path)
    assert models.make(ONE, refuse) == Preparation(reason="the answers differ")
    assert (held(models), models.has(ONE)) == (None, False)
    assert opened(tmp_path).make(ONE, never) is None
    assert [path.name for path in folder_of(tmp_path).iterdir()] == ["about.json"]


def test_a_failure_that_may_pass_is_tried_again_by_another_process_and_later_by_this_one(tmp_path: Path) -> None:
    models = opened(tmp_path)
    passing = Preparation(reason="the disk is full", is_final=False)
    assert models.make(ONE, lambda _folder: passing) == passing
    assert (models.make(ONE, never), held(models)) == (None, None)
    assert opened(tmp_path).make(ONE, write) == Preparation(memory_bytes=42)


@pytest.mark.parametrize(
    "about",
    ["[]", "{", '{"files": {}, "memory_bytes": "x", "reason": ""}', '{"files": {}, "memory_bytes": -1, "reason": ""}'],
)
def test_a_description_that_makes_no_sense_is_damage(tmp_path: Path, about: str) -> None:
    opened(tmp_path).make(ONE, write)
    path = folder_of(tmp_path) / "about.json"
    path.chmod(0o644)
    path.write_text(about)
    models = opened(tmp_path)
    assert (held(models), models.has(ONE), models.memory_bytes(ONE)) == (None, False, None)
    assert models.make(ONE, write) == Preparation(memory_bytes=42)


def test_looking_whether_it_is_there_keeps_nobody_from_loading(tmp_path: Path) -> None:
    models = opened(tmp_path)
    models.make(ONE, write)
    with models.hold(ONE) as first:
        assert opened(tmp_path).make(ONE, never) is None
        assert held(opened(tmp_path)) == first


def test_what_fails_for_other_reasons_may_be_tried_again(tmp_path: Path) -> None:
    models = opened(tmp_path)

    def fail(_folder: Path) -> Preparation:
        raise InternalError("no child")

    with pytest.raises(InternalError):
        models.make(ONE, fail)
    assert models.make(ONE, write) == Preparation(memory_bytes=42)


@pytest.mark.parametrize("damage", ["changed", "cut", "removed", "undescribed"])
def test_what_is_damaged_is_not_used_and_made_again(tmp_path: Path, damage: str) -> None:
    opened(tmp_path).make(ONE, write)
    weights = folder_of(tmp_path) / ("about.json" if damage == "undescribed" else "weights.bin")
    weights.chmod(0o644)
    if damage == "removed":
        weights.unlink()
    else:
        weights.write_bytes(b"W" * (1000 if damage == "changed" else 10))
    models = opened(tmp_path)
    assert held(models) is None
    assert models.make(ONE, write) == Preparation(memory_bytes=42)
    assert held(models) is not None


def test_while_one_makes_it_others_go_on_without(tmp_path: Path) -> None:
    has_begun, may_end = Event(), Event()

    def write_slowly(folder: Path) -> Preparation:
        has_begun.set()
        may_end.wait(30)
        return write(folder)

    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(opened(tmp_path).make, ONE, write_slowly)
        assert has_begun.wait(30)
        others = opened(tmp_path)
        assert (held(others), others.make(ONE, never)) == (None, None)
        may_end.set()
        assert making.result() == Preparation(memory_bytes=42)
    assert held(others) is not None


class Overtaken(SharedFolders):
    """Folders in which somebody else is quicker."""

    def __init__(self, path: Path, other: PreparedModels) -> None:
        super().__init__(path, 1 << 20, now=Clock())
        self._other = other

    def make_root(self) -> None:
        super().make_root()
        self._other.make(ONE, write)


def test_what_another_one_has_made_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    overtaken = PreparedModels(Overtaken(tmp_path / "cache", opened(tmp_path)), "here")
    assert overtaken.make(ONE, never) is None
    assert held(overtaken) == PreparedModel(path=folder_of(tmp_path) / "model.onnx", memory_bytes=42)


def test_what_is_held_stays_and_what_is_not_goes_for_want_of_room(tmp_path: Path) -> None:
    models = opened(tmp_path, limit_bytes=1500)
    models.make(ONE, write)
    with models.hold(ONE) as model:
        models.make(TWO, write)
        assert model is not None
        assert model.path.exists()
    models.forget(TWO)
    models.make(TWO, write)
    assert (held(models), models.has(TWO)) == (None, True)


def test_room_is_made_before_anything_is_written(tmp_path: Path) -> None:
    large = artifact_of({"model.onnx": b"x" * 1400})
    models = opened(tmp_path, limit_bytes=1500)
    models.make(ONE, write)

    def look(_folder: Path) -> Preparation:
        return Preparation(reason=str(folder_of(tmp_path).exists()))

    assert models.make(large, look) == Preparation(reason="False")


def test_what_is_larger_than_everything_is_not_kept(tmp_path: Path) -> None:
    models = opened(tmp_path, limit_bytes=500)
    reason = "its prepared form is larger than the whole artifact cache"
    assert models.make(ONE, write) == Preparation(reason=reason)
    assert held(models) is None


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    models = opened(tmp_path)
    models.make(ONE, write)
    models.forget(ONE)
    assert (held(models), models.has(ONE)) == (None, False)
