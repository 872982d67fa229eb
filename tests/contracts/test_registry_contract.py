"""What every implementation of ``registry.ports.Registry`` keeps."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from registry.artifact import Artifact, make_artifact
from registry.batching import Batching
from registry.errors import InvalidRequest, ModelNotFound, VersionNotFound
from registry.events import Event, EventKind
from registry.examples import Example, ExampleFacts, Examples
from registry.ports import Catalog, Registry, Transaction
from registry.records import (
    Alias,
    Canary,
    FailedSwitch,
    Model,
    Move,
    MoveKind,
    Page,
    Shadow,
    Trial,
    Version,
    WorkerReport,
)
from registry.same_answers import Tolerance
from registry.shadow import OutputDifference, ShadowReport
from registry.standing import CLEAN, Isolation, Standing
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
        assert catalog.list_isolated(limit=10) == Page(items=(), next=None)
        assert catalog.find_alias("iris", "production") is None
        assert catalog.find_inspection(digest_of(b"a"), "json 1.0 x86_64") is None
        assert catalog.find_examples("iris", 1) == Examples(())
        assert catalog.find_shadow_report("iris", "production") is None
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
        transaction.ensure_model("iris", description="flowers", actor="ada", at=NOON)
        transaction.ensure_model("iris", description="irises", actor="bob", at=NOON + timedelta(days=1))
        found = transaction.find_model("iris")
    assert found is not None
    assert (found.description, found.created_by, found.created_at) == ("flowers", "ada", NOON)


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


@pytest.mark.parametrize(
    "pattern",
    ["*", "a*", "?_b", "a_?", "a.?", "a%", "a\\*", "*b", "?", "a", "zzz-*", "A*"],
)
def test_a_pattern_lets_through_whatever_it_matches(registry: Registry, pattern: str) -> None:
    names = ["a", "a-b", "a.b", "a_b", "ab", "b", "a.bc"]
    with registry.writing() as transaction:
        for name in names:
            transaction.ensure_model(name, actor="ada", at=NOON)
        found = [model.name for model in transaction.list_models(limit=10, pattern=pattern).items]
    matching = sorted(name for name in names if fnmatchcase(name, pattern))
    assert [name for name in found if name in matching] == matching


def test_a_pattern_leaves_the_rest_unread_page_by_page(registry: Registry) -> None:
    with registry.writing() as transaction:
        for name in ["a-1", "b-1", "b_1", "b-2", "c-1", "b-3"]:
            transaction.ensure_model(name, actor="ada", at=NOON)
        first = transaction.list_models(limit=2, pattern="b-*")
        second = transaction.list_models(limit=2, pattern="b-*", after=first.next)
    assert [[model.name for model in page.items] for page in (first, second)] == [["b-1", "b-2"], ["b-3"]]
    assert (first.next, second.next) == ("b-2", None)


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


SUSPECT = Standing(isolation=Isolation.ISOLATED, is_on_probation=True, reason="hang may have ended a worker")
QUARANTINED = Standing(isolation=Isolation.QUARANTINED, deaths=7, is_requested=True, reason="it ends every child")
BACK = Standing(deaths=1)


@pytest.mark.parametrize("standing", [SUSPECT, QUARANTINED, BACK], ids=["suspect", "quarantined", "back in process"])
def test_a_standing_comes_back_whole_and_leaves_the_version_as_it_was(registry: Registry, standing: Standing) -> None:
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        before = transaction.find_version("iris", 1)
        transaction.set_standing("iris", 1, SUSPECT)
        transaction.set_standing("iris", 1, standing)
    with registry.reading() as catalog:
        stands = catalog.find_version("iris", 1)
        listed = catalog.list_versions("iris", limit=1).items
    with registry.writing() as transaction:
        transaction.set_standing("iris", 1, CLEAN)
        after = transaction.find_version("iris", 1)
    assert before is not None
    assert (stands, listed, after) == (replace(before, standing=standing), (stands,), before)


def test_versions_that_run_elsewhere_are_listed_by_model_and_number_in_pages(registry: Registry) -> None:
    with registry.writing() as transaction:
        for model in ("b", "a"):
            for content in ("1", "2", "3"):
                add_version(transaction, model, content)
            for number in (3, 1):
                transaction.set_standing(model, number, QUARANTINED)
        transaction.set_standing("a", 2, BACK)
        transaction.set_standing("b", 2, SUSPECT)
        transaction.retire_version("b", 1, actor="ada", at=NOON)
    pages = []
    after: str | None = None
    with registry.reading() as catalog:
        while after is not None or not pages:
            page = catalog.list_isolated(limit=2, after=after)
            pages.append([(version.model, version.number, version.standing) for version in page.items])
            after = page.next
    assert pages == [
        [("a", 1, QUARANTINED), ("a", 3, QUARANTINED)],
        [("b", 2, SUSPECT), ("b", 3, QUARANTINED)],
    ]


@pytest.mark.parametrize("cursor", ["", "a", "a:", "a:-1", "a:x", "a:1000000000"])
def test_a_cursor_of_no_version_is_refused(registry: Registry, cursor: str) -> None:
    with registry.reading() as catalog, pytest.raises(InvalidRequest, match="no cursor of this list"):
        catalog.list_isolated(limit=1, after=cursor)


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


def test_limits_of_a_canary_and_a_shadow_come_back_whole(registry: Registry) -> None:
    canary = Canary(version=2, percent=0.1, max_error_rate=0.0, max_latency_seconds=0.0123)
    with registry.writing() as transaction:
        for content in "abc":
            add_version(transaction, "iris", content)
        returned = transaction.set_alias(
            "iris", "production", version=1, canary=canary, shadow=Shadow(version=3, percent=33.3), at=NOON
        )
    with registry.reading() as catalog:
        found, of_model = catalog.find_alias("iris", "production"), catalog.find_model("iris")
    assert of_model is not None
    assert (found, of_model.aliases) == (returned, (returned,))
    assert returned == Alias(
        model="iris",
        name="production",
        version=1,
        canary=canary,
        generation=1,
        updated_at=NOON,
        shadow=Shadow(version=3, percent=33.3, trial=1),
    )
    assert returned.targets == (1, 2, 3)


def test_a_new_shadow_begins_a_trial_and_one_that_is_kept_goes_on_with_its_own(registry: Registry) -> None:
    def set_shadow(shadow: Shadow | None) -> Shadow | None:
        with registry.writing() as transaction:
            transaction.set_alias("iris", "production", version=1, canary=None, shadow=shadow, at=NOON)
        with registry.reading() as catalog:
            found = catalog.find_alias("iris", "production")
        return None if found is None else found.shadow

    with registry.writing() as transaction:
        for content in "ab":
            add_version(transaction, "iris", content)
        transaction.set_alias("iris", "production", version=1, canary=Canary(version=2, percent=5), at=NOON)
    new = Shadow(version=2, percent=5)
    first = set_shadow(new)
    assert [first, set_shadow(first), set_shadow(None), set_shadow(new)] == [
        Shadow(version=2, percent=5, trial=2),
        Shadow(version=2, percent=5, trial=2),
        None,
        Shadow(version=2, percent=5, trial=5),
    ]


# --- examples ---------------------------------------------------------------------------------------------------------


def example(name: str, *values: float) -> Example:
    inputs = {"x": np.array(values, np.float32), "t": np.array(["\u2713", ""], object)}
    return Example(name=name, inputs=inputs, outputs={"y": np.array([[len(values)]])}, tolerance=Tolerance(1e-9, 0.5))


def facts_of(catalog: Catalog, number: int) -> ExampleFacts | None:
    version = catalog.find_version("iris", number)
    assert version is not None
    return version.examples


def test_examples_come_back_in_their_order_with_their_bits_and_the_version_tells_of_them(registry: Registry) -> None:
    examples = Examples((example("b", np.nan, -0.0, 1e-45), example("a"), example("\u2713/~", np.inf)))
    with registry.writing() as transaction:
        for content in "ab":
            add_version(transaction, "iris", content)
        transaction.set_examples("iris", 2, examples)
    with registry.reading() as catalog:
        assert catalog.find_examples("iris", 2).document == examples.document
        assert catalog.find_examples("iris", 1) == Examples(())
        assert (facts_of(catalog, 1), facts_of(catalog, 2)) == (None, examples.facts)
        listed = catalog.list_versions("iris", limit=10).items
        assert [version.examples for version in listed] == [examples.facts, None]
        same = catalog.find_version_of_artifact("iris", artifact_of("b").digest)
        assert same == listed[0]


def test_examples_are_replaced_as_a_whole_and_removed_by_none(registry: Registry) -> None:
    first, second = Examples((example("a", 1.0), example("b", 2.0))), Examples((example("c", 3.0),))
    seen = []
    for examples in (first, second, second, Examples(())):
        with registry.writing() as transaction:
            if examples is first:
                add_version(transaction, "iris", "a")
            transaction.set_examples("iris", 1, examples)
        with registry.reading() as catalog:
            seen.append((catalog.find_examples("iris", 1).document, facts_of(catalog, 1)))
    assert seen == [(it.document, it.facts) for it in (first, second, second, Examples(()))]


def test_examples_belong_to_one_version_of_one_model(registry: Registry) -> None:
    examples = Examples((example("a", 1.0),))
    with registry.writing() as transaction:
        for model in ("iris", "other"):
            add_version(transaction, model, "a")
        transaction.set_examples("other", 1, examples)
        transaction.set_examples("iris", 1, Examples(()))
    with registry.reading() as catalog:
        assert (catalog.find_examples("iris", 1), facts_of(catalog, 1)) == (Examples(()), None)
        assert catalog.find_examples("other", 1).document == examples.document


def test_a_version_that_is_retired_keeps_its_examples(registry: Registry) -> None:
    examples = Examples((example("a", 1.0),))
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        transaction.set_examples("iris", 1, examples)
        transaction.retire_version("iris", 1, actor="ada", at=NOON)
    with registry.reading() as catalog:
        assert (catalog.find_examples("iris", 1).document, facts_of(catalog, 1)) == (examples.document, examples.facts)


# --- what a shadow has shown ------------------------------------------------------------------------------------------


def test_the_newest_event_of_an_alias_is_found_whatever_else_has_happened(registry: Registry) -> None:
    with registry.writing() as transaction:
        for model in ("iris", "other"):
            add_version(transaction, model, "a")
        moved = [
            transaction.add_event(
                EventKind.ALIAS_MOVED, model=model, version=1, alias=alias, actor="ada", at=NOON, detail={}
            )
            for model, alias in (("iris", "production"), ("iris", "production"), ("iris", "blue"), ("other", "blue"))
        ]
        transaction.add_event(EventKind.VERSION_CHANGED, model="iris", version=1, actor="ada", at=NOON, detail={})
        found = [
            transaction.find_last_moved(*whose)
            for whose in (("iris", "production"), ("iris", "blue"), ("other", "production"), ("nosuch", "blue"))
        ]
    assert found == [moved[1], moved[2], 0, 0]


SEEN = ShadowReport(
    compared=2,
    skipped=1,
    failures={"model_execution_failed": 3},
    outputs={"\u2713": OutputDifference(compared=2, same=1, largest=0.1, total=0.25, pairs=8, rows=2, changed=1)},
)


def trial_of(model: str = "iris", alias: str = "production", *, number: int) -> Trial:
    return Trial(model=model, alias=alias, number=number, live=number + 1, shadow=number + 2)


def test_reports_of_one_trial_add_up(registry: Registry) -> None:
    more = ShadowReport(compared=1, failures={"predict_timeout": 1}, outputs={"label": OutputDifference(compared=1)})
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        transaction.add_shadow_report(trial_of(number=3), SEEN)
    for report in (more, SEEN):
        with registry.writing() as transaction:
            transaction.add_shadow_report(trial_of(number=3), report)
    with registry.reading() as catalog:
        found = catalog.find_shadow_report("iris", "production")
    assert found == (trial_of(number=3), SEEN.plus(more).plus(SEEN))


def test_a_later_trial_replaces_an_earlier_one_which_is_heard_of_no_more(registry: Registry) -> None:
    late = ShadowReport(compared=7)
    seen = []
    with registry.writing() as transaction:
        add_version(transaction, "iris", "a")
        for trial, report in [(3, SEEN), (5, late), (3, SEEN), (4, SEEN), (5, late)]:
            transaction.add_shadow_report(trial_of(number=trial), report)
            seen.append(transaction.find_shadow_report("iris", "production"))
    first, last = trial_of(number=3), trial_of(number=5)
    assert seen == [(first, SEEN), (last, late), (last, late), (last, late), (last, ShadowReport(compared=14))]


def test_reports_belong_to_one_alias_of_one_model(registry: Registry) -> None:
    with registry.writing() as transaction:
        for model in ("iris", "other"):
            add_version(transaction, model, "a")
        transaction.add_shadow_report(trial_of(number=1), SEEN)
        transaction.add_shadow_report(trial_of("iris", "blue", number=2), ShadowReport(skipped=1))
        transaction.add_shadow_report(trial_of("other", "production", number=3), ShadowReport(skipped=2))
    with registry.reading() as catalog:
        assert [
            catalog.find_shadow_report(*whose)
            for whose in (("iris", "production"), ("iris", "blue"), ("other", "production"), ("other", "blue"))
        ] == [
            (trial_of(number=1), SEEN),
            (trial_of("iris", "blue", number=2), ShadowReport(skipped=1)),
            (trial_of("other", "production", number=3), ShadowReport(skipped=2)),
            None,
        ]


# --- moves, events, workers -------------------------------------------------------------------------------------------


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
        assert list(catalog.list_newest_moves("iris", limit=2)) == [third, second]
        assert list(catalog.list_newest_moves("iris", before=second.id, limit=2)) == [first]
        assert list(catalog.list_newest_moves("wine", limit=2)) == []


def test_each_alias_of_each_model_counts_its_own_moves_on_every_page(registry: Registry) -> None:
    whose = [("iris", "production"), ("wine", "production"), ("iris", "blue"), ("iris", "production")] * 3
    with registry.writing() as transaction:
        for model in ("iris", "wine"):
            add_version(transaction, model, "a")
        made = [
            transaction.add_move(
                model,
                alias,
                from_version=None,
                to_version=1,
                kind=MoveKind.PROMOTE,
                undoes=None,
                actor="a",
                reason="",
                at=NOON,
            )
            for model, alias in whose
        ]
    of_iris = [move for move in made if move.model == "iris"]
    numbers = [(move.alias, move.number) for move in of_iris]
    assert numbers == [
        *(("production", 1), ("blue", 1), ("production", 2)),
        *(("production", 3), ("blue", 2), ("production", 4)),
        *(("production", 5), ("blue", 3), ("production", 6)),
    ]
    with registry.reading() as catalog:
        for cut in range(1, len(of_iris)):
            earlier, later = of_iris[:cut], of_iris[cut:]
            after = earlier[-1].id
            assert list(catalog.list_moves("iris", after=after)) == later
            blue = [move for move in later if move.alias == "blue"]
            assert list(catalog.list_moves("iris", "blue", after=after)) == blue
            assert list(catalog.list_newest_moves("iris", before=later[0].id, limit=4)) == earlier[::-1][:4]
        assert list(catalog.list_newest_moves("iris", limit=4)) == of_iris[::-1][:4]


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


def test_the_aliases_of_many_models_are_listed_at_once(registry: Registry) -> None:
    with registry.writing() as transaction:
        for name in ("iris", "wine", "rum"):
            add_version(transaction, name, "a")
            transaction.set_alias(name, "production", version=1, canary=None, at=NOON)
        found = transaction.list_aliases({"iris", "rum", *(f"absent-{number}" for number in range(2500))})
        assert sorted((alias.model, alias.name, alias.version) for alias in found) == [
            ("iris", "production", 1),
            ("rum", "production", 1),
        ]


def test_a_worker_with_a_place_on_the_ring_is_remembered_after_it_has_left(registry: Registry) -> None:
    def report(pid: int, ring_id: int) -> WorkerReport:
        at = NOON + timedelta(minutes=pid)
        return WorkerReport(host="here", pid=pid, applied=1, resident=("iris:3",), reported_at=at, ring_id=ring_id)

    with registry.writing() as transaction:
        for pid, ring_id in ((1, 0), (2, 7), (3, 8)):
            transaction.report_worker(report(pid, ring_id))
        for pid in (1, 2):
            transaction.forget_worker("here", pid)
        assert list(transaction.list_workers(since=NOON)) == [report(3, 8)]
        assert list(transaction.list_places()) == [replace(report(2, 7), has_left=True), report(3, 8)]
        transaction.report_worker(report(2, 9))
        assert list(transaction.list_places()) == [report(2, 9), report(3, 8)]


def test_a_worker_says_what_it_cannot_apply_until_it_says_otherwise(registry: Registry) -> None:
    failed = (
        FailedSwitch(sequence=7, model="iris", alias="production", version=2, code="model_load_failed"),
        FailedSwitch(sequence=9, model=None, alias=None, version=None, code="internal_error"),
    )
    stuck = WorkerReport(
        host="here", pid=1, applied=6, resident=(), reported_at=NOON, failed=failed, read=9, pending=(7, 8)
    )
    follows = replace(stuck, applied=9, failed=())
    seen = []
    for report in (stuck, follows):
        with registry.writing() as transaction:
            transaction.report_worker(report)
        with registry.reading() as catalog:
            seen.append(list(catalog.list_workers(since=NOON)))
    assert seen == [[stuck], [follows]]


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
            transaction.set_examples("iris", 1, Examples(()))
        with pytest.raises(ModelNotFound):
            transaction.set_standing("iris", 1, CLEAN)
        with pytest.raises(ModelNotFound):
            transaction.add_shadow_report(trial_of(number=1), SEEN)
        with pytest.raises(ModelNotFound):
            transaction.add_event(EventKind.MODEL_CHANGED, model="iris", actor="ada", at=NOON, detail={})


def test_the_schema_is_the_one_that_the_code_needs(registry: Registry) -> None:
    registry.check_schema()
