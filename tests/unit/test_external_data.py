"""Reading off a graph which files it keeps weights in, held against graphs that onnx itself wrote."""

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gateway.client.external_data import external_file_names


def outside(name: str, location: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def inside(name: str) -> TensorProto:
    return numpy_helper.from_array(np.ones(1000, np.float32), name)


def write(folder: Path, *initializers: TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> Path:
    graph = helper.make_graph(nodes, "g", [], [], initializer=initializers)
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_a_graph_that_holds_its_weights_names_no_file(tmp_path: Path) -> None:
    assert external_file_names(write(tmp_path, inside("a"))) == []


def test_every_file_is_named_once_and_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, outside("a", "w.data"), inside("b"), outside("c", "v.data"), outside("d", "w.data"))

    assert external_file_names(path) == ["v.data", "w.data"]


def test_tensors_in_nodes_subgraphs_and_functions_count(tmp_path: Path) -> None:
    branch = helper.make_graph([], "branch", [], [], initializer=[outside("s", "in_subgraph")])
    constant = helper.make_node("Constant", [], ["c"], value=outside("t", "in_attribute"))
    several = helper.make_node("Any", [], ["l"], values=[outside("u", "in_list")], graphs=[branch])
    choice = helper.make_node("If", ["c"], ["y"], then_branch=branch)
    path = write(tmp_path, nodes=(constant, several, choice))
    model = onnx.load(path, load_external_data=False)
    inner = helper.make_node("Constant", [], ["f"], value=outside("v", "in_function"))
    model.functions.append(helper.make_function("local", "F", [], ["f"], [inner], [helper.make_opsetid("", 20)]))
    path.write_bytes(model.SerializeToString())

    assert external_file_names(path) == ["in_attribute", "in_function", "in_list", "in_subgraph"]


def test_what_onnx_saves_as_two_files_is_found(tmp_path: Path) -> None:
    model = onnx.load(write(tmp_path, inside("a")))
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, location="two.onnx.data")

    assert external_file_names(tmp_path / "two.onnx") == ["two.onnx.data"]


@pytest.mark.parametrize("location", ["/etc/passwd", "../w", "a/w", ".", "..", ""])
def test_only_plain_names_are_followed(tmp_path: Path, location: str) -> None:
    assert external_file_names(write(tmp_path, outside("a", location))) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"not protobuf", b"\x80\x04\x95", b"PK\x03\x04", b"\xff" * 100, b":\xff\xff\xff\xff\x7f"],
    ids=["empty", "text", "pickle", "zip", "ones", "a length past the end"],
)
def test_what_is_no_graph_names_no_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    assert external_file_names(path) == []


def test_damaged_graphs_are_read_without_harm(tmp_path: Path) -> None:
    path = write(tmp_path, outside("a", "w.data"), inside("b"))
    whole = path.read_bytes()
    draw = random.Random(7)  # noqa: S311 - damage, not secrets
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        assert all(Path(name).name == name for name in external_file_names(path))
