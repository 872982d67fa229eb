"""Graphs without weights: what stays, what goes, wherever it stands; and who makes them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from registry.errors import InvalidArtifact
from registry.inspection.limits import ChildLimits
from registry.inspection.sandbox import SandboxedInspector
from registry.inspection.skeleton import LEFT_OUT, write_skeleton
from registry.storage import MOST_STRIPPED_BYTES, STRIPPED_GRAPH
from tests.support import models
from tests.support.inspecting import lay_out
from tests.support.real_models import published_models

LARGE = np.arange(400, dtype=np.float32).reshape(4, 100)
SMALL = np.arange(4, dtype=np.int64)
LARGE_MODELS_BYTES = 3_000_000


def skeleton_of(model: ModelProto, folder: Path, **limits: int) -> ModelProto:
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    write_skeleton(folder / "model.onnx", folder, **limits)
    return onnx.load(folder / STRIPPED_GRAPH, load_external_data=False)


def tensors_of(message: object) -> Iterator[TensorProto]:
    """Every tensor of a message, wherever it stands."""
    if isinstance(message, TensorProto):
        yield message
    for field, value in message.ListFields():  # type: ignore[attr-defined]  # of a message
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                yield from tensors_of(inner)


def without_data(array: object, name: str = "") -> TensorProto:
    tensor = numpy_helper.from_array(np.asarray(array), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=LEFT_OUT)
    return tensor


def test_numbers_that_stand_beside_short_raw_data_go_too(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(SMALL, "both")
    tensor.float_data.extend([1.5] * 100_000)
    stripped = skeleton_of(models.model([constant("k", tensor)], [models.value("x")], [models.value("y")]), tmp_path)
    assert list(tensors_of(stripped)) == [without_data(SMALL, "both")]


def constant(name: str, tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=tensor)


def everywhere(tensor: TensorProto) -> ModelProto:
    """A model with one tensor as an initialiser, in a constant, in a subgraph, in a function and in a sparse one."""
    inner = helper.make_graph([constant("c", tensor)], "inner", [], [models.value("c")], [tensor])
    branch = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
    function = helper.make_function(
        "local", "F", [], ["z"], [constant("z", tensor)], [helper.make_opsetid("", models.OPSET)]
    )
    whole = models.model(
        [constant("k", tensor), branch],
        [models.value("yes", "bool", ())],
        [models.value("y")],
        initializers=[tensor],
        functions=[function],
    )
    sparse = helper.make_sparse_tensor(tensor, numpy_helper.from_array(np.arange(3)), [9])
    whole.graph.sparse_initializer.append(sparse)
    return whole


def test_a_large_tensor_keeps_its_name_type_and_dimensions_wherever_it_stands(tmp_path: Path) -> None:
    found = list(tensors_of(skeleton_of(everywhere(numpy_helper.from_array(LARGE, "w")), tmp_path)))
    large = [tensor for tensor in found if list(tensor.dims) == [4, 100]]
    assert len(large) == 8
    assert large == [without_data(LARGE, "w")] * 8


def test_a_small_tensor_stays_as_it_is(tmp_path: Path) -> None:
    before = everywhere(numpy_helper.from_array(SMALL, "axes"))
    assert skeleton_of(before, tmp_path) == before


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.UINT64])
def test_a_tensor_in_a_typed_field_is_emptied_as_well(tmp_path: Path, dtype: int) -> None:
    values = [b"text"] * 300 if dtype == TensorProto.STRING else list(range(300))
    model = models.linear()
    model.graph.initializer.append(helper.make_tensor("t", dtype, [300], values))
    (tensor,) = (tensor for tensor in skeleton_of(model, tmp_path).graph.initializer if tensor.name == "t")
    assert (list(tensor.dims), tensor.data_type, tensor.ByteSize() < 50) == ([300], dtype, True)


def test_long_lists_and_texts_are_cut_and_say_so(tmp_path: Path) -> None:
    model = models.linear()
    node = model.graph.node[0]
    node.attribute.append(helper.make_attribute("weights", [float(number) for number in range(1000)]))
    node.attribute.append(helper.make_attribute("text", "x" * 5000))
    node.doc_string = "é" * 5000
    model.metadata_props.add(key="character", value="y" * 100_000)
    after = skeleton_of(model, tmp_path)
    weights, text = after.graph.node[0].attribute[-2:]
    assert (len(weights.floats), weights.doc_string) == (64, "1000 elements, of which the first 64 are here")
    assert (len(text.s), text.s[-9:]) == (1024, b"... (cut)")
    assert (len(after.graph.node[0].doc_string.encode()) <= 1024, after.metadata_props[0].value[-9:]) == (
        True,
        "... (cut)",
    )


def test_what_onnx_does_not_know_is_left_out(tmp_path: Path) -> None:
    unknown = b"\xfa\x3f\x82\x02" + b"u" * 258  # field 1023 of the graph
    graph = models.linear().graph.SerializeToString() + unknown
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x3a" + onnx_varint(len(graph)) + graph)
    write_skeleton(path, tmp_path)
    assert b"uuu" not in (tmp_path / STRIPPED_GRAPH).read_bytes()


def onnx_varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])


def test_a_graph_that_is_large_without_weights_loses_its_inner_shapes_then_is_refused(tmp_path: Path) -> None:
    model = models.linear()
    model.graph.value_info.extend(models.value(f"inner{number}") for number in range(100))
    assert len(skeleton_of(model, tmp_path).graph.value_info) == 100
    assert len(skeleton_of(model, tmp_path, limit_bytes=2000).graph.value_info) == 0
    with pytest.raises(InvalidArtifact) as refused:
        skeleton_of(model, tmp_path, limit_bytes=100)
    assert refused.value.code == "too_complex"


@pytest.mark.parametrize("real", published_models(), ids=lambda real: real.name)
def test_a_real_model_shrinks_to_what_a_browser_takes_at_once(tmp_path: Path, real: object) -> None:
    path: Path = real.path  # type: ignore[attr-defined]
    artifact = lay_out(tmp_path, {"model.onnx": path.read_bytes()})
    into = tmp_path / "into"
    into.mkdir()
    SandboxedInspector().strip(tmp_path, artifact, into)
    (written,) = into.iterdir()
    before, after = onnx.load(path, load_external_data=False), onnx.load(written, load_external_data=False)
    assert [node.op_type for node in after.graph.node] == [node.op_type for node in before.graph.node]
    assert [list(tensor.dims) for tensor in after.graph.initializer] == [
        list(tensor.dims) for tensor in before.graph.initializer
    ]
    size_bytes, whole_bytes = written.stat().st_size, path.stat().st_size
    assert size_bytes < (whole_bytes // 50 if whole_bytes > LARGE_MODELS_BYTES else 150_000)


def test_the_child_writes_no_more_than_it_may_and_its_end_is_told(tmp_path: Path) -> None:
    artifact = lay_out(tmp_path, {"model.onnx": models.linear().SerializeToString()})
    with pytest.raises(InvalidArtifact) as refused:
        SandboxedInspector(limits=ChildLimits(wall_seconds=0)).strip(tmp_path, artifact, tmp_path)
    assert (refused.value.code, MOST_STRIPPED_BYTES) == ("inspection_timeout", 16 << 20)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    artifact = lay_out(tmp_path, {"model.onnx": b"\x08\x07\x3a\xff\xff\xff\x01"})
    with pytest.raises(InvalidArtifact) as refused:
        SandboxedInspector().strip(tmp_path, artifact, tmp_path)
    assert refused.value.code == "invalid_model"
