"""Whether a graph takes rows together, as far as its operators and the shapes between them tell.

1. The first dimension of every input that has no default is given one name, and ONNX's shape inference follows it.
   Where an operator reduces, sorts, accumulates or multiplies along a dimension of that name, rows meet.
2. What inference loses sight of (a Reshape, a loop, a function) is not judged here: trying is left to find out. So this
   can say that rows meet, and never that they do not.
3. Shape inference is the library's own code on a stranger's graph (``inference``); this runs in the inspection child.

Source: the operators' axes, onnx.ai/onnx/operators, opsets 1 to 24.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import onnx
from onnx import ModelProto, NodeProto, numpy_helper

from registry.inspection.inference import infer

_ROWS: Final = "rows that no name in a graph is like"
_MAX_BYTES: Final = 64 * 1024 * 1024

_REDUCTIONS: Final = frozenset(
    f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
)
_ALONG_AXIS: Final[Mapping[str, int]] = {
    "ArgMax": 0,
    "ArgMin": 0,
    "Hardmax": -1,
    "LogSoftmax": -1,
    "LpNormalization": -1,
    "Softmax": -1,
    "TopK": -1,
}
"""Operators that look along one axis, with its default in the newest opset."""

_WHOLE: Final = frozenset({"DynamicQuantizeLinear", "NonZero", "Unique"})
"""Operators that look at a tensor as a whole."""

Dims = list[str | int | None]


def find_meeting(model: ModelProto) -> str:
    """Return where rows are taken together, as a reason; empty if nothing of the kind is seen."""
    if model.ByteSize() > _MAX_BYTES:
        return ""
    named = ModelProto()
    named.CopyFrom(model)
    constants = {tensor.name for tensor in named.graph.initializer}
    for value in named.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_param = _ROWS
    inferred = infer(named)
    shapes = {value.name: dims for value in _values(inferred.graph) if (dims := _dims(value)) is not None}
    numbers = {tensor.name: tensor for tensor in inferred.graph.initializer}
    numbers |= {node.output[0]: tensor for node in inferred.graph.node if (tensor := _constant(node)) is not None}
    for node in inferred.graph.node:
        if _rows_meet(node, shapes, numbers):
            return f"{node.op_type} takes the rows together"
    return ""


def _rows_meet(node: NodeProto, shapes: Mapping[str, Dims], numbers: Mapping[str, onnx.TensorProto]) -> bool:
    dims = shapes.get(node.input[0]) if node.input else None
    if node.domain not in ("", "ai.onnx") or dims is None:
        return False
    if node.op_type in _WHOLE:
        return _ROWS in dims
    if node.op_type == "BatchNormalization":
        return _attribute(node, "training_mode", 0) == 1
    if node.op_type in ("MatMul", "Gemm"):
        return _multiplies_rows(node, dims, shapes.get(node.input[1]))
    return any(-len(dims) <= axis < len(dims) and dims[axis] == _ROWS for axis in _axes(node, dims, numbers))


def _multiplies_rows(node: NodeProto, left: Dims, right: Dims | None) -> bool:
    """Return whether the dimension that is summed over is that of the rows, on either side."""
    inner = left[0] if _attribute(node, "transA", 0) else left[-1] if left else None
    if inner == _ROWS:
        return True
    if right is None or not right:
        return False
    is_turned = node.op_type == "Gemm" and _attribute(node, "transB", 0)
    return (right[-1] if is_turned or len(right) == 1 else right[-2]) == _ROWS


def _axes(node: NodeProto, dims: Dims, numbers: Mapping[str, onnx.TensorProto]) -> list[int]:
    """Return the axes that a node looks along; none where it does not, or where they are not known."""
    if node.op_type in _REDUCTIONS:
        given = next((list(item.ints) for item in node.attribute if item.name == "axes"), None)
        if given is None and len(node.input) > 1 and node.input[1]:
            tensor = numbers.get(node.input[1])
            return [] if tensor is None else [int(axis) for axis in numpy_helper.to_array(tensor).ravel()]
        if given is None and _attribute(node, "noop_with_empty_axes", 0):
            return []
        return list(range(len(dims))) if given is None else given
    if node.op_type in _ALONG_AXIS:
        return [_attribute(node, "axis", _ALONG_AXIS[node.op_type])]
    if node.op_type == "CumSum" and len(node.input) > 1 and node.input[1] in numbers:
        return [int(numpy_helper.to_array(numbers[node.input[1]]).ravel()[0])]
    return []


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((int(item.i) for item in node.attribute if item.name == name), default)


def _constant(node: NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant" or not node.output:
        return None
    return next((item.t for item in node.attribute if item.name == "value"), None)


def _values(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.value_info
    yield from graph.output


def _dims(value: onnx.ValueInfoProto) -> Dims | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_param or (dim.dim_value if dim.HasField("dim_value") else None) for dim in tensor.shape.dim]
