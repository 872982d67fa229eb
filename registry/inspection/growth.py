"""Whether a graph makes values that are far larger than what goes in, by its own numbers.

1. A constant that says a size says no more than ``MOST_ELEMENTS``. What a constant multiplies a size by counts as often
   as it is applied to what it has made.
2. A value that is joined with itself, again and again, doubles each time. What weights are applied to is as large as
   they make it, and begins anew.
3. Each graph, function and branch is looked at for itself. Products of shapes by broadcasting are not seen: that takes
   inference of symbolic shapes.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from math import prod
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper

MOST_ELEMENTS: Final = 1 << 26
MOST_GROWTH: Final = float(1 << 20)

_SIZES: Final = {
    "ConstantOfShape": 0,
    "Expand": 1,
    "HannWindow": 0,
    "HammingWindow": 0,
    "BlackmanWindow": 0,
    "Range": 1,
}
"""Which input of these is a size."""
_FACTORS: Final = {"Tile": 1, "Resize": 2, "Upsample": 1}
"""Which input of these multiplies one."""
_KEEPERS: Final = frozenset(
    {
        "Abs",
        "Add",
        "Cast",
        "Div",
        "Dropout",
        "Flatten",
        "Identity",
        "Mul",
        "Neg",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Softmax",
    }
    | {"Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze"}
)
"""What is as large as the largest of its inputs."""
_PASSING: Final = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""What leaves a constant's numbers as they are."""
_MOST_NUMBERS: Final = 64
"""In a constant that says a shape."""


def grows(model: onnx.ModelProto) -> bool:
    """Return whether a run takes far more memory than its inputs would make one think."""
    constants = _constants(model.graph)
    scopes = [(model.graph.node, constants), *((function.node, {}) for function in model.functions)]
    return any(_grows(list(nodes), dict(known)) for nodes, known in scopes)


def _grows(nodes: list[onnx.NodeProto], constants: MutableMapping[str, list[float]]) -> bool:
    growth: dict[str, float] = {}
    for node in nodes:
        if any(_grows(list(graph.node), ChainMap(_constants(graph), constants)) for graph in _branches(node)):
            return True
        said = _said(node, constants)
        if said is not None:
            constants.update(dict.fromkeys(node.output, said))
        elif _is_too_much(node, constants, growth):
            return True
    return False


def _said(node: onnx.NodeProto, constants: Mapping[str, list[float]]) -> list[float] | None:
    """Return the numbers that a node makes of nothing but constants, where it passes them on or joins them."""
    if node.op_type == "Constant":
        return _value(node)
    if node.op_type == "Concat" and all(name in constants for name in node.input):
        joined = [number for name in node.input for number in constants[name]]
        return joined if len(joined) <= _MOST_NUMBERS else None
    return constants.get(node.input[0]) if node.op_type in _PASSING and node.input else None


def _is_too_much(node: onnx.NodeProto, constants: MutableMapping[str, list[float]], growth: dict[str, float]) -> bool:
    """Take note of how much larger than the inputs a node's outputs are; return whether that is too much."""
    if prod(_numbers(node, _SIZES, constants)) > MOST_ELEMENTS:
        return True
    grown = _joined(node, growth) * max(1.0, prod(_numbers(node, _FACTORS, constants)))
    growth.update(dict.fromkeys(node.output, grown))
    return grown > MOST_GROWTH


def _branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _joined(node: onnx.NodeProto, growth: dict[str, float]) -> float:
    parts = [growth.get(name, 1.0) for name in node.input]
    if node.op_type == "Concat":
        return sum(parts)
    if node.op_type in _KEEPERS or node.op_type in _FACTORS:
        return max(parts, default=1.0)
    return 1.0


def _numbers(node: onnx.NodeProto, places: dict[str, int], constants: Mapping[str, list[float]]) -> list[float]:
    """Return what a constant at such a place says; nothing if there is none."""
    place = places.get(node.op_type, len(node.input))
    return constants.get(node.input[place], []) if place < len(node.input) else []


def _constants(graph: onnx.GraphProto) -> dict[str, list[float]]:
    found = ((tensor.name, _read(tensor)) for tensor in graph.initializer)
    return {name: numbers for name, numbers in found if numbers is not None}


def _value(node: onnx.NodeProto) -> list[float] | None:
    for attribute in node.attribute:
        match attribute.name:
            case "value":
                return _read(attribute.t)
            case "value_int":
                return [float(attribute.i)]
            case "value_ints":
                return [float(number) for number in attribute.ints[:_MOST_NUMBERS]]
            case "value_float":
                return [attribute.f]
            case "value_floats":
                return list(attribute.floats[:_MOST_NUMBERS])
            case _:
                pass
    return None


def _read(tensor: onnx.TensorProto) -> list[float] | None:
    """Return the numbers of a tensor that may say a shape."""
    is_of_numbers = tensor.data_type in {onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.FLOAT}
    if not is_of_numbers or tensor.data_location == onnx.TensorProto.EXTERNAL or len(tensor.dims) > 1:
        return None
    if prod(tensor.dims) > _MOST_NUMBERS:
        return None
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError):
        return None
    return [float(number) for number in np.nan_to_num(array.ravel().astype(np.float64))]
