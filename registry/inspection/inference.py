"""ONNX's own inference of shapes, on strangers' graphs: what it cannot take is not shown to it.

1. It follows shapes through operators, and numbers that say shapes through those few that it computes itself.
2. Some operators kill its process if the type of what they take is unknown, as after an operator that only the runtime
   knows.
3. Numbers are kept one by one, whoever they are for: three ``Concat`` of a thousand of them, one with thirty thousand
   inputs, took 8 GB and half a minute. So the operators of a graph may keep ``MOST_NUMBERS`` together, and none may
   give more than ``MOST_DIMENSIONS``: a ``Gather`` of a value by itself nearly doubles them. What a function takes is
   not known, so that no numbers are followed where a model has functions.
4. What is not shown has another name then, which no operator has: inference loses sight of what comes after it.
"""

from collections import ChainMap
from collections.abc import Iterator, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import prod
from typing import Final

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, shape_inference

MOST_NUMBERS: Final = 500_000
"""Some 70 bytes each, and as many as any graph that says shapes has."""

_DEADLY: Final = frozenset({"DictVectorizer", "EyeLike", "LabelEncoder", "RegexFullMatch", "TreeEnsemble"})
"""Operators whose inference kills the process where their first input has no type (onnx 1.23; all have been asked)."""
MOST_DIMENSIONS: Final = 256

_SHAPES: Final = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Unsqueeze": 1}
"""Which input of these says a shape, or where it has new dimensions."""
_COMPUTED: Final = frozenset({"Add", "Cast", "Mul", "Slice", "Squeeze", "Sub", "Unsqueeze"})
"""Operators of rule 1 that give no more numbers than the longest of their inputs has."""
_UNSEEN: Final = " unseen"
_WIDEST: Final = 32
"""Dimensions of what a model may take; what nothing is known of is taken for that."""


def infer(model: ModelProto) -> ModelProto:
    """Return the model with what is known of its values' shapes; changes the names of operators in what it is given.

    Raises:
        Exception: the library raises whatever it likes.
    """
    _hide_deadly(model)
    _Numbers(model).hide()
    follows_numbers = not model.functions
    return shape_inference.infer_shapes(model, check_type=False, strict_mode=False, data_prop=follows_numbers)


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


@dataclass(frozen=True, slots=True)
class _Known:
    """What inference would keep of a value, at most."""

    rank: int
    count: int = 0
    """Of its numbers; 0 where it knows none."""


_UNKNOWN: Final = _Known(_WIDEST)


class _Numbers:
    """How much inference would keep of each value, at most (rule 3)."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._kept = 0

    def hide(self) -> None:
        """Rename what would keep too much."""
        self._hide_in(self._model.graph, {})

    def _hide_in(self, graph: GraphProto, outer: MutableMapping[str, _Known]) -> None:
        known = ChainMap(dict[str, _Known](), outer)
        for value in graph.input:
            tensor = value.type.tensor_type
            known[value.name] = _Known(len(tensor.shape.dim) if tensor.HasField("shape") else _UNKNOWN.rank)
        known.update({tensor.name: _Known(len(tensor.dims), _length(tensor)) for tensor in graph.initializer})
        for node in graph.node:
            for branch in _branches(node):
                self._hide_in(branch, known)
            parts = [known.get(name, _UNKNOWN) for name in node.input]
            found = _Known(_rank(node, parts), _count(node, parts))
            self._kept += 0 if node.op_type == "Constant" else found.count
            if self._kept > MOST_NUMBERS or found.rank > MOST_DIMENSIONS:
                node.op_type, found = node.op_type + _UNSEEN, _UNKNOWN
            known.update(dict.fromkeys(node.output, found))


def _count(node: NodeProto, parts: Sequence[_Known]) -> int:
    """Return how many numbers a node gives; an operator knows none where one of its inputs has none."""
    counts = [part.count for part in parts]
    match node.op_type:
        case "Shape":
            return max((part.rank for part in parts), default=0)
        case "Size":
            return 1
        case "Constant":
            return max((_length(item.t) + len(item.ints) + 1 for item in node.attribute), default=0)
        case _ if all(counts):
            return _joined(node, counts)
        case _:
            return 0


def _joined(node: NodeProto, counts: Sequence[int]) -> int:
    """Return how many numbers a node gives that knows all of its inputs'."""
    if node.op_type == "Concat":
        return sum(counts)
    if node.op_type == "Gather":
        return counts[-1] if counts else 0
    return max(counts, default=0) if node.op_type in _COMPUTED else 0


def _rank(node: NodeProto, parts: Sequence[_Known]) -> int:
    """Return how many dimensions a node's values have."""
    ranks = [part.rank for part in parts]
    said = max((len(item.ints) for item in node.attribute), default=0)
    place = _SHAPES.get(node.op_type)
    if place is not None and place < len(parts):
        said = max(said, parts[place].count)
    match node.op_type:
        case "Gather" | "GatherND":
            return sum(ranks)
        case "OneHot":
            return max(ranks, default=0) + 1
        case "Unsqueeze":
            return max(ranks, default=0) + said
        case "Constant":
            return max((len(item.t.dims) for item in node.attribute), default=1)
        case _ if place is not None:
            return said or _UNKNOWN.rank
        case _:
            return max(ranks, default=_UNKNOWN.rank)


def _length(tensor: TensorProto) -> int:
    """Return how many numbers a list or a single number has; inference keeps none of others."""
    return max(0, prod(tensor.dims)) if len(tensor.dims) <= 1 else 0


def _branches(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
