"""Documents that are there whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.documents import DocumentFolder
from gateway.serving.routes import Reading
from registry.records import Version
from registry.standing import CLEAN, Isolation, Standing
from tests.support.registries import Bench, fresh_bench
from tests.support.serving_models import make_version


def test_a_document_is_there_for_whoever_opens_the_folder(tmp_path: Path) -> None:
    DocumentFolder(tmp_path / "a").put("iris@production", {"share": 0.5})
    assert DocumentFolder(tmp_path / "a").get("iris@production") == {"key": "iris@production", "share": 0.5}
    assert DocumentFolder(tmp_path / "a").get("iris:1") is None


def test_a_document_is_replaced_and_removed(tmp_path: Path) -> None:
    folder = DocumentFolder(tmp_path)
    for share in (0.5, 0.5, 0.25):
        folder.put("k", {"share": share})
    assert folder.get("k") == {"key": "k", "share": 0.25}
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    folder.remove("k")
    folder.remove("k")
    assert folder.get("k") is None
    folder.put("k", {"share": 0.25})
    assert folder.get("k") == {"key": "k", "share": 0.25}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"key": "another"}', b"\xff"])
def test_what_is_no_such_document_is_not_there(tmp_path: Path, content: bytes) -> None:
    folder = DocumentFolder(tmp_path)
    folder.put("k", {})
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(content)
    assert folder.get("k") is None


def test_a_folder_that_cannot_be_written_to_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = DocumentFolder(tmp_path / "file")
    folder.put("k", {})
    folder.remove("k")
    assert folder.get("k") is None


def test_readings_come_back_as_they_were(tmp_path: Path) -> None:
    for reading in (Reading(make_version("iris", 1)), Reading(make_version("iris", 1), make_version("iris", 2), 0.25)):
        assert Reading.from_json(reading.as_json()) == reading
    with fresh_bench(tmp_path) as bench:
        registered = _registered(bench)
    assert Reading.from_json(registered.as_json()) == registered


def test_where_a_version_runs_comes_back_and_what_an_earlier_release_wrote_runs_in_process() -> None:
    version = make_version(standing=Standing(isolation=Isolation.ISOLATED, deaths=1, is_on_probation=True, reason="x"))
    document = json.loads(json.dumps(version.as_json()))
    assert Version.from_json(document) == version
    del document["standing"]
    assert Version.from_json(document) == replace(version, standing=CLEAN)


def _registered(bench: Bench) -> Reading:
    return Reading(bench.register("iris", {}, description="words", tags={"team": "a"}).version)
