"""Whether the time of a run follows from the sizes of its inputs.

1. It does not in a graph with a loop, or with an operator that works until something happens.
2. It does not where the size of a value follows from what is in an input, not only from how large the input is: then a
   request of forty bytes may ask for a thousand million elements.
3. Everything that depends on an input is followed forward, except through Shape and Size, which see only how large it
   is; if it arrives where an operator takes a size from, rule 2 applies. A function's body is followed once, for all
   its calls together. In doubt the answer is no: that costs a thread, the other mistake a worker.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import onnx

_ENDLESS: Final = frozenset({"Loop", "Scan", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"})

_BLIND: Final = frozenset({"Shape", "Size"})
"""Operators whose outputs depend on how large their inputs are, and on nothing else."""

_SIZES: Final[Mapping[str, tuple[int, ...]]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "CropAndResize": (3,),
    "DFT": (1,),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "ImageDecoder": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "Tile": (1, 2),
    "Upsample": (1,),
}
"""By operator, which of its inputs say how large its output is."""

_Vertex: TypeAlias = tuple[str, str] | int
"""A value, as the scope that names are unique in and its name; or a node, by its number."""


def is_bounded(model: onnx.ModelProto) -> bool:
    """Return whether the time of a run follows from the sizes of the model's inputs."""
    return _Flow(model).is_bounded()


class _Flow:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self._scopes = {key: f"{index}" for index, key in enumerate(self._functions)}
        self._edges: dict[_Vertex, list[_Vertex]] = defaultdict(list)
        self._sizes: set[_Vertex] = set()
        self._has_endless = False
        self._nodes = 0
        for key, function in self._functions.items():
            self._add_nodes(function.node, self._scopes[key])
        self._add_nodes(model.graph.node, "")
        constants = {tensor.name for tensor in model.graph.initializer} if model.ir_version < 4 else set()  # noqa: PLR2004 - from 4 on, a default may be overridden
        self._inputs: list[_Vertex] = [("", value.name) for value in model.graph.input if value.name not in constants]

    def is_bounded(self) -> bool:
        if self._has_endless:
            return False
        reached, frontier = set(self._inputs), list(self._inputs)
        while frontier:
            for vertex in self._edges.get(frontier.pop(), ()):
                if vertex not in reached:
                    reached.add(vertex)
                    frontier.append(vertex)
        return reached.isdisjoint(self._sizes)

    def _add_nodes(self, nodes: Iterable[onnx.NodeProto], scope: str) -> None:
        for node in nodes:
            self._nodes += 1
            self._has_endless |= node.op_type in _ENDLESS
            self._sizes.update(
                (scope, node.input[place])
                for place in _SIZES.get(node.op_type, ())
                if place < len(node.input) and node.input[place]
            )
            if node.op_type not in _BLIND:
                self._connect(node, scope)

    def _connect(self, node: onnx.NodeProto, scope: str) -> None:
        key = (node.domain, node.op_type, node.overload)
        if key in self._functions:
            self._connect_call(node, key, scope)
            return
        here = self._nodes
        for name in filter(None, node.input):
            self._edges[scope, name].append(here)
        self._edges[here].extend((scope, name) for name in node.output if name)
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                self._add_graph(graph, here, scope)

    def _add_graph(self, graph: onnx.GraphProto, node: int, scope: str) -> None:
        """Connect a subgraph, whose names are unique in the scope that it sees."""
        self._edges[node].extend((scope, value.name) for value in graph.input)
        for value in graph.output:
            self._edges[scope, value.name].append(node)
        self._add_nodes(graph.node, scope)

    def _connect_call(self, node: onnx.NodeProto, key: tuple[str, str, str], scope: str) -> None:
        function, inside = self._functions[key], self._scopes[key]
        for name, formal in zip(node.input, function.input, strict=False):
            if name:
                self._edges[scope, name].append((inside, formal))
        for formal, name in zip(function.output, node.output, strict=False):
            if name:
                self._edges[inside, formal].append((scope, name))
