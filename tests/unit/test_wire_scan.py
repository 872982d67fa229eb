"""The rules of the wire-level scan, each at its limit and one beyond."""

from collections.abc import Callable

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper

from registry.errors import InvalidArtifact
from registry.inspection.limits import WireLimits
from registry.inspection.wire_scan import scan
from tests.support import models


def code_of(data: bytes, files: dict[str, int] | None = None, **limits: int) -> str:
    """The code that the scan refuses with, or ``accepted``."""
    try:
        scan(data, files or {}, WireLimits(**limits))
    except InvalidArtifact as error:
        return error.code
    return "accepted"


def relu_chain(length: int) -> ModelProto:
    names = ["x", *(f"h{step}" for step in range(1, length)), "y"]
    nodes = [helper.make_node("Relu", [names[step]], [names[step + 1]]) for step in range(length)]
    return models.model(nodes, [models.value("x")], [models.value("y")])


def with_weight(change: Callable[[TensorProto], object]) -> bytes:
    changed = models.linear()
    change(changed.graph.initializer[0])
    return changed.SerializeToString()


def set_fields(**values: object) -> Callable[[TensorProto], object]:
    def change(tensor: TensorProto) -> None:
        for name, content in values.items():
            tensor.ClearField(name)
            if isinstance(content, list):
                getattr(tensor, name).extend(content)
            elif content is not None:
                setattr(tensor, name, content)

    return change


@pytest.mark.parametrize(
    ("limit", "number", "source", "code"),
    [
        pytest.param("nodes", 5, relu_chain(5), "too_complex", id="nodes"),
        pytest.param("nodes", 1 + 2 + 4 + 4, models.calls(2), "too_complex", id="nodes after expansion"),
        pytest.param("interface", 2, models.identity(), "unsupported_signature", id="inputs and outputs"),
        pytest.param("tree_depth", 20, models.tree(20), "too_complex", id="depth of a tree"),
        pytest.param("rank", 2, models.linear(), "invalid_model", id="rank"),
        pytest.param("name_bytes", 4, models.linear(), "invalid_model", id="length of an operator's name"),
    ],
)
def test_a_model_at_the_limit_passes_and_one_beyond_does_not(
    limit: str, number: int, source: ModelProto, code: str
) -> None:
    octets = source.SerializeToString()
    assert [code_of(octets, **{limit: number}), code_of(octets, **{limit: number - 1})] == ["accepted", code]


def test_every_message_counts() -> None:
    octets = relu_chain(3).SerializeToString()
    needed = next(number for number in range(100) if code_of(octets, messages=number) == "accepted")
    # graph, 3 nodes, 2 value infos of type, tensor, shape and dimension each, 1 operator set
    assert needed == 1 + 3 + 2 * 5 + 1


def test_every_field_counts_and_a_run_counts_once() -> None:
    short, long = (
        models.model(
            [helper.make_node("Relu", ["x"], ["y"], domain="", note=[7] * count)], [], [models.value("y")]
        ).SerializeToString()
        for count in (2, 2000)
    )
    needed = [next(n for n in range(200) if code_of(octets, fields=n) == "accepted") for octets in (short, long)]
    assert needed[0] == needed[1]


def test_a_file_larger_than_the_limit_is_refused_unread() -> None:
    assert code_of(b"\xff" * 100, size_bytes=99) == "too_complex"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        pytest.param(models.recursion(), "invalid_model", id="functions that call each other"),
        pytest.param(models.calls(30), "too_complex", id="functions that mean a thousand million nodes"),
        pytest.param(models.calls(5000, fan=1), "accepted", id="a chain of functions longer than the stack"),
        pytest.param(models.nested_ifs(9), "accepted", id="nine branches inside each other"),
        pytest.param(models.nested_ifs(30), "too_complex", id="thirty branches inside each other"),
        pytest.param(models.tree(4001), "too_complex", id="a tree that is too deep"),
    ],
)
def test_what_grows_when_it_is_loaded_is_computed_beforehand(source: ModelProto, code: str) -> None:
    assert code_of(source.SerializeToString()) == code


@pytest.mark.parametrize(
    ("domain", "operator", "code"),
    [
        ("", "Relu", "accepted"),
        ("ai.onnx", "Relu", "accepted"),
        ("ai.onnx.ml", "Scaler", "accepted"),
        ("com.microsoft", "Gelu", "accepted"),
        ("com.microsoft", "EPContext", "unsupported_operator"),
        ("com.microsoft.nchwc", "Conv", "unsupported_operator"),
        ("own", "Relu", "unsupported_operator"),
    ],
)
def test_operators_come_from_known_domains(domain: str, operator: str, code: str) -> None:
    node = helper.make_node(operator, ["x"], ["y"], domain=domain)
    source = models.model([node], [models.value("x")], [models.value("y")], opsets={domain: 1})
    assert code_of(source.SerializeToString()) == code


@pytest.mark.parametrize(
    ("domain", "operator", "code"),
    [
        ("own", "Relu", "accepted"),
        ("com.microsoft", "Own", "accepted"),
        ("com.microsoft", "EPContext", "unsupported_operator"),
        ("com.microsoft.nchwc", "Conv", "unsupported_operator"),
        ("com.ms.internal.nhwc", "Conv", "unsupported_operator"),
        ("org.pytorch.aten", "ATen", "unsupported_operator"),
    ],
)
def test_a_function_makes_no_operator_of_the_runtimes_own_harmless(domain: str, operator: str, code: str) -> None:
    body = helper.make_node("Relu", ["x"], ["y"])
    function = helper.make_function(domain, operator, ["x"], ["y"], [body], [helper.make_opsetid("", 18)])
    call = helper.make_node(operator, ["x"], ["y"], domain=domain)
    source = models.model([call], [models.value("x")], [models.value("y")], functions=[function])
    assert code_of(source.SerializeToString()) == code


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\x00b", "\u202ex"])
def test_names_of_operators_and_functions_are_printable(name: str) -> None:
    body = helper.make_node("Relu", ["x"], ["y"])
    function = helper.make_function("own", name, ["x"], ["y"], [body], [helper.make_opsetid("", 18)])
    assert code_of(models.model([], [], [], functions=[function]).SerializeToString()) == "invalid_model"
    operator = helper.make_node(name, ["x"], ["y"])
    assert code_of(models.model([operator], [], []).SerializeToString()) == "invalid_model"


@pytest.mark.parametrize("number", [pytest.param(2, id="its type"), pytest.param(14, id="where its data is")])
def test_a_tensor_says_once_what_it_is(number: int) -> None:
    said = bytes([number << 3, 1]) * 1000
    assert code_of(b"\x3a" + _varint(3 + len(said)) + b"\x2a" + _varint(len(said)) + said) == "invalid_model"


def test_entries_of_external_data_that_mean_nothing_are_not_kept() -> None:
    tensor = models.make_external(TensorProto(dims=[1], data_type=1), "w.data")
    for number in range(1000):
        tensor.external_data.add(key=f"k{number}", value="v")
    source = models.model([], [], [models.value("y")], initializers=[tensor])
    assert code_of(source.SerializeToString(), {"w.data": 64}) == "accepted"
    tensor.external_data.add(key="location", value="w.data")
    again = models.model([], [], [models.value("y")], initializers=[tensor])
    assert code_of(again.SerializeToString(), {"w.data": 64}) == "external_data"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(set_fields(raw_data=None), "invalid_model", id="no data"),
        pytest.param(set_fields(raw_data=b"1234"), "invalid_model", id="short"),
        pytest.param(set_fields(raw_data=bytes(52)), "invalid_model", id="long"),
        pytest.param(set_fields(dims=[2**32, 2**32]), "invalid_model", id="a product that overflows"),
        pytest.param(set_fields(dims=[-4, -3]), "invalid_model", id="negative"),
        pytest.param(set_fields(dims=[1] * 33), "invalid_model", id="33 dimensions"),
        pytest.param(set_fields(float_data=[1.0] * 12), "invalid_model", id="data in two fields"),
        pytest.param(lambda tensor: tensor.segment.SetInParent(), "invalid_model", id="a segment"),
        pytest.param(set_fields(raw_data=None, float_data=[1.0] * 12), "accepted", id="typed data"),
        pytest.param(set_fields(raw_data=None, float_data=[1.0] * 11), "invalid_model", id="too little typed data"),
        pytest.param(set_fields(dims=[0, 3], raw_data=None), "accepted", id="nothing, as its dimensions say"),
        pytest.param(set_fields(dims=[3, 8], data_type=22, raw_data=bytes(12)), "accepted", id="four bits an element"),
        pytest.param(
            set_fields(dims=[3, 5], data_type=22, raw_data=None, int32_data=[-1] * 8), "accepted", id="typed, four bits"
        ),
        pytest.param(
            set_fields(dims=[2], data_type=14, raw_data=None, float_data=[0.0] * 4), "accepted", id="complex numbers"
        ),
        pytest.param(set_fields(dims=[2], data_type=8, raw_data=None, string_data=[b"a", b""]), "accepted", id="texts"),
        pytest.param(
            set_fields(dims=[2], data_type=7, raw_data=None, int64_data=[-1, 1]), "accepted", id="negative numbers"
        ),
    ],
)
def test_a_tensor_is_as_long_as_it_says(change: Callable[[TensorProto], object], code: str) -> None:
    assert code_of(with_weight(change)) == code


def test_the_elements_of_an_unpacked_list_are_counted_too() -> None:
    tensor = bytes([0x08, 2, 0x10, 7, 0x38, 1, 0x38, 0xFF, 0x01])  # dims 2, int64, int64_data 1 and 255, unpacked
    assert code_of(b"\x3a" + bytes([len(tensor) + 2]) + b"\x2a" + bytes([len(tensor)]) + tensor) == "accepted"


@pytest.mark.parametrize(
    ("location", "entries", "code"),
    [
        pytest.param("w.data", {"length": 48}, "accepted", id="a listed file"),
        pytest.param("w.data", {"offset": 16, "length": 48}, "accepted", id="its end"),
        pytest.param("w.data", {}, "accepted", id="without a length"),
        pytest.param("w.data", {"offset": 17, "length": 48}, "external_data", id="beyond its end"),
        pytest.param("w.data", {"offset": 2**70}, "external_data", id="an offset that overflows"),
        pytest.param("w.data", {"offset": -1}, "external_data", id="a negative offset"),
        pytest.param("w.data", {"length": 40}, "external_data", id="a length that is not the tensor's"),
        pytest.param("v.data", {}, "external_data", id="an unlisted file"),
        pytest.param("model.onnx", {}, "external_data", id="the graph itself"),
        pytest.param("/etc/passwd", {}, "external_data", id="an absolute path"),
        pytest.param("../w.data", {}, "external_data", id="a path upwards"),
        pytest.param("a/../w.data", {}, "external_data", id="a path that comes back"),
        pytest.param("*/_ORT_MEM_ADDR_/*", {}, "external_data", id="an address in memory"),
        pytest.param("", {}, "external_data", id="nowhere"),
    ],
)
def test_external_data_is_in_a_listed_file(location: str, entries: dict[str, int], code: str) -> None:
    def change(tensor: TensorProto) -> None:
        models.make_external(tensor, location, **entries).ClearField("raw_data")

    assert code_of(with_weight(change), {"w.data": 64}) == code


def trained(part: str, graph: GraphProto) -> ModelProto:
    source = models.model([], [], [models.value("y")])
    getattr(source.training_info.add(), part).CopyFrom(graph)
    return source


def test_external_data_is_found_wherever_a_tensor_can_be() -> None:
    hidden = models.make_external(TensorProto(dims=[1], data_type=1), "/etc/passwd")
    sparse = helper.make_sparse_tensor(hidden, models.initializer("", np.array([0])), [4])
    constant = helper.make_node("Constant", [], ["y"], value=hidden)
    body = helper.make_graph([constant], "body", [], [models.value("y")])
    function = helper.make_function("own", "f", [], ["y"], [constant], [helper.make_opsetid("", 18)])
    with_default = helper.make_function("own", "g", [], [], [], [helper.make_opsetid("", 18)])
    with_default.attribute_proto.append(helper.make_attribute("value", hidden))
    places = {
        "initialiser": models.model([], [], [models.value("y")], initializers=[hidden]),
        "constant": models.model([constant], [], [models.value("y")]),
        "list of tensors": models.model([helper.make_node("A", [], ["y"], t=[hidden])], [], []),
        "sparse": models.model([helper.make_node("A", [], ["y"], t=sparse)], [], []),
        "branch": models.model([helper.make_node("If", ["c"], ["y"], then_branch=body)], [], []),
        "list of graphs": models.model([helper.make_node("A", [], ["y"], g=[body])], [], []),
        "function": models.model([], [], [], functions=[function]),
        "default of a function's attribute": models.model([], [], [], functions=[with_default]),
        "start of a training": trained("initialization", body),
        "step of a training": trained("algorithm", body),
    }
    assert {place: code_of(source.SerializeToString()) for place, source in places.items()} == dict.fromkeys(
        places, "external_data"
    )


def test_two_halves_of_one_tensor_cannot_name_two_files() -> None:
    honest = models.make_external(TensorProto(dims=[1], data_type=1), "w.data").SerializeToString()
    hostile = TensorProto()
    models.make_external(hostile, "/etc/passwd")
    hostile.ClearField("data_location")
    halves = b"".join(b"\x2a" + bytes([len(half)]) + half for half in (honest, hostile.SerializeToString()))
    attribute = b"\x0a\x05value" + halves
    node = b"\x12\x01y\x22\x08Constant\x2a" + bytes([len(attribute)]) + attribute
    graph = b"\x0a" + bytes([len(node)]) + node
    assert code_of(b"\x3a" + bytes([len(graph)]) + graph, {"w.data": 64}) == "external_data"


@pytest.mark.parametrize(
    "name",
    [b"", b"a\nb\x1b[31m", b"a\x00b", b"a" * 257, b"\xff\xfe", "\u202ex".encode()],
    ids=["empty", "control characters", "a NUL", "257 bytes", "not UTF-8", "writing backwards"],
)
def test_names_that_callers_see_are_printable(name: bytes) -> None:
    octets = models.linear().SerializeToString()
    old = b"\x0a\x01y\x12"
    at = octets.rindex(old) - 2
    assert octets[at] == 0x62  # the graph's output
    output = octets[at + 2 : at + 2 + octets[at + 1]]
    renamed = models.linear()
    renamed.graph.ClearField("output")
    graph = renamed.graph.SerializeToString()
    size = _varint(len(name))
    changed = b"\x0a" + size + name + output[3:]
    graph += b"\x62" + _varint(len(changed)) + changed
    assert code_of(b"\x3a" + _varint(len(graph)) + graph) == "invalid_tensor_name"


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(octets) + bytes([number])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x08\x09", id="no graph"),
        pytest.param(b"\x3a\x00\x3a\x00", id="two graphs"),
        pytest.param(b"\x3a\x00\x1a", id="a tag without a value"),
        pytest.param(b"\x3a\x05\x00", id="a length beyond the end"),
        pytest.param(b"\x3a\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="an overlong number"),
        pytest.param(b"\x3a\x00\x0b" * 20_000, id="groups"),
        pytest.param(b"\x3a\x00\x00\x00", id="field number 0"),
        pytest.param(b"\x3a\x00\x80\x00\x00", id="field number 0, written long"),
        pytest.param(b"\x3a\x00\xda\x01\x00", id="a field that a model does not have"),
        pytest.param(b"\x38\x00", id="a graph that is a number"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(models.linear().SerializeToString()[:-1], id="one byte short"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    assert code_of(data) == "invalid_model"
