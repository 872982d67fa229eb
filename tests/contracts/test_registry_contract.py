"""What every implementation of ``registry.ports.Registry`` keeps."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from registry.artifact import Artifact, make_artifact
from registry.batching import Batching
from registry.errors import InvalidRequest, ModelNotFound, VersionNotFound
from registry.events import Event, EventKind
from registry.ports import Registry, Transaction
from registry.records import (
    Alias,
    Canary,
    Model,
    Move,
    MoveKind,
    Page,
    Version,
    WorkerReport,
)
from tests.support.registries import DATABASES, NOON, digest_of, fresh_registry, make_inspection


@pytest.fixture(params=list(DATABASES))
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    with fresh_registry(tmp_path, DATABASES[request.param]) as opened:
        yield opened


def artifact_of(content: str) -> Artifact:
    return make_artifact({"model.onnx": (digest_of(content.encode()), len(content))})


def add_version(transaction: Transaction, model: str, content: str, *, description: str = "") -> int:
    artifact = artifact_of(content)
    transaction.ensure_model(model, actor="ada", at=NOON)
    transaction.add_artifact(artifact, make_inspection(), at=NOON)
    return transaction.add_version(model, artifact, description=description, tags={}, actor="ada", at=NOON)


def test_an_empty_registry_has_nothing(registry: Registry) -> None:
    with registry.reading() as catalog:
        assert catalog.find_model("iris") is None
        assert catalog.list_models(limit=10) == Page(items=(), next=None)
        assert catalog.find_version("iris", 1) is None
        assert catalog.find_version_of_artifact("iris", digest_of(b"a")) is None
        assert catalog.list_versions("iris", limit=10) == Page(items=(), next=None)
        assert catalog.find_alias("iris", "production") is None
        assert catalog.find_inspection(digest_of(b"a"), "json 1.0 x86_64") is None
        assert list(catalog.list_moves("iris")) == []
        assert list(catalog.list_events(after=0, limit=10)) == []
        assert catalog.latest_sequence() == 0
        assert list(catalog.list_workers(since=NOON)) == []
        assert list(catalog.artifacts()) == []


def test_a_version_comes_back_whole(registry: Registry) -> None:
    artifact = make_artifact(
        {"weights.bin": (digest_of(b"w"), 2**33), "z.onnx": (digest_of(b"g"), 5), "a.bin": (digest_of(b"a"), 0)}
    )
    tags = {"team": "vision", "": "\u2713"}
    with registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON)
        transaction.add_artifact(artifact, make_inspection(), at=NOON)
        number = transaction.add_version("iris", artifact, description="first", tags=tags, actor="bob", at=NOON)
    wanted = Version(
        model="iris",
        number=1,
        artifact=artifact,
        inspection=make_inspection(),
        description="first",
        tags=tags,
        batching=Batching.EXACT,
        created_at=NOON,
        created_by="bob",
        retired_at=None,
    )
    with registry.reading() as catalog:
        assert number == 1
        assert catalog.find_version("iris", 1) == wanted
        assert catalog.find_version_of_artifact("iris", artifact.digest) == wanted
        assert catalog.list_versions("iris", limit=1) == Page(items=(wanted,), next=None)
        assert list(catalog.artifacts()) == [artifact]


def test_a_model_comes_back_whole(registry: Registry) -> None:
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        add_version(transaction, "iris", "b")
        add_version(transaction, "iris", "c")
        transaction.retire_version("iris", 3, actor="ada", at=NOON)
        transaction.change_model("iris", description="flowers", tags={"team": "vision"})
        transaction.change_model("iris", description=None, tags=None)
        canary = Canary(version=1, percent=12.5)
        live = transaction.set_alias("iris", "production", version=2, canary=canary, at=NOON)
        first = transaction.set_alias("iris", "blue", version=1, canary=None, at=NOON)
    with registry.reading() as catalog:
        found = catalog.find_model("iris")
    assert found == Model(
        name="iris",
        description="flowers",
        tags={"team": "vision"},
        latest_version=2,
        aliases=(first, live),
        created_at=NOON,
        created_by="ada",
    )


def test_a_model_without_versions_has_no_latest(registry: Registry) -> None:
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        transaction.retire_version("iris", 1, actor="ada", at=NOON)
        found = transaction.find_model("iris")
    assert found is not None
    assert found.latest_version is None


def test_ensuring_a_model_twice_keeps_the_first(registry: Registry) -> None:
    with registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON)
        transaction.ensure_model("iris", actor="bob", at=NOON + timedelta(days=1))
        found = transaction.find_model("iris")
    assert found is not None
    assert (found.created_by, found.created_at) == ("ada", NOON)


def test_a_version_shows_its_first_inspection_and_every_runtime_keeps_its_own(registry: Registry) -> None:
    artifact, later = artifact_of("a"), make_inspection(runtime="json 2.0 x86_64")
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        transaction.add_artifact(artifact, later, at=NOON)
        transaction.add_artifact(artifact, later, at=NOON)
    with registry.reading() as catalog:
        version = catalog.find_version("iris", 1)
        assert version is not None
        assert version.inspection == make_inspection()
        assert catalog.find_inspection(artifact.digest, "json 1.0 x86_64") == make_inspection()
        assert catalog.find_inspection(artifact.digest, "json 2.0 x86_64") == later


def test_numbers_are_never_used_again(registry: Registry) -> None:
    with registry.writing() as transaction:
        assert [add_version(transaction, "iris", content) for content in "ab"] == [1, 2]
        transaction.retire_version("iris", 2, actor="ada", at=NOON)
        assert transaction.find_version_of_artifact("iris", artifact_of("b").digest) is None
        assert add_version(transaction, "iris", "b") == 3
        assert add_version(transaction, "other", "b") == 1
        tombstone = transaction.find_version("iris", 2)
    assert tombstone is not None
    assert tombstone.retired_at == NOON


def test_models_are_listed_by_name_in_pages(registry: Registry) -> None:
    names = ["a", "a-b", "a.b", "a_b", "ab", "b"]
    with registry.writing() as transaction:
        for name in reversed(names):
            add_version(transaction, name, "a")
    seen: list[str] = []
    cursor: str | None = None
    with registry.reading() as catalog:
        for _ in range(3):
            page = catalog.list_models(limit=2, after=cursor)
            seen += [model.name for model in page.items]
            cursor = page.next
    assert seen == sorted(names)
    assert cursor is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("IRI", ["iris"], id="part of a name, any case"),
        pytest.param("flow", ["iris"], id="part of a description"),
        pytest.param("i", ["digits", "iris"], id="several"),
        pytest.param("%", ["digits"], id="a percent sign is itself"),
        pytest.param("_", [], id="an underscore is itself"),
        pytest.param("", ["digits", "iris"], id="nothing asked for"),
    ],
)
def test_models_are_searched_by_name_and_description(registry: Registry, query: str, names: list[str]) -> None:
    with registry.writing() as transaction:
        for name, description in {"iris": "Flowers", "digits": "99 %"}.items():
            transaction.ensure_model(name, actor="ada", at=NOON)
            transaction.change_model(name, description=description, tags=None)
        page = transaction.list_models(limit=10, query=query)
    assert [model.name for model in page.items] == names


def test_versions_are_listed_newest_first_in_pages(registry: Registry) -> None:
    with registry.writing() as transaction:
        for content in "abcde":
            add_version(transaction, "iris", content)
        transaction.retire_version("iris", 4, actor="ada", at=NOON)
    with registry.reading() as catalog:
        first = catalog.list_versions("iris", limit=3)
        second = catalog.list_versions("iris", limit=3, after=first.next)
    assert [version.number for version in first.items] == [5, 4, 3]
    assert [version.number for version in second.items] == [2, 1]
    assert (first.next, second.next) == ("3", None)


@pytest.mark.parametrize("cursor", ["", "-1", "x", "1.5", "\u0663", "9" * 10, "9" * 5000], ids=lambda text: text[:12])
def test_a_cursor_of_something_else_is_refused(registry: Registry, cursor: str) -> None:
    with registry.reading() as catalog, pytest.raises(InvalidRequest):
        catalog.list_versions("iris", limit=3, after=cursor)


def test_a_version_changes_in_what_people_wrote_only(registry: Registry) -> None:
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a", description="first")
        before = transaction.find_version("iris", 1)
        transaction.change_version("iris", 1, description=None, tags={"k": "v"}, batching=Batching.CLOSE)
        transaction.change_version("iris", 1, description="second", tags=None, batching=None)
        transaction.change_version("iris", 1, description=None, tags=None, batching=None)
        after = transaction.find_version("iris", 1)
    assert before is not None
    assert after == Version(
        model="iris",
        number=1,
        artifact=before.artifact,
        inspection=before.inspection,
        description="second",
        tags={"k": "v"},
        batching=Batching.CLOSE,
        created_at=NOON,
        created_by="ada",
        retired_at=None,
    )


def test_an_alias_counts_its_generations(registry: Registry) -> None:
    later, canary = NOON + timedelta(seconds=1), Canary(version=1, percent=0.1)
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        add_version(transaction, "iris", "b")
        transaction.set_alias("iris", "production", version=1, canary=None, at=NOON)
        returned = transaction.set_alias("iris", "production", version=2, canary=canary, at=later)
    with registry.reading() as catalog:
        found = catalog.find_alias("iris", "production")
    assert found == returned
    assert found == Alias(model="iris", name="production", version=2, canary=canary, generation=2, updated_at=later)


def test_moves_come_back_oldest_first_whatever_the_clock_said(registry: Registry) -> None:
    def moved(alias: str, to: int, undoes: int | None, at: datetime) -> Move:
        kind = MoveKind.PROMOTE if undoes is None else MoveKind.ROLLBACK
        return transaction.add_move(
            "iris", alias, from_version=None, to_version=to, kind=kind, undoes=undoes, actor="ada", reason="r", at=at
        )

    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        add_version(transaction, "iris", "b")
        first = moved("production", 1, None, NOON)
        second = moved("blue", 2, None, NOON)
        third = moved("production", 2, first.id, NOON - timedelta(hours=1))
    with registry.reading() as catalog:
        assert list(catalog.list_moves("iris")) == [first, second, third]
        assert list(catalog.list_moves("iris", "production")) == [first, third]


def test_events_come_back_in_the_order_of_their_numbers(registry: Registry) -> None:
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        numbers = [
            transaction.add_event(
                EventKind.MODEL_CHANGED, model="iris", actor="ada", at=NOON - timedelta(hours=hour), detail={"n": hour}
            )
            for hour in range(3)
        ]
        last = transaction.add_event(
            EventKind.ALIAS_MOVED, model="iris", version=1, alias="blue", actor="bob", at=NOON, detail={"to": None}
        )
    with registry.reading() as catalog:
        assert numbers == sorted(numbers)
        assert [event.sequence for event in catalog.list_events(after=0, limit=2)] == numbers[:2]
        assert catalog.latest_sequence() == last
        assert list(catalog.list_events(after=numbers[-1], limit=10)) == [
            Event(
                sequence=last,
                kind=EventKind.ALIAS_MOVED,
                model="iris",
                version=1,
                alias="blue",
                actor="bob",
                at=NOON,
                detail={"to": None},
            )
        ]


def test_a_worker_is_what_it_last_said_until_it_is_long_silent(registry: Registry) -> None:
    def report(pid: int, minutes: int, resident: tuple[str, ...] = ()) -> WorkerReport:
        at = NOON + timedelta(minutes=minutes)
        return WorkerReport(host="here", pid=pid, applied=minutes, resident=resident, reported_at=at)

    with registry.writing() as transaction:
        transaction.report_worker(report(2, 0))
        transaction.report_worker(report(1, 1))
        transaction.report_worker(report(2, 2, ("iris:3",)))
        assert list(transaction.list_workers(since=NOON)) == [report(1, 1), report(2, 2, ("iris:3",))]
        assert list(transaction.list_workers(since=NOON + timedelta(minutes=2))) == [report(2, 2, ("iris:3",))]
        transaction.report_worker(report(3, 62))
        assert list(transaction.list_workers(since=NOON)) == [report(2, 2, ("iris:3",)), report(3, 62)]
        transaction.forget_worker("here", 2)
        transaction.forget_worker("elsewhere", 3)
        assert list(transaction.list_workers(since=NOON)) == [report(3, 62)]


def test_the_time_is_the_databases_and_goes_on(registry: Registry) -> None:
    before = datetime.now(UTC)
    with registry.reading() as catalog:
        first, second = catalog.now(), catalog.now()
    after = datetime.now(UTC)
    millisecond = timedelta(milliseconds=1)  # SQLite knows no shorter time
    assert before - millisecond <= first <= second <= after


def test_every_artifact_of_any_version_is_listed_once(registry: Registry) -> None:
    with registry.writing() as transaction:
        for model, content in [("iris", "a"), ("iris", "b"), ("other", "a")]:
            add_version(transaction, model, content)
        transaction.retire_version("iris", 2, actor="ada", at=NOON)
    with registry.reading() as catalog:
        found = sorted(artifact.digest for artifact in catalog.artifacts())
    assert found == sorted(artifact_of(content).digest for content in "ab")


def test_moments_come_back_in_utc(registry: Registry) -> None:
    elsewhere = timezone(timedelta(hours=5, minutes=45))
    with registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON.astimezone(elsewhere))
        found = transaction.find_model("iris")
    assert found is not None
    assert (found.created_at, found.created_at.utcoffset()) == (NOON, timedelta(0))


def test_an_exception_takes_everything_back(registry: Registry) -> None:
    def interrupted() -> None:
        with registry.writing() as transaction:
            add_version(transaction, "iris", "a")
            raise KeyError("iris")

    with pytest.raises(KeyError):
        interrupted()
    with registry.writing() as transaction:
        assert transaction.find_model("iris") is None
        assert add_version(transaction, "iris", "a") == 1


def test_a_reader_sees_one_moment_while_others_write(registry: Registry) -> None:
    with registry.reading() as catalog:
        assert catalog.find_model("iris") is None
        with registry.writing() as transaction:
            add_version(transaction, "iris", "a")
        assert catalog.find_model("iris") is None
    with registry.reading() as catalog:
        assert catalog.find_model("iris") is not None


@pytest.mark.parametrize("number", [1, 2], ids=["of no model", "of a model that lacks it"])
def test_writing_about_what_is_not_there_is_refused(registry: Registry, number: int) -> None:
    error = ModelNotFound if number == 1 else VersionNotFound
    with registry.writing() as transaction:
        if number == 2:
            add_version(transaction, "iris", "a")
        with pytest.raises(error):
            transaction.change_version("iris", number, description="x", tags=None, batching=None)
        with pytest.raises(error):
            transaction.retire_version("iris", number, actor="ada", at=NOON)


def test_writing_about_no_model_is_refused(registry: Registry) -> None:
    with registry.writing() as transaction:
        with pytest.raises(ModelNotFound):
            transaction.change_model("iris", description="x", tags=None)
        with pytest.raises(ModelNotFound):
            transaction.add_version("iris", artifact_of("a"), description="", tags={}, actor="ada", at=NOON)
        with pytest.raises(ModelNotFound):
            transaction.set_alias("iris", "production", version=1, canary=None, at=NOON)
        with pytest.raises(ModelNotFound):
            transaction.add_event(EventKind.MODEL_CHANGED, model="iris", actor="ada", at=NOON, detail={})


def test_the_schema_is_the_one_that_the_code_needs(registry: Registry) -> None:
    registry.check_schema()
