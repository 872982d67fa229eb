"""What is read from a graph, compared whole."""

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from registry.errors import InvalidArtifact
from registry.inspection.graph import CUT_MARK, METADATA_BYTES, GraphFacts, read_graph
from registry.inspection.limits import WireLimits
from registry.signature import Signature
from registry.tensor import DTYPES, Dim, DType, TensorSpec
from tests.support import models


def spec(name: str, dtype: str, shape: tuple[Dim, ...] | None, *, optional: bool = False) -> TensorSpec:
    return TensorSpec(name=name, dtype=DTYPES[dtype], shape=shape, optional=optional)


def read(folder: Path, source: ModelProto, limits: WireLimits | None = None) -> GraphFacts:
    path = folder / "model.onnx"
    path.write_bytes(source.SerializeToString())
    return read_graph(path, limits)


def refusal(folder: Path, source: ModelProto, limits: WireLimits | None = None) -> InvalidArtifact:
    with pytest.raises(InvalidArtifact) as refused:
        read(folder, source, limits)
    return refused.value


def test_all_that_a_graph_says_of_itself_is_read(tmp_path: Path) -> None:
    source = models.optional_bias()
    source.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    source.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    helper.set_model_props(source, {"author": "somebody", "note": "two\nlines\x00"})
    assert read(tmp_path, source) == GraphFacts(
        signature=Signature(
            inputs=(spec("x", "float32", ("batch",)), spec("bias", "float32", (1,), optional=True)),
            outputs=(spec("y", "float32", ("batch",)),),
        ),
        opset_imports={"ai.onnx": 18, "ai.onnx.ml": 3},
        producer="tests 1.0",
        metadata={"author": "somebody", "note": "two\nlines\N{REPLACEMENT CHARACTER}"},
        is_bounded=True,
        operators=frozenset({"Add"}),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read(tmp_path: Path, dtype: str) -> None:
    assert read(tmp_path, models.identity(dtype)).signature == Signature(
        inputs=(spec("x", dtype, ("batch",)),), outputs=(spec("y", dtype, ("batch",)),)
    )


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ((), ()),
        (None, None),
        ((2, 3), (2, 3)),
        (("n", "n"), ("n", "n")),
        ((None, "?", -1, ""), (None, None, None, None)),
        (("None", "unknown", "-1"), (None, None, None)),
        (("DynamicDimension.0", 0), ("DynamicDimension.0", 0)),
        (("a\nb", "s" * 129), (None, None)),
    ],
    ids=[
        "scalar",
        "rank unknown",
        "fixed",
        "symbolic",
        "left open",
        "left open in words",
        "a size of zero is fixed",
        "names that nobody can write",
    ],
)
def test_dimensions_are_read_as_fixed_symbolic_or_unknown(
    tmp_path: Path, written: tuple[Dim, ...] | None, read_as: tuple[Dim, ...] | None
) -> None:
    assert read(tmp_path, models.identity(shape=written)).signature.inputs == (spec("x", "float32", read_as),)


def test_before_ir_version_4_initialisers_are_constants_though_listed_as_inputs(tmp_path: Path) -> None:
    source = models.optional_bias()
    source.ir_version = 3
    assert read(tmp_path, source).signature.inputs == (spec("x", "float32", ("batch",)),)


def test_text_that_is_no_utf_8_is_no_obstacle(tmp_path: Path) -> None:
    source = models.identity(shape=("aaaa", 4))
    source.producer_name = "bbbb"
    source.opset_import.append(helper.make_opsetid("cccc", 1))
    helper.set_model_props(source, {"dddd": "eeee"})
    octets = source.SerializeToString()
    for text in (b"aaaa", b"bbbb", b"cccc", b"dddd", b"eeee"):
        octets = octets.replace(text, text[:3] + b"\xff")
    (tmp_path / "model.onnx").write_bytes(octets)
    facts = read_graph(tmp_path / "model.onnx")
    said = (facts.producer, facts.opset_imports, facts.metadata, facts.signature.inputs[0].shape)
    assert said == ("bbb\ufffd 1.0", {"ai.onnx": 18, "ccc\ufffd": 1}, {"ddd\ufffd": "eee\ufffd"}, (None, 4))


def test_a_sparse_initialiser_is_a_default_too(tmp_path: Path) -> None:
    source = models.optional_bias()
    dense = source.graph.initializer.pop()
    indices = models.initializer("", np.array([0]))
    source.graph.sparse_initializer.append(helper.make_sparse_tensor(dense, indices, [1]))
    assert read(tmp_path, source).signature.inputs[1] == spec("bias", "float32", (1,), optional=True)


def test_long_metadata_is_cut_and_says_so(tmp_path: Path) -> None:
    source = models.linear()
    helper.set_model_props(source, {"a": "short", "b": "\u00fc" * METADATA_BYTES, "c": "no room"})
    metadata = read(tmp_path, source).metadata
    assert list(metadata) == ["a", "b"]
    assert metadata["b"].strip("\u00fc") == CUT_MARK
    assert METADATA_BYTES - 2 <= sum(len((key + text).encode()) for key, text in metadata.items()) <= METADATA_BYTES


def _odd_output(kind: str) -> ModelProto:
    tensor = helper.make_tensor_type_proto(1, None)
    odd = {
        "sequence": helper.make_sequence_type_proto(tensor),
        "map": helper.make_map_type_proto(7, tensor),
        "optional": helper.make_optional_type_proto(tensor),
        "sparse tensor": helper.make_sparse_tensor_type_proto(1, [2]),
    }
    source = models.identity()
    source.graph.output[0].type.CopyFrom(odd[kind])
    return source


@pytest.mark.parametrize(
    ("kind", "containers"), [("sequence", ("sequence",)), ("map", ("map[int64]",)), ("optional", ("optional",))]
)
def test_what_a_tensor_is_wrapped_in_is_read(tmp_path: Path, kind: str, containers: tuple[str, ...]) -> None:
    (output,) = read(tmp_path, _odd_output(kind)).signature.outputs
    assert output == TensorSpec(name="y", dtype=DTYPES["float32"], shape=None, containers=containers)


def test_containers_are_read_from_outside_in(tmp_path: Path) -> None:
    source = models.identity()
    row = helper.make_map_type_proto(8, helper.make_tensor_type_proto(1, []))
    source.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(row))
    (output,) = read(tmp_path, source).signature.outputs
    assert str(output) == "sequence(map[string](float32[]))"
    assert output.runtime_type == "seq(map(string,tensor(float)))"


def test_a_sparse_tensor_is_refused_with_the_way_out(tmp_path: Path) -> None:
    refused = refusal(tmp_path, _odd_output("sparse tensor"))
    assert refused.code == "unsupported_signature"
    assert "the output 'y' is of type sparse tensor. Make it a tensor" in refused.detail


def test_containers_nested_without_end_are_refused(tmp_path: Path) -> None:
    source = models.identity()
    nested = helper.make_tensor_type_proto(1, [])
    for _ in range(5):
        nested = helper.make_sequence_type_proto(nested)
    source.graph.output[0].type.CopyFrom(nested)
    assert "wrapped in more than 4 containers" in refusal(tmp_path, source).detail


def test_maps_have_keys_that_a_program_can_look_up(tmp_path: Path) -> None:
    source = models.identity()
    source.graph.output[0].type.CopyFrom(helper.make_map_type_proto(1, helper.make_tensor_type_proto(1, [])))
    assert "keys are neither integers nor text" in refusal(tmp_path, source).detail


FOREIGN = [dtype for dtype in DTYPES.values() if dtype.is_foreign]


@pytest.mark.parametrize("dtype", FOREIGN, ids=lambda dtype: dtype.name)
def test_types_that_numpy_lacks_are_read(tmp_path: Path, dtype: DType) -> None:
    source = models.identity()
    source.graph.input[0].type.tensor_type.elem_type = dtype.onnx_code
    assert read(tmp_path, source).signature.inputs[0].dtype == dtype


def test_a_dtype_that_the_wire_does_not_have_is_named(tmp_path: Path) -> None:
    source = models.identity()
    source.graph.input[0].type.tensor_type.elem_type = TensorProto.COMPLEX64
    refused = refusal(tmp_path, source)
    assert refused.code == "unsupported_signature"
    assert "'x' has the element type complex64" in refused.detail


def test_a_model_without_outputs_is_refused(tmp_path: Path) -> None:
    source = models.linear()
    source.graph.ClearField("output")
    assert refusal(tmp_path, source).code == "unsupported_signature"


def test_inputs_with_defaults_count_where_a_caller_sees_them(tmp_path: Path) -> None:
    assert refusal(tmp_path, models.optional_bias(), WireLimits(interface=2)).code == "unsupported_signature"


def test_two_inputs_of_one_name_are_refused(tmp_path: Path) -> None:
    source = models.two_inputs_one_symbol()
    source.graph.input[1].name = "a"
    assert refusal(tmp_path, source).code == "invalid_model"


@pytest.mark.parametrize("octets", [b"\xff" * 9, b"\x12\x02\xff\xfe\x3a\x00"], ids=["no message", "no UTF-8"])
def test_what_cannot_be_parsed_is_refused(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(octets)
    with pytest.raises(InvalidArtifact):
        read_graph(path)
