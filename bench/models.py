"""The three models of the comparison, and questions about them with the runtime's own answers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, save_model

from bench.servers import CACHE, ROOT

QUESTION_COUNT = 16
OPSET = 21
IR_VERSION = 10

Outputs = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """One row, and what the runtime in this process answers: a plain session of the file, one thread."""

    x: np.ndarray[Any, Any]
    outputs: Outputs


@dataclass(frozen=True)
class BenchModel:
    """One input ``x`` of float32 with the batch first; float32 or int64 outputs."""

    name: str
    title: str
    row_shape: tuple[int, ...]
    build: Callable[[], ModelProto] | None
    """Makes the model; None where the file is one of the examples."""
    low: float = -1.0
    high: float = 1.0

    @cached_property
    def path(self) -> Path:
        """The file, made when it is first asked for."""
        if self.build is None:
            return ROOT / "examples" / "iris_forest.onnx"
        path = CACHE / "models" / f"{self.name}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(self.build(), path)
        return path

    @cached_property
    def questions(self) -> list[Question]:
        """Seeded, and all different: an answer that belongs to somebody else is noticed. Four decimals each."""
        random = np.random.default_rng(7)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        rows = [
            random.uniform(self.low, self.high, size=(1, *self.row_shape)).round(4).astype(np.float32)
            for _ in range(QUESTION_COUNT)
        ]
        return [Question(x, dict(zip(names, session.run(names, {"x": x}), strict=True))) for x in rows]


def perceptron() -> ModelProto:
    """Return 128-512-512-512-10: Gemm and Relu, 2.4 MB of weights from a fixed seed."""
    sizes = (128, 512, 512, 512, 10)
    random = np.random.default_rng(1)
    weights: list[TensorProto] = []
    nodes: list[NodeProto] = []
    value = "x"
    for layer, (wide, narrow) in enumerate(pairwise(sizes)):
        weights.append(_weights(f"w{layer}", random, (wide, narrow), wide))
        weights.append(_weights(f"b{layer}", random, (narrow,), wide))
        is_last = layer == len(sizes) - 2
        result = "scores" if is_last else f"h{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [result]))
        value = result
        if not is_last:
            value = f"r{layer}"
            nodes.append(helper.make_node("Relu", [result], [value]))
    return _model(nodes, weights, (sizes[0],), sizes[-1])


def convnet() -> ModelProto:
    """Return a residual net for pictures of 32 x 32: seven 3 x 3 convolutions, the pooled channels, one Gemm."""
    random = np.random.default_rng(2)
    weights: list[TensorProto] = []
    nodes: list[NodeProto] = []

    def convolve(value: str, channels: tuple[int, int], stride: int = 1) -> str:
        name = f"c{len(nodes)}"
        weights.append(_weights(f"{name}w", random, (channels[1], channels[0], 3, 3), channels[0] * 9))
        weights.append(_weights(f"{name}b", random, (channels[1],), channels[0] * 9))
        inputs = [value, f"{name}w", f"{name}b"]
        nodes.append(helper.make_node("Conv", inputs, [name], pads=[1, 1, 1, 1], strides=[stride, stride]))
        return name

    def then(operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}{len(nodes)}"
        nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    value = then("Relu", convolve("x", (3, 32)))
    for wide, narrow in ((32, 32), (32, 64), (64, 128)):
        stride = 1 if wide == narrow else 2
        first = then("Relu", convolve(value, (wide, narrow), stride))
        second = convolve(first, (narrow, narrow))
        value = then("Relu", then("Add", second, value) if wide == narrow else second)
    pooled = then("Flatten", then("GlobalAveragePool", value), axis=1)
    weights += [_weights("w", random, (128, 10), 128), _weights("b", random, (10,), 128)]
    nodes.append(helper.make_node("Gemm", [pooled, "w", "b"], ["scores"]))
    return _model(nodes, weights, (3, 32, 32), 10)


def _weights(name: str, random: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> TensorProto:
    return numpy_helper.from_array(random.normal(size=shape, scale=(2 / fan_in) ** 0.5).astype(np.float32), name)


def _model(nodes: list[NodeProto], weights: list[TensorProto], row_shape: tuple[int, ...], classes: int) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *row_shape])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", classes])],
        weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="bench")


TINY = BenchModel("tiny", "random forest of 25 trees on four numbers", (4,), None, low=0.1, high=7.0)
PERCEPTRON = BenchModel("perceptron", "perceptron 128-512-512-512-10", (128,), perceptron)
CONVNET = BenchModel("convnet", "residual net on pictures of 3 x 32 x 32", (3, 32, 32), convnet)
MODELS = (TINY, PERCEPTRON, CONVNET)


def by_name(names: list[str] | None) -> Iterator[BenchModel]:
    """Yield the models that are named, all where none is."""
    return (model for model in MODELS if not names or model.name in names)
