"""When a version is held against its golden examples on a host, and what becomes of its load."""

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.documents import DocumentFolder
from gateway.example_checks import ExampleChecks
from registry.errors import (
    ArtifactMissing,
    LoadFailed,
    Overloaded,
    RegistryUnavailable,
    RehearsalFailed,
    ServiceError,
    StorageUnavailable,
)
from registry.examples import ExampleFacts
from registry.records import Version
from tests.support.serving_models import make_version

FACTS = ExampleFacts(count=2, digest="d1")
PLAIN = make_version("iris", 1)
WITH_EXAMPLES = replace(PLAIN, examples=FACTS)


class Host:
    """A host whose rehearsals are counted; they pass unless there is an error to raise."""

    def __init__(self, folder: Path, *, name: str = "here", error: Exception | None = None) -> None:
        self.checks = ExampleChecks(name, DocumentFolder(folder))
        self.rehearsed: list[Version] = []
        self._error = error

    def rehearse(self, version: Version) -> None:
        self.rehearsed.append(version)
        if self._error is not None:
            raise self._error
        self.checks.note(version)


def test_a_version_without_examples_is_never_due(tmp_path: Path) -> None:
    checks = Host(tmp_path).checks
    checks.note(PLAIN)
    assert (checks.is_due(PLAIN), list(tmp_path.iterdir())) == (False, [])


def test_a_version_is_due_until_it_has_passed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    before = host.checks.is_due(WITH_EXAMPLES)
    host.checks.check(WITH_EXAMPLES, host.rehearse)
    assert (before, host.checks.is_due(WITH_EXAMPLES), host.rehearsed) == (True, False, [WITH_EXAMPLES])


def test_what_a_sibling_has_noted_is_not_due(tmp_path: Path) -> None:
    Host(tmp_path).checks.note(WITH_EXAMPLES)
    assert not Host(tmp_path).checks.is_due(WITH_EXAMPLES)


@pytest.mark.parametrize(
    "version",
    [
        replace(WITH_EXAMPLES, examples=ExampleFacts(count=2, digest="d2")),
        replace(make_version("iris", 2), examples=FACTS),
    ],
    ids=["other examples", "other bytes"],
)
def test_what_has_changed_is_due_again(tmp_path: Path, version: Version) -> None:
    checks = Host(tmp_path).checks
    checks.note(WITH_EXAMPLES)
    assert checks.is_due(version)


def test_another_version_of_the_same_bytes_and_examples_is_not_due(tmp_path: Path) -> None:
    checks = Host(tmp_path).checks
    checks.note(WITH_EXAMPLES)
    assert not checks.is_due(replace(WITH_EXAMPLES, model="copy", number=7))


def test_another_kind_of_host_has_to_try_for_itself(tmp_path: Path) -> None:
    Host(tmp_path).checks.note(WITH_EXAMPLES)
    assert Host(tmp_path, name="elsewhere").checks.is_due(WITH_EXAMPLES)


def test_a_version_that_fails_its_rehearsal_does_not_load_and_stays_due(tmp_path: Path) -> None:
    failure = RehearsalFailed("version 1 of model 'iris' does not give what its examples say: so far off")
    host = Host(tmp_path, error=failure)
    with pytest.raises(LoadFailed) as failed:
        host.checks.check(WITH_EXAMPLES, host.rehearse)
    assert (failed.value.detail, failed.value.__cause__) == (failure.detail, failure)
    assert host.checks.is_due(WITH_EXAMPLES)


@pytest.mark.parametrize(
    "error",
    [
        RegistryUnavailable("silent"),
        StorageUnavailable("away"),
        Overloaded("too many children"),
        ArtifactMissing("lost"),
    ],
    ids=lambda error: error.code,
)
def test_what_cannot_be_told_now_is_loaded_all_the_same_and_asked_again(tmp_path: Path, error: ServiceError) -> None:
    host = Host(tmp_path, error=error)
    with capture_logs() as logs:
        host.checks.check(WITH_EXAMPLES, host.rehearse)
    assert logs == [
        {"event": "examples_not_checked", "log_level": "warning", "model": "iris", "version": 1, "code": error.code}
    ]
    assert host.checks.is_due(WITH_EXAMPLES)


def test_a_bug_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    host = Host(tmp_path, error=KeyError("odd"))
    with pytest.raises(KeyError):
        host.checks.check(WITH_EXAMPLES, host.rehearse)


def test_where_nothing_can_be_noted_it_stays_due(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    host = Host(tmp_path / "file")
    host.checks.check(WITH_EXAMPLES, host.rehearse)
    assert host.checks.is_due(WITH_EXAMPLES)
