"""Files that must be refused, each by the limit that it tests, and nothing left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

from registry.errors import CallerError, InvalidArtifact, UnsupportedFormat
from registry.inspection.limits import ChildLimits
from registry.inspection.sandbox import SandboxedInspector
from registry.records import Inspection
from tests.support import models
from tests.support.inspecting import inspect_files, lay_out

Source = Callable[[], ModelProto | bytes]


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


def changed(change: Callable[[ModelProto], object]) -> Source:
    def build() -> ModelProto:
        source = models.linear()
        change(source)
        return source

    return build


def empty_tensors() -> bytes:
    graph = b"\x2a\x00" * (2 << 20)
    return b"\x3a\x80\x80\x80\x02" + graph


def relu_chain(length: int) -> ModelProto:
    nodes = [helper.make_node("Relu", [f"h{step}"], [f"h{step + 1}"]) for step in range(length)]
    return models.model(nodes, [models.value("h0")], [models.value(f"h{length}")])


def many_inputs(count: int) -> ModelProto:
    names = [f"x{number}" for number in range(count)]
    return models.model([helper.make_node("Sum", names, ["y"])], [models.value(name) for name in names], [])


def nested_types(depth: int) -> ModelProto:
    kind = helper.make_tensor_type_proto(1, None)
    for _ in range(depth):
        kind = helper.make_sequence_type_proto(kind)
    source = models.identity()
    source.graph.input[0].type.CopyFrom(kind)
    return source


def renamed(name: str) -> Source:
    def change(source: ModelProto) -> None:
        source.graph.input[0].name = source.graph.node[0].input[0] = name

    return changed(change)


def in_file(location: str) -> Source:
    return changed(lambda source: models.make_external(source.graph.initializer[0], location).ClearField("raw_data"))


def duplicate_node(source: ModelProto) -> None:
    source.graph.node.append(source.graph.node[0])


def cycle() -> ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return models.model(nodes, [models.value("x")], [models.value("a")])


def zipmap() -> ModelProto:
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, None)))
    source = models.identity()
    source.graph.output[0].type.CopyFrom(kind)
    return source


REFUSED: dict[str, tuple[Source, str]] = {
    "functions that mean a thousand million nodes": (lambda: models.calls(30), "too_complex"),
    "functions that call each other": (models.recursion, "invalid_model"),
    "a tree of 100,000 branches": (lambda: models.tree(100_000), "too_complex"),
    "a chain of 100,000 nodes": (lambda: relu_chain(100_000), "too_complex"),
    "two million empty messages": (empty_tensors, "too_complex"),
    "branches nested thirty deep": (lambda: models.nested_ifs(30), "too_complex"),
    "types nested deep": (lambda: nested_types(70), "too_complex"),
    "10,000 inputs": (lambda: many_inputs(10_000), "unsupported_signature"),
    "no outputs": (changed(lambda source: source.graph.ClearField("output")), "unsupported_signature"),
    "a list of maps, as scikit-learn's converter makes by default": (zipmap, "unsupported_signature"),
    "data too short": (
        changed(lambda source: setattr(source.graph.initializer[0], "raw_data", b"1234")),
        "invalid_model",
    ),
    "dimensions that overflow": (
        changed(lambda source: source.graph.initializer[0].dims.extend([2**62, 2**62])),
        "invalid_model",
    ),
    "data in two places": (
        changed(lambda source: source.graph.initializer[0].float_data.extend([0.0] * 12)),
        "invalid_model",
    ),
    "a weight in /etc/passwd": (in_file("/etc/passwd"), "external_data"),
    "a weight above its folder": (in_file("../model.onnx.data"), "external_data"),
    "a weight in /proc": (in_file("../../../../proc/self/environ"), "external_data"),
    "a weight in a device": (in_file("/dev/zero"), "external_data"),
    "a weight in memory": (in_file("*/_ORT_MEM_ADDR_/*"), "external_data"),
    "a weight in a file that did not come": (in_file("model.onnx.data"), "external_data"),
    "a name of two lines": (renamed("x\n\x1b[31mlevel=error"), "invalid_tensor_name"),
    "a name with a NUL": (renamed("x\0y"), "invalid_tensor_name"),
    "a name of a mebibyte": (renamed("x" * (1 << 20)), "invalid_tensor_name"),
    "an operator that names a file": (
        changed(
            lambda source: source.graph.node[0].MergeFrom(helper.make_node("EPContext", [], [], domain="com.microsoft"))
        ),
        "unsupported_operator",
    ),
    "an unknown domain": (
        changed(lambda source: setattr(source.graph.node[0], "domain", "com.example")),
        "unsupported_operator",
    ),
    "an unknown operator": (changed(lambda source: setattr(source.graph.node[0], "op_type", "Nope")), "invalid_model"),
    "an opset of the future": (
        changed(lambda source: setattr(source.opset_import[0], "version", 9999)),
        "invalid_model",
    ),
    "a format version of the future": (changed(lambda source: setattr(source, "ir_version", 9999)), "invalid_model"),
    "two nodes with one output": (changed(duplicate_node), "invalid_model"),
    "a cycle": (cycle, "invalid_model"),
    "a constant that crashes who folds it": (models.folded_division, "inspection_crashed"),
    "a constant that fills memory": (lambda: models.folded_doubling(20), "inspection_memory"),
    "noise": (lambda: bytes(range(1, 256)), "invalid_model"),
    "an empty file": (lambda: b"", "invalid_model"),
    "a file cut off": (lambda: models.linear().SerializeToString()[:-1], "invalid_model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_its_reason(tmp_path: Path, case: str) -> None:
    source, code = REFUSED[case]
    with pytest.raises(InvalidArtifact) as refused:
        inspect_source(tmp_path, source)
    assert refused.value.code == code
    assert refused.value.detail.isprintable()
    assert str(tmp_path) not in refused.value.detail


@pytest.mark.parametrize("octets", [b"PK\x03\x04" + bytes(60), b"\x10\0\0\0ORTM" + bytes(60)], ids=["zip", "ort"])
def test_another_format_never_reaches_a_child(tmp_path: Path, octets: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        inspect_files(tmp_path, {"model.onnx": octets})


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
    with pytest.raises(InvalidArtifact) as refused:
        inspect_source(tmp_path, lambda: models.loop(collects=True, width=1 << 20))
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
