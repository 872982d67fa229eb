"""Models whose every answer is one number: which model and which version has answered can be told by it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bench.replicas_world import Uploaded

ROW = {"inputs": {"x": [[0.25, 0.5, 0.75, 1.0]]}}
"""What all of them are asked."""
VERSIONS_EACH = 1000
"""More than any model has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Names of models and how many versions each has; the order gives each its numbers."""

    version_counts: dict[str, int]

    def answer(self, model: str, version: int) -> float:
        """Return what this version answers, whatever it is asked."""
        return float(VERSIONS_EACH * (list(self.version_counts).index(model) + 1) + version)

    def uploads(self) -> Sequence[Uploaded]:
        return [
            Uploaded(name=name, contents=[constant(self.answer(name, number + 1)) for number in range(count)])
            for name, count in self.version_counts.items()
        ]


def constant(value: float) -> bytes:
    """Return a model that answers ``value`` for each row of four numbers."""
    weights = [
        numpy_helper.from_array(np.zeros((4, 1), np.float32), "w"),
        numpy_helper.from_array(np.array([value], np.float32), "b"),
    ]
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 1))],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
