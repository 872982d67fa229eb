"""A real child that loads a model and runs its golden examples."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from registry.artifact import Artifact
from registry.batching import Level
from registry.errors import ExamplesDiffer, InvalidArtifact, Overloaded, Violation
from registry.examples import Example, Examples
from registry.inspection.limits import ChildLimits
from registry.inspection.report import Report, read_report
from registry.inspection.sandbox import SandboxedInspector
from registry.same_answers import Tolerance
from tests.support import models, serving_models
from tests.support.inspecting import have_forerunner, lay_out

NONE = Examples(())
ONE = np.array([1.0], np.float32)
ROWS = np.array([[1, 2, 3, 4], [0, 0, 0, 0]], np.float32)


@pytest.fixture(scope="module", autouse=True)
def _a_forerunner_is_there() -> None:
    have_forerunner()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    before = set(Path("/proc/self/fd").iterdir())
    yield
    assert {file.name for file in tmp_path.iterdir()} <= {"model.onnx", "model.onnx.data"}
    assert len(set(Path("/proc/self/fd").iterdir())) <= len(before)


def lay(folder: Path, source: onnx.ModelProto) -> Artifact:
    return lay_out(folder, {"model.onnx": source.SerializeToString()})


def rehearse(
    folder: Path, source: onnx.ModelProto, *examples: Example, inspector: SandboxedInspector | None = None
) -> None:
    (inspector or SandboxedInspector()).rehearse(folder, lay(folder, source), Examples(examples))


def example(inputs: Mapping[str, Any], outputs: Mapping[str, Any], *, name: str = "first") -> Example:
    return Example(name=name, inputs=inputs, outputs=outputs)


def linear_answer(source: onnx.ModelProto) -> Any:
    """What ``models.linear`` gives for ``ROWS``."""
    return ROWS @ onnx.numpy_helper.to_array(source.graph.initializer[0])


# --- what passes ------------------------------------------------------------------------------------------------------


def test_a_model_without_examples_only_has_to_load(tmp_path: Path) -> None:
    rehearse(tmp_path, models.linear())


def test_a_model_that_would_never_end_passes_as_long_as_no_example_runs_it(tmp_path: Path) -> None:
    rehearse(tmp_path, models.loop())


def test_a_model_of_two_files_passes(tmp_path: Path) -> None:
    graph, weights = models.with_external_data(models.linear())
    artifact = lay_out(tmp_path, {"model.onnx": graph, "model.onnx.data": weights})
    examples = Examples((example({"x": ROWS}, {"y": linear_answer(models.linear())}),))
    SandboxedInspector().rehearse(tmp_path, artifact, examples)


CASES = {
    "floats": (models.linear(), {"x": ROWS}, {"y": linear_answer(models.linear())}),
    "numbers that JSON has not": (
        models.identity(),
        {"x": np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32)},
        {"y": np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32)},
    ),
    "texts": (
        models.string_twice(),
        {"x": np.array(["a", "\u2713", ""], object)},
        {"y": np.array(["aa", "\u2713\u2713", ""], object)},
    ),
    "booleans": (models.identity("bool"), {"x": np.array([True, False])}, {"y": np.array([True, False])}),
    "the smallest integer": (models.division(1), {"x": np.array([-(2**63)])}, {"y": np.array([-(2**63)])}),
    "an input left out": (
        models.optional_bias(),
        {"x": np.array([1.0], np.float32)},
        {"y": np.array([2.0], np.float32)},
    ),
    "an optional input": (
        models.optional_bias(),
        {"x": np.array([1.0], np.float32), "bias": np.array([4.0], np.float32)},
        {"y": np.array([5.0], np.float32)},
    ),
    "a scalar": (
        models.scalar_scale(),
        {"x": np.array([1.5], np.float32), "factor": np.array(2, np.float32)},
        {"y": np.array([3.0], np.float32)},
    ),
    "no rows": (models.linear(), {"x": ROWS[:0]}, {"y": np.zeros((0, 3), np.float32)}),
    "one output of two": (
        models.loop(trips=2, collects=True),
        {"x": np.array([1.0], np.float32)},
        {"steps": np.array([[2.0], [3.0]], np.float32)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_gives_what_its_example_says_passes(tmp_path: Path, case: str) -> None:
    source, inputs, outputs = CASES[case]
    rehearse(tmp_path, source, example(inputs, outputs))


def test_an_example_as_large_as_there_may_be_reaches_the_child(tmp_path: Path) -> None:
    many = np.arange(300_000, dtype=np.float32)
    rehearse(tmp_path, models.identity(), example({"x": many}, {"y": many}))


# --- what differs -----------------------------------------------------------------------------------------------------


def test_what_differs_is_named_example_by_example_and_output_by_output(tmp_path: Path) -> None:
    x = np.array([1.0], np.float32)
    right = example({"x": x}, {"y": np.array([3.0], np.float32)})
    wrong = example(
        {"x": x}, {"y": np.array([3.5], np.float32), "steps": np.array([[2.0], [3.0]], np.float32)}, name="wr/ng"
    )
    strange = example({"x": x}, {"steps": np.array([2.0, 3.0], np.float32)}, name="strange")
    with pytest.raises(ExamplesDiffer) as refused:
        rehearse(tmp_path, models.loop(trips=2, collects=True), right, wrong, strange)
    assert list(refused.value.violations) == [
        Violation(
            path="/examples/wr~1ng/outputs/y",
            expected="float32[1] within 1e-05 + 0.0001 * |x|",
            received="a difference of 0.5",
            code="example_mismatch",
        ),
        Violation(
            path="/examples/strange/outputs/steps",
            expected="float32[2]",
            received="float32[2, 1]",
            code="example_mismatch",
        ),
    ]
    assert refused.value.detail == (
        "/examples/wr~1ng/outputs/y: expected float32[1] within 1e-05 + 0.0001 * |x|, received a difference of 0.5"
    )


def tolerant(absolute: float) -> Example:
    """An example that ``models.identity`` misses by a half."""
    x = np.array([1.0, 2.0], np.float32)
    return Example(name="e", inputs={"x": x}, outputs={"y": x + 0.5}, tolerance=Tolerance(absolute, 0.0))


def test_an_example_may_be_missed_by_as_much_as_it_says(tmp_path: Path) -> None:
    rehearse(tmp_path, models.identity(), tolerant(0.5))


def test_an_example_may_not_be_missed_by_more_than_it_says(tmp_path: Path) -> None:
    with pytest.raises(ExamplesDiffer) as refused:
        rehearse(tmp_path, models.identity(), tolerant(0.25))
    assert [fault.received for fault in refused.value.violations] == ["a difference of 0.5"]


FAILING = {
    "an index out of range": (serving_models.gather(), {"index": np.array([7])}, {"y": ONE}, "InvalidArgument"),
    "no memory": (
        models.expanded_to_request(),
        {"x": ONE, "shape": np.array([1 << 40])},
        {"y": ONE},
        "Fail",
    ),
    "bytes that are no text": (
        serving_models.broken_text(),
        {"x": ROWS},
        {"text": np.array(["a"], object)},
        "UnicodeDecodeError",
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_run_that_fails_is_a_fault_of_its_example(tmp_path: Path, case: str) -> None:
    source, inputs, outputs, error = FAILING[case]
    with pytest.raises(ExamplesDiffer) as refused:
        rehearse(tmp_path, source, example(inputs, outputs), example(inputs, outputs, name="second"))
    assert list(refused.value.violations) == [
        Violation(
            path=f"/examples/{name}",
            expected="an answer",
            received=f"a run that failed ({error})",
            code="example_mismatch",
        )
        for name in ("first", "second")
    ]


def test_of_very_many_faults_the_first_are_named(tmp_path: Path) -> None:
    outputs = {"y": ONE, "steps": ONE}
    many = [example({"x": ONE}, outputs, name=str(number)) for number in range(40)]
    with pytest.raises(ExamplesDiffer) as refused:
        rehearse(tmp_path, models.loop(trips=2, collects=True), *many)
    paths = [f"/examples/{number}/outputs/{name}" for number in range(40) for name in outputs]
    assert [fault.path for fault in refused.value.violations] == paths[:64]


# --- what the rows of examples show together --------------------------------------------------------------------------


def shown(folder: Path, source: onnx.ModelProto, *values: float, names: tuple[str, ...] = ("x",)) -> Level:
    """Run examples of one row each, which all are answered by themselves as they say, and return what they show."""
    rows = [np.array([value], np.float32) for value in values]
    examples = [example({"x": row}, {"y": row + (row == 7)}, name=str(place)) for place, row in enumerate(rows)]
    return SandboxedInspector().rehearse(folder, lay(folder, source), Examples(tuple(examples)), row_names=names)


@pytest.mark.parametrize(
    ("values", "names", "level"),
    [
        ((1.0, 7.0), ("x",), Level.NONE),
        ((1.0, 2.0), ("x",), Level.EXACT),
        ((7.0,), ("x",), Level.EXACT),
        ((), ("x",), Level.EXACT),
        ((1.0, 7.0), (), Level.EXACT),
        ((1.0, 7.0), ("x", "z"), Level.EXACT),
    ],
    ids=[
        "the secret among others",
        "no secret",
        "the secret alone",
        "no rows",
        "where none may share runs",
        "with other inputs than those that may",
    ],
)
def test_rows_that_influence_each_other_show_it(
    tmp_path: Path, values: tuple[float, ...], names: tuple[str, ...], level: Level
) -> None:
    assert shown(tmp_path, models.secretly_mixing(), *values, names=names) is level


def test_rows_whose_number_changes_show_it(tmp_path: Path) -> None:
    rows = np.array([[7, 1], [2, 3]], np.float32)
    given = example({"x": rows}, {"y": np.array([[7, 1], [2, 3], [7, 1]], np.float32)})
    artifact = lay(tmp_path, models.secretly_growing())
    assert SandboxedInspector().rehearse(tmp_path, artifact, Examples((given,)), row_names=("x",)) is Level.NONE


def test_rows_that_keep_their_bits_in_company_show_nothing_else(tmp_path: Path) -> None:
    given = example({"x": ROWS}, {"y": linear_answer(models.linear())})
    artifact = lay(tmp_path, models.linear())
    assert SandboxedInspector().rehearse(tmp_path, artifact, Examples((given,)), row_names=("x",)) is Level.EXACT


# --- what does not load, or harms its process -------------------------------------------------------------------------


def test_a_file_that_was_damaged_after_its_inspection_is_refused(tmp_path: Path) -> None:
    artifact = lay(tmp_path, models.linear())
    path = tmp_path / "model.onnx"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidArtifact) as refused:
        SandboxedInspector().rehearse(tmp_path, artifact, NONE)
    assert refused.value.code == "invalid_model"
    assert str(tmp_path) not in refused.value.detail


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    artifact = lay(tmp_path, models.linear())
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(InvalidArtifact) as refused:
        SandboxedInspector().rehearse(tmp_path, artifact, NONE)
    assert refused.value.code == "invalid_model"
    assert str(tmp_path) not in refused.value.detail


def test_an_example_that_kills_its_process_is_the_models_fault(tmp_path: Path) -> None:
    deadly = example({"x": np.array([-(2**63)])}, {"y": np.array([0])})
    with pytest.raises(InvalidArtifact) as refused:
        rehearse(tmp_path, models.division(-1), deadly)
    assert (refused.value.code, refused.value.detail) == (
        "inspection_crashed",
        "the model crashed its process (SIGFPE) while it ran on its examples",
    )


def test_a_model_that_kills_whoever_loads_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifact) as refused:
        rehearse(tmp_path, models.folded_division())
    assert (refused.value.code, refused.value.detail) == (
        "inspection_crashed",
        "the model crashed its process (SIGFPE) while ONNX Runtime loaded it",
    )


def test_an_example_that_never_ends_ends_with_its_share_of_processor_time(tmp_path: Path) -> None:
    x = np.array([1.0], np.float32)
    inspector = SandboxedInspector(limits=ChildLimits(cpu_seconds=2))
    with pytest.raises(InvalidArtifact) as refused:
        rehearse(tmp_path, models.loop(), example({"x": x}, {"y": x}), inspector=inspector)
    assert (refused.value.code, refused.value.detail) == (
        "inspection_timeout",
        "the model took too much time while it ran on its examples",
    )


def test_who_finds_every_turn_taken_waits_for_a_bounded_time_and_inspections_take_none(tmp_path: Path) -> None:
    inspector = SandboxedInspector(max_at_once=1, limits=ChildLimits(wall_seconds=0))
    artifact = lay(tmp_path, models.linear())
    with inspector._rehearsing, pytest.raises(Overloaded):
        inspector.rehearse(tmp_path, artifact, NONE)
    patient = SandboxedInspector(max_at_once=1)
    with patient._turns:
        patient.rehearse(tmp_path, artifact, NONE)


def test_after_each_refusal_the_next_model_is_rehearsed(tmp_path: Path) -> None:
    inspector = SandboxedInspector(max_at_once=1)
    deadly = example({"x": np.array([-(2**63)])}, {"y": np.array([0])})
    for _ in range(2):
        with pytest.raises(InvalidArtifact):
            rehearse(tmp_path, models.division(-1), deadly, inspector=inspector)
    rehearse(tmp_path, models.linear(), inspector=inspector)
    assert inspector.child_count == 0


# --- what the child says ----------------------------------------------------------------------------------------------


def said(faults: Any, level: Any = "exact") -> Report:
    return read_report(json.dumps({"rehearsed": {"faults": faults, "level": level}}).encode() + b"\n")


def test_what_a_child_has_found_is_read_with_its_texts_cut_short() -> None:
    fault = {"path": "/examples/e", "expected": "an answer", "received": "x" * 1000, "code": "example_mismatch"}
    assert said([fault], "stable") == Report(
        faults=(Violation(path="/examples/e", expected="an answer", received="x" * 300, code="example_mismatch"),),
        level=Level.STABLE,
    )


def test_a_child_that_found_nothing_wrong_says_so() -> None:
    assert said([]) == Report(faults=(), level=Level.EXACT)


@pytest.mark.parametrize(
    ("faults", "level"),
    [(None, "exact"), ([1], "exact"), ([{}], "exact"), ([{"path": "/"}], "exact"), ([], "splendid"), ([], None)],
    ids=["no list", "no fault", "an empty fault", "half a fault", "no level", "nothing for a level"],
)
def test_what_makes_no_sense_is_no_result(faults: Any, level: Any) -> None:
    assert said(faults, level).faults is None
