"""From files to a version: what is checked, what is inspected, what is stored, what is recorded, in this order."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from registry.artifact import Digest, make_artifact
from registry.batching import Batching
from registry.errors import (
    BlobNotFound,
    DigestMismatch,
    InvalidArtifact,
    InvalidName,
    InvalidRequest,
    RegistryUnavailable,
)
from registry.events import Event, EventKind
from registry.records import Version
from registry.registration import Registered
from registry.standing import Isolation, Standing
from tests.support.backend import embedded_only
from tests.support.registries import NOON, Bench, JsonInspector, digest_of, fresh_bench, make_inspection


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with fresh_bench(tmp_path) as opened:
        yield opened


def events_of(bench: Bench) -> list[Event]:
    with bench.registry.reading() as catalog:
        return list(catalog.list_events(after=0, limit=100))


def test_an_upload_becomes_a_version_with_its_bytes_and_its_event(bench: Bench) -> None:
    upload = bench.upload({})
    result = bench.registration.register_upload(
        "iris", upload, announced=upload.digest, description="first", tags={"team": "vision"}, actor="ada"
    )
    wanted = Version(
        model="iris",
        number=1,
        artifact=make_artifact({"model.onnx": (upload.digest, upload.size_bytes)}),
        inspection=make_inspection(),
        description="first",
        tags={"team": "vision"},
        batching=Batching.EXACT,
        created_at=NOON,
        created_by="ada",
        retired_at=None,
    )
    assert result == Registered(version=wanted, is_new=True)
    assert bench.store.contents == {upload.digest: upload.path.read_bytes()}
    assert events_of(bench) == [
        Event(
            sequence=1,
            kind=EventKind.VERSION_REGISTERED,
            model="iris",
            version=1,
            alias=None,
            actor="ada",
            at=NOON,
            detail={"digest": str(upload.digest)},
        )
    ]


@pytest.mark.parametrize("as_blobs", [False, True], ids=["an upload", "blobs"])
def test_a_version_runs_apart_from_the_start_where_that_was_asked_for(bench: Bench, *, as_blobs: bool) -> None:
    upload = bench.upload({})
    words: dict[str, Any] = {"isolation": Isolation.ISOLATED, "actor": "ada"}
    if as_blobs:
        bench.registration.put_blob(upload, announced=upload.digest)
        result = bench.registration.register_blobs("iris", {"model.onnx": upload.digest}, **words)
    else:
        result = bench.registration.register_upload("iris", upload, **words)
    assert result.version.standing == Standing(isolation=Isolation.ISOLATED, is_requested=True)
    assert [(event.kind, event.detail) for event in events_of(bench)] == [
        (EventKind.VERSION_REGISTERED, {"digest": str(upload.digest), "isolation": "isolated"})
    ]


def test_the_registration_that_makes_a_model_describes_it_and_later_ones_do_not(bench: Bench) -> None:
    bench.register("iris", {}, description="flowers")
    bench.register("iris", {"opset": 18}, description="again")
    bench.register("plain", {})
    bench.register("plain", {"opset": 18}, description="too late")
    with bench.registry.reading() as catalog:
        found = catalog.list_models(limit=10).items
        second = catalog.find_version("iris", 2)
    assert [(model.name, model.description) for model in found] == [("iris", "flowers"), ("plain", "")]
    assert second is not None
    assert second.description == "again"


def test_the_same_bytes_again_are_the_same_version_without_another_look(bench: Bench) -> None:
    first = bench.register("iris", {})
    again = bench.register("iris", {}, description="other words")
    assert again == Registered(version=first.version, is_new=False)
    assert len(bench.inspector.inspected) == 1
    assert len(events_of(bench)) == 1


def test_the_same_bytes_again_heal_a_store_that_has_lost_them(bench: Bench) -> None:
    digest = bench.register("iris", {}).version.artifact.digest
    bench.store.discard(digest)
    bench.register("iris", {})
    assert bench.store.find_size(digest) == 2


def test_the_same_bytes_after_retirement_are_a_new_version(bench: Bench) -> None:
    bench.register("iris", {})
    with bench.registry.writing() as transaction:
        transaction.retire_version("iris", 1, actor="ada", at=NOON)
    again = bench.register("iris", {})
    assert (again.version.number, again.is_new) == (2, True)


def test_the_same_bytes_under_another_name_are_not_inspected_again(bench: Bench) -> None:
    bench.register("iris", {})
    other = bench.register("flowers", {})
    assert (other.version.model, other.version.number, other.is_new) == ("flowers", 1, True)
    assert len(bench.inspector.inspected) == 1


def test_another_runtime_inspects_what_it_has_not_seen(bench: Bench) -> None:
    bench.register("iris", {})
    later = Bench(bench.registry, bench.folder, store=bench.store, inspector=JsonInspector(runtime="json 2.0 x86_64"))
    later.numbers = bench.numbers
    later.register("flowers", {})
    digest = digest_of(b"{}")
    assert later.inspector.inspected == [digest]
    with bench.registry.reading() as catalog:
        assert catalog.find_inspection(digest, "json 2.0 x86_64") == make_inspection(runtime="json 2.0 x86_64")


@pytest.mark.parametrize("code", ["invalid_model", "inspection_crashed", "inspection_timeout", "inspection_memory"])
def test_a_refused_upload_leaves_nothing(bench: Bench, code: str) -> None:
    with pytest.raises(InvalidArtifact) as caught:
        bench.register("iris", {"refuse": code})
    assert caught.value.code == code
    assert bench.store.contents == {}
    assert events_of(bench) == []
    with bench.registry.reading() as catalog:
        assert catalog.find_model("iris") is None
    assert bench.register("iris", {}).version.number == 1


@pytest.mark.parametrize(
    ("code", "inspections"),
    [("invalid_model", 2), ("inspection_crashed", 1), ("inspection_timeout", 1), ("inspection_memory", 1)],
)
def test_what_cost_a_child_is_refused_again_without_one(bench: Bench, code: str, inspections: int) -> None:
    for _ in range(2):
        with pytest.raises(InvalidArtifact) as caught:
            bench.register("iris", {"refuse": code})
        assert (caught.value.code, caught.value.detail) == (code, "refused as the file asks for")
    assert len(bench.inspector.inspected) == inspections


def test_only_the_newest_refusals_are_remembered(bench: Bench) -> None:
    for salt in range(1025):
        with pytest.raises(InvalidArtifact):
            bench.register("iris", {"refuse": "inspection_timeout", "salt": salt})
    for salt in (1024, 1, 0):
        with pytest.raises(InvalidArtifact):
            bench.register("iris", {"refuse": "inspection_timeout", "salt": salt})
    assert len(bench.inspector.inspected) == 1026


def test_bytes_other_than_announced_are_refused_before_anything(bench: Bench) -> None:
    upload, other = bench.upload({}), digest_of(b"other")
    with pytest.raises(DigestMismatch):
        bench.registration.register_upload("iris", upload, announced=other, actor="ada")
    with pytest.raises(DigestMismatch):
        bench.registration.put_blob(upload, announced=other)
    assert (bench.inspector.inspected, bench.store.contents) == ([], {})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param({"model": "../iris"}, InvalidName, id="name"),
        pytest.param({"description": "a\x00b"}, InvalidRequest, id="description"),
        pytest.param({"tags": {"k" * 129: "v"}}, InvalidRequest, id="tag"),
    ],
)
def test_malformed_words_are_refused_before_anything(bench: Bench, words: dict[str, object], error: type) -> None:
    with pytest.raises(error):
        bench.registration.register_upload(**{"model": "iris", "upload": bench.upload({}), "actor": "ada", **words})
    assert (bench.inspector.inspected, bench.store.contents) == ([], {})


@embedded_only
def test_a_database_that_fails_after_the_put_leaves_bytes_without_a_row_and_a_retry_succeeds(bench: Bench) -> None:
    upload = bench.upload({})
    path, away = bench.folder / "registry.db", bench.folder / "away.db"

    class VanishingInspector(JsonInspector):
        def inspect(self, folder: Path, artifact: object) -> object:
            bench.registry.close()
            path.rename(away)
            return super().inspect(folder, artifact)

    victim = Bench(bench.registry, bench.folder, store=bench.store, inspector=VanishingInspector())
    with pytest.raises(RegistryUnavailable):
        victim.registration.register_upload("iris", upload, actor="ada")
    assert set(bench.store.contents) == {upload.digest}
    away.rename(path)
    assert bench.registration.register_upload("iris", upload, actor="ada").is_new


def test_a_blob_is_stored_once(bench: Bench) -> None:
    upload = bench.upload({})
    assert bench.registration.put_blob(upload, announced=upload.digest)
    assert not bench.registration.put_blob(upload, announced=upload.digest)
    assert set(bench.store.contents) == {upload.digest}


def test_blobs_become_a_version_of_several_files(bench: Bench) -> None:
    graph, weights = bench.upload({}), bench.upload({"weights": [1.5]})
    for upload in (graph, weights):
        bench.registration.put_blob(upload, announced=upload.digest)
    files = {"net.onnx": graph.digest, "net.onnx.data": weights.digest}
    first = bench.registration.register_blobs("iris", files, description="two", tags={"k": "v"}, actor="ada")
    again = bench.registration.register_blobs("iris", files, actor="ada")
    wanted = make_artifact(
        {"net.onnx": (graph.digest, graph.size_bytes), "net.onnx.data": (weights.digest, weights.size_bytes)}
    )
    assert (first.version.artifact, first.version.description, first.is_new) == (wanted, "two", True)
    assert again == Registered(version=first.version, is_new=False)
    assert bench.inspector.inspected == [wanted.digest]
    assert [event.detail for event in events_of(bench)] == [{"digest": str(wanted.digest)}]


def test_one_blob_is_the_same_version_as_the_same_upload(bench: Bench) -> None:
    version = bench.register("iris", {}).version
    again = bench.registration.register_blobs("iris", {"any.onnx": version.artifact.digest}, actor="ada")
    assert again == Registered(version=version, is_new=False)


def test_bytes_that_were_not_uploaded_are_named(bench: Bench) -> None:
    graph = bench.upload({})
    bench.registration.put_blob(graph, announced=graph.digest)
    missing = digest_of(b"missing")
    with pytest.raises(BlobNotFound) as caught:
        bench.registration.register_blobs("iris", {"net.onnx": graph.digest, "net.data": missing}, actor="ada")
    assert caught.value.detail == f"upload the bytes first of 'net.data' ({missing})"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        pytest.param([], "invalid_files", id="no file"),
        pytest.param(["a.bin"], "invalid_files", id="no graph"),
        pytest.param(["a.onnx", "b.onnx"], "invalid_files", id="two graphs"),
        pytest.param(["a.onnx", "../b"], "invalid_file_name", id="a path"),
        pytest.param(["a.onnx", *(f"{n}.bin" for n in range(64))], "invalid_files", id="too many"),
    ],
)
def test_files_that_make_no_version_are_refused_before_any_look_up(bench: Bench, names: list[str], code: str) -> None:
    with pytest.raises(InvalidArtifact) as caught:
        bench.registration.register_blobs("iris", dict.fromkeys(names, Digest("0" * 64)), actor="ada")
    assert caught.value.code == code


def test_blobs_that_are_refused_stay_and_leave_no_row(bench: Bench) -> None:
    graph = bench.upload({"refuse": "invalid_model"})
    bench.registration.put_blob(graph, announced=graph.digest)
    with pytest.raises(InvalidArtifact):
        bench.registration.register_blobs("iris", {"net.onnx": graph.digest}, actor="ada")
    assert set(bench.store.contents) == {graph.digest}
    assert bench.folders.forgotten == [graph.digest]
    assert events_of(bench) == []


def test_a_clock_that_goes_back_changes_nothing_about_the_order(bench: Bench) -> None:
    for salt in range(3):
        bench.clock.moment = NOON - timedelta(hours=salt)
        bench.register("iris", {"salt": salt})
    assert [(event.sequence, event.version) for event in events_of(bench)] == [(1, 1), (2, 2), (3, 3)]
