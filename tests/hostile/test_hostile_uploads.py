"""Files that must be refused, each by the limit that it tests, and nothing left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from registry.errors import CallerError, InvalidArtifact, UnsupportedFormat
from registry.inspection.limits import ChildLimits
from registry.inspection.sandbox import SandboxedInspector
from registry.records import Inspection
from tests.support import models
from tests.support.hostile_files import FOREIGN, REFUSED, Source
from tests.support.inspecting import inspect_files, lay_out


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    before = set(Path("/proc/self/fd").iterdir())
    yield
    assert list(scratch.iterdir()) == []
    assert {file.name for file in tmp_path.iterdir()} <= {"scratch", "model.onnx", "model.onnx.data"}
    assert len(set(Path("/proc/self/fd").iterdir())) <= len(before)


def inspect_source(folder: Path, source: Source, inspector: SandboxedInspector | None = None) -> Inspection:
    built = source()
    octets = built if isinstance(built, bytes) else built.SerializeToString()
    return inspect_files(folder, {"model.onnx": octets}, inspector)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_its_reason(tmp_path: Path, case: str) -> None:
    hostile = REFUSED[case]
    with pytest.raises(InvalidArtifact) as refused:
        inspect_source(tmp_path, hostile.source)
    assert (refused.value.code, refused.value.detail[: len(hostile.says)]) == (hostile.code, hostile.says)
    assert refused.value.detail.isprintable()
    assert str(tmp_path) not in refused.value.detail


@pytest.mark.parametrize("case", FOREIGN)
def test_another_format_never_reaches_a_child(tmp_path: Path, case: str) -> None:
    hostile = FOREIGN[case]
    with pytest.raises(UnsupportedFormat) as refused:
        inspect_source(tmp_path, hostile.source, SandboxedInspector(max_at_once=0))
    assert refused.value.detail == hostile.says


def test_endless_folding_ends_with_its_share_of_processor_time(tmp_path: Path) -> None:
    inspector = SandboxedInspector(limits=ChildLimits(cpu_seconds=2))
    with pytest.raises(InvalidArtifact) as refused:
        inspect_source(tmp_path, lambda: models.folded_products(400, 2000), inspector)
    assert refused.value.code == "inspection_timeout"


def test_a_child_that_is_given_no_time_is_killed(tmp_path: Path) -> None:
    inspector = SandboxedInspector(limits=ChildLimits(wall_seconds=0))
    with pytest.raises(InvalidArtifact) as refused:
        inspect_source(tmp_path, models.linear, inspector)
    assert refused.value.code == "inspection_timeout"


def test_a_run_that_fills_memory_is_refused(tmp_path: Path) -> None:
    inspector = SandboxedInspector(limits=ChildLimits(memory_bytes=1 << 30))  # full before its time is over
    with pytest.raises(InvalidArtifact) as refused:
        inspect_source(tmp_path, lambda: models.loop(collects=True, width=1 << 20), inspector)
    assert refused.value.code == "inspection_memory"


def test_a_side_file_that_belongs_to_another_model_is_refused(tmp_path: Path) -> None:
    graph, weights = models.with_external_data(models.linear())
    with pytest.raises(InvalidArtifact) as refused:
        inspect_files(tmp_path, {"model.onnx": graph, "model.onnx.data": weights[:-1]})
    assert refused.value.code == "external_data"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    graph, weights = models.with_external_data(models.linear())
    artifact = lay_out(tmp_path, {"model.onnx": graph, "model.onnx.data": weights})
    outside = tmp_path_factory.mktemp("outside") / "data"
    (tmp_path / "model.onnx.data").rename(outside)
    (tmp_path / "model.onnx.data").symlink_to(outside)
    with pytest.raises(CallerError):
        SandboxedInspector().inspect(tmp_path, artifact)


def test_the_refusals_leave_an_inspector_that_takes_the_next_model(tmp_path: Path) -> None:
    inspector = SandboxedInspector(max_at_once=1)
    for _ in range(2):
        with pytest.raises(InvalidArtifact):
            inspect_source(tmp_path, models.folded_division, inspector)
    accepted = inspect_source(tmp_path, models.linear, inspector)
    assert [spec.name for spec in accepted.signature.inputs] == ["x"]


def test_what_a_model_may_do_to_a_worker_later_is_no_reason_to_refuse_it(tmp_path: Path) -> None:
    cases = {
        "division by -1": models.division(-1),
        "a loop without end": models.loop(),
        "a size from the request": models.expanded_to_request(),
        "a rank left open": models.identity(shape=None),
    }
    found = {}
    for case, source in cases.items():
        inspection = inspect_files(tmp_path, {"model.onnx": source.SerializeToString()})
        found[case] = (inspection.run_seconds is not None, inspection.is_bounded)
    assert found == {
        "division by -1": (True, True),
        "a loop without end": (False, False),
        "a size from the request": (True, False),
        "a rank left open": (True, True),
    }


def test_tensors_that_are_external_in_a_constant_are_seen(tmp_path: Path) -> None:
    hidden = models.make_external(TensorProto(dims=[1], data_type=1), "/etc/passwd")
    constant = helper.make_node("Constant", [], ["c"], value=hidden)
    source = models.model(
        [constant, helper.make_node("Add", ["x", "c"], ["y"])], [models.value("x")], [models.value("y")]
    )
    with pytest.raises(InvalidArtifact) as refused:
        inspect_files(tmp_path, {"model.onnx": source.SerializeToString()})
    assert refused.value.code == "external_data"
