"""Weights that are not as long as they say, that are elsewhere, or that are a pointer."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from onnx import ModelProto, SparseTensorProto, TensorProto, helper

from tests.hostile_set.case import ANSWERED, FileCase, feed, refused, taken
from tests.support import models
from tests.support.hostile_files import changed

_DATA, _ELSEWHERE, _PLACES = "data of a wrong length", "a weight in another file", "where a weight can be"
_EXTERNAL = ("422 external_data",)
_LOCATIONS = (
    "/etc/shadow",
    "../../../../etc/passwd",
    "a/../../model.onnx",
    "./model.onnx.data",
    "model.onnx",
    "..",
    ".",
    "/",
    "/dev/stdin",
    "/proc/self/mem",
    "/proc/self/fd/0",
    "file:///etc/passwd",
    "https://example.com/weights",
    "\\\\host\\share\\weights",
    "C:\\weights",
    "%2e%2e%2fweights",
    "a\0b",
    "a\nb",
    "x" * 5000,
    " ",
    "*/_ORT_MEM_ADDR_/*",
    "*/_ORT_MEM_ADDR_/*0",
)
_KEYS = {
    "a negative offset": {"offset": -1},
    "an offset of 2^64": {"offset": 2**64},
    "a length of 2^63": {"length": 2**63},
    "a length that is none": {"length": "many"},
    "an attribute of a file object": {"__class__": "str", "read": "1"},
}


def cases() -> Iterator[FileCase]:
    """Yield tensors with wrong data, and with data elsewhere."""
    for name, change in _TENSORS.items():
        yield refused(_DATA, name, changed(partial(_change, change)))
    yield refused(_DATA, "text that is not UTF-8", foreign_text, ("201", "200", "422 invalid_model"))
    yield taken(_DATA, "a weight of no elements", empty_weight, feed([1.0, 2.0], *ANSWERED))
    for location in _LOCATIONS:
        shown = location if len(location) < 50 else "a name of 5,000 letters"
        yield refused(_ELSEWHERE, repr(shown), partial(elsewhere, location), _EXTERNAL)
    for name, entries in _KEYS.items():
        yield refused(_ELSEWHERE, name, partial(elsewhere, "model.onnx.data", entries), _EXTERNAL)
    yield refused(_ELSEWHERE, "no location", changed(_say_external), _EXTERNAL)
    for name, place in _HIDING.items():
        for location in ("../weights", "*/_ORT_MEM_ADDR_/*"):
            yield refused(_PLACES, f"{location} {name}", partial(hidden, place, location), _EXTERNAL)


def _change(change: Callable[[TensorProto], object], source: ModelProto) -> None:
    change(source.graph.initializer[0])


def _redim(*dims: int) -> Callable[[TensorProto], object]:
    def change(tensor: TensorProto) -> None:
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return change


_TENSORS: dict[str, Callable[[TensorProto], object]] = {
    "no data": lambda tensor: tensor.ClearField("raw_data"),
    "a byte too many": lambda tensor: setattr(tensor, "raw_data", tensor.raw_data + b"\0"),
    "a mebibyte too many": lambda tensor: setattr(tensor, "raw_data", tensor.raw_data + bytes(1 << 20)),
    "a negative dimension": _redim(-4, -3),
    "a dimension of 0": _redim(4, 0),
    "a dimension of 2^63 - 1": _redim(2**63 - 1),
    "dimensions whose product is 2^64 and 12": _redim(2**32, 2**32),
    "33 dimensions": _redim(*([1] * 31), 4, 3),
    "100,000 dimensions": _redim(*([1] * 100_000)),
    "a dtype that there is not": lambda tensor: setattr(tensor, "data_type", 99),
    "a dtype that is none": lambda tensor: setattr(tensor, "data_type", 0),
    "another dtype": lambda tensor: setattr(tensor, "data_type", TensorProto.DOUBLE),
    "a text as its dtype": lambda tensor: setattr(tensor, "data_type", TensorProto.STRING),
    "a segment": lambda tensor: tensor.segment.MergeFrom(TensorProto.Segment(begin=0, end=1 << 40)),
    "data of another field": lambda tensor: (tensor.ClearField("raw_data"), tensor.int64_data.extend([1] * 12)),
}


def _say_external(source: ModelProto) -> None:
    source.graph.initializer[0].ClearField("raw_data")
    source.graph.initializer[0].data_location = TensorProto.EXTERNAL


def elsewhere(location: str, entries: dict[str, object] | None = None) -> ModelProto:
    """A linear model whose first weight is in another file."""
    source = models.linear()
    _say_elsewhere(source.graph.initializer[0], location, entries or {})
    return source


def _say_elsewhere(tensor: TensorProto, location: str, entries: dict[str, object] | None = None) -> TensorProto:
    tensor.ClearField("raw_data")
    models.make_external(tensor, location)
    for key, text in (entries or {}).items():
        tensor.external_data.add(key=key, value=str(text))
    return tensor


def foreign_text() -> ModelProto:
    """Text x [n] -> whether each is one that is not UTF-8."""
    text = TensorProto(name="t", dims=[1], data_type=TensorProto.STRING, string_data=[b"\xff\xfe\x00"])
    return models.model(
        [helper.make_node("Equal", ["x", "t"], ["y"])],
        [models.value("x", "string", ("n",))],
        [models.value("y", "bool", ("n",))],
        initializers=[text],
        opsets={"": 19},
    )


def empty_weight() -> ModelProto:
    """Float32 x [n] -> y: joined with nothing."""
    return models.model(
        [helper.make_node("Concat", ["x", "w"], ["y"], axis=0)],
        [models.value("x", shape=("n",))],
        [models.value("y", shape=("m",))],
        initializers=[models.initializer("w", np.zeros(0, np.float32))],
    )


def hidden(place: Callable[[TensorProto], ModelProto], location: str) -> ModelProto:
    """A model with a tensor somewhere whose data is elsewhere."""
    return place(_say_elsewhere(models.initializer("c", np.ones(1, np.float32)), location))


def _adding(node: object, **options: object) -> ModelProto:
    ends = [models.value("x")], [models.value("y")]
    return models.model([node, helper.make_node("Add", ["x", "c"], ["y"])], *ends, **options)


def _in_branch(tensor: TensorProto) -> ModelProto:
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [models.value("c", shape=(1,))])
    taken = helper.make_graph([], "taken", [], [models.value("c", shape=(1,))], [tensor])
    yes = helper.make_node("Constant", [], ["yes"], value=models.initializer("yes", True))
    chosen = helper.make_node("If", ["yes"], ["c"], then_branch=branch, else_branch=taken)
    made = _adding(chosen)
    made.graph.node.insert(0, yes)
    return made


def _in_function(tensor: TensorProto) -> ModelProto:
    constant = helper.make_node("Constant", [], ["z"], value=tensor)
    made = helper.make_function("own", "f", [], ["z"], [constant], [helper.make_opsetid("", models.OPSET)])
    return _adding(helper.make_node("f", [], ["c"], domain="own"), functions=[made], opsets={"own": 1})


def _in_sparse(tensor: TensorProto) -> ModelProto:
    sparse = SparseTensorProto(values=tensor, indices=models.initializer("i", [0]), dims=[1])
    return _adding(helper.make_node("Constant", [], ["c"], sparse_value=sparse))


def _in_list(tensor: TensorProto) -> ModelProto:
    made = _adding(helper.make_node("Constant", [], ["c"], value=models.initializer("v", np.ones(1, np.float32))))
    made.graph.node[0].attribute.append(helper.make_attribute("tensors", [tensor]))
    return made


def _in_training(tensor: TensorProto) -> ModelProto:
    made = models.identity()
    made.training_info.add().algorithm.initializer.append(tensor)
    return made


_HIDING: dict[str, Callable[[TensorProto], ModelProto]] = {
    "in a constant": lambda tensor: _adding(helper.make_node("Constant", [], ["c"], value=tensor)),
    "in a branch": _in_branch,
    "in a function": _in_function,
    "in a sparse tensor": _in_sparse,
    "in a list of tensors": _in_list,
    "in how it was trained": _in_training,
}
