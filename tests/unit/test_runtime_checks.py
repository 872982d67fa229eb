"""What only another runtime has inspected: it is inspected again before it is loaded, once a host."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.parts import Parts, open_parts
from gateway.settings import Settings
from registry.errors import ArtifactMissing, LoadFailed
from registry.inspection.host import runtime_name
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.earlier_runtime import EARLIER, add_version, found_earlier, linear_seen_earlier
from tests.support.serving_models import make_version

pytestmark = embedded_only


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Those of a worker on an empty registry."""
    with closing(open_parts(Settings(data_dir=tmp_path / "data"))) as opened:
        opened.upgrade_schema()
        yield opened


def test_what_this_runtime_has_inspected_is_not_looked_up(tmp_path: Path) -> None:
    with closing(open_parts(Settings(data_dir=tmp_path / "data"))) as parts:
        assert not parts.runtime_checks.is_due(make_version())
        assert not parts.settings.proofs_dir.exists()


def test_it_is_inspected_again_once_and_the_registry_and_the_host_know(parts: Parts) -> None:
    version = linear_seen_earlier(parts)
    before = parts.runtime_checks.is_due(version)
    found = parts.runtime_checks.check(version)
    assert found is not None
    assert (before, parts.runtime_checks.is_due(version)) == (True, False)
    assert (version.inspection.runtime, found.runtime, found.signature) == (EARLIER, runtime_name(), version.signature)
    with parts.registry.reading() as catalog:
        assert catalog.find_inspection(version.artifact.digest, runtime_name()) == found


def test_what_another_host_has_inspected_with_this_runtime_is_only_noted(parts: Parts, tmp_path: Path) -> None:
    version = linear_seen_earlier(parts)
    parts.runtime_checks.check(version)
    elsewhere = Settings(data_dir=tmp_path / "elsewhere", database_url=parts.settings.registry_url)
    with closing(open_parts(elsewhere)) as other:
        other.store.put(version.artifact.digest, next(path for path in (tmp_path / "data").rglob("model.onnx")))
        before = other.runtime_checks.is_due(version)
        assert other.runtime_checks.check(version) is None
        assert (before, other.runtime_checks.is_due(version)) == (True, False)


def test_a_model_of_which_this_runtime_dies_is_not_loaded_and_the_log_says_why(parts: Parts) -> None:
    version = add_version(parts, "killer", models.folded_division(), found_earlier(models.linear()))
    with capture_logs() as logs, pytest.raises(LoadFailed) as refused:
        parts.runtime_checks.check(version)
    reason = "the model crashed its process (SIGFPE) while ONNX Runtime loaded it"
    assert refused.value.detail == (
        f"version 1 of model 'killer' does not load with {runtime_name()}: {reason} (inspection_crashed)"
    )
    assert logs == [
        {
            "event": "not_loaded_by_this_runtime",
            "log_level": "warning",
            "model": "killer",
            "version": 1,
            "runtime": runtime_name(),
            "code": "inspection_crashed",
            "reason": reason,
        }
    ]
    assert parts.runtime_checks.is_due(version)


def test_a_model_in_which_this_runtime_sees_other_tensors_is_not_loaded(parts: Parts) -> None:
    version = add_version(parts, "other", models.linear(), found_earlier(models.identity()))
    with pytest.raises(LoadFailed, match=f"something else than {EARLIER} saw when it was registered"):
        parts.runtime_checks.check(version)
    assert parts.runtime_checks.is_due(version)


def test_while_the_registry_is_silent_it_is_inspected_all_the_same_and_noted_here(parts: Parts) -> None:
    version = linear_seen_earlier(parts)
    parts.folders.check()
    database = parts.settings.embedded_database_path
    assert database is not None
    parts.registry.close()
    database.rename(database.with_suffix(".away"))
    with capture_logs() as logs:
        found = parts.runtime_checks.check(version)
    assert found is not None
    assert [line["event"] for line in logs] == ["inspected_again_unrecorded"]
    assert not parts.runtime_checks.is_due(version)


def test_what_cannot_be_inspected_is_not_taken_for_good(parts: Parts) -> None:
    version = replace(make_version(), inspection=found_earlier(models.linear()))
    with pytest.raises(ArtifactMissing):
        parts.runtime_checks.check(version)
    assert parts.runtime_checks.is_due(version)
