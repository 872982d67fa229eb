"""ONNX's own inference of shapes, on strangers' graphs: what it cannot take is not shown to it.

1. It follows shapes through operators, and numbers that say shapes through those few that it computes itself.
2. Some operators kill its process if the type of what they take is unknown, as after an operator that only the runtime
   knows.
3. Numbers are kept one by one, whoever they are for: three ``Concat`` of a thousand of them, one with thirty thousand
   inputs, took 8 GB and half a minute. So the operators of a graph may keep ``MOST_NUMBERS`` together, and none says a
   shape of more than ``MOST_DIMENSIONS``. What a function takes is not known, so nothing is joined there.
4. What is not shown has another name then, which no operator has: inference loses sight of what comes after it.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from math import prod
from typing import Final

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, shape_inference

MOST_NUMBERS: Final = 500_000
"""Some 70 bytes each, and as many as any graph that says shapes has."""

_DEADLY: Final = frozenset({"DictVectorizer", "EyeLike", "LabelEncoder", "RegexFullMatch", "TreeEnsemble"})
"""Operators whose inference kills the process where their first input has no type (onnx 1.23; all have been asked)."""
MOST_DIMENSIONS: Final = 256
"""In a shape that is said; what a ``Shape`` gives is taken for a quarter of it."""

_SHAPES: Final = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Unsqueeze": 1}
"""Which input of these says a shape, or where it has new dimensions."""
_COMPUTED: Final = frozenset({"Add", "Cast", "Mul", "Slice", "Squeeze", "Sub", "Unsqueeze"})
"""Operators of rule 1 that give no more numbers than the longest of their inputs has."""
_UNSEEN: Final = " unseen"


def infer(model: ModelProto) -> ModelProto:
    """Return the model with what is known of its values' shapes; changes the names of operators in what it is given.

    Raises:
        Exception: the library raises whatever it likes.
    """
    _hide_deadly(model)
    _Numbers(model).hide()
    return shape_inference.infer_shapes(model, check_type=False, strict_mode=False, data_prop=True)


def _hide_deadly(model: ModelProto) -> None:
    """Rename what rule 2 says."""
    typed = {value.name for value in model.graph.input if value.HasField("type")}
    typed |= {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        _hide_deadly_node(node, typed)
    for function in model.functions:
        for node in function.node:
            _hide_deadly_node(node, frozenset())


def _hide_deadly_node(node: NodeProto, typed: AbstractSet[str]) -> None:
    if node.op_type in _DEADLY and not (node.input and node.input[0] in typed):
        node.op_type += _UNSEEN
    for graph in _branches(node):
        for inner in graph.node:
            _hide_deadly_node(inner, frozenset())  # a name may be another value's there


class _Numbers:
    """How many numbers inference would keep of each value, at most (rule 3)."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._kept = 0

    def hide(self) -> None:
        """Rename what would keep too many."""
        self._hide_in(self._model.graph, {})
        for function in self._model.functions:
            for node in function.node:
                if node.op_type == "Concat":
                    node.op_type += _UNSEEN

    def _hide_in(self, graph: GraphProto, outer: MutableMapping[str, int]) -> None:
        counts = ChainMap(dict[str, int](), outer)
        counts.update({value.name: 0 for value in graph.input})
        counts.update({tensor.name: _length(tensor) for tensor in graph.initializer})
        for node in graph.node:
            for branch in _branches(node):
                self._hide_in(branch, counts)
            count = self._count(node, [counts.get(name, 0) for name in node.input])
            self._kept += 0 if node.op_type == "Constant" else count
            if self._kept > MOST_NUMBERS or _says_too_much(node, counts):
                node.op_type, count = node.op_type + _UNSEEN, 0
            counts.update(dict.fromkeys(node.output, count))

    def _count(self, node: NodeProto, parts: list[int]) -> int:
        """Return how many numbers a node gives; an operator knows none where one of its inputs has none."""
        match node.op_type:
            case "Shape":
                return MOST_DIMENSIONS // 4
            case "Gather":
                return parts[1] if len(parts) > 1 and all(parts) else 0
            case "Size":
                return 1
            case "Constant":
                return max((_length(item.t) + len(item.ints) + 1 for item in node.attribute), default=0)
            case "Concat":
                return sum(parts) if all(parts) else 0
            case _:
                return max(parts, default=0) if node.op_type in _COMPUTED and all(parts) else 0


def _says_too_much(node: NodeProto, counts: Mapping[str, int]) -> bool:
    """Tell whether an operator says a shape of more dimensions than anything has."""
    place = _SHAPES.get(node.op_type)
    if place is None:
        return False
    said = [counts.get(name, 0) for name in node.input[place : place + 1]] + [len(item.ints) for item in node.attribute]
    return max(said, default=0) > MOST_DIMENSIONS


def _length(tensor: TensorProto) -> int:
    """Return how many numbers a list or a single number has; inference keeps none of others."""
    return prod(tensor.dims) if len(tensor.dims) <= 1 else 0


def _branches(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
