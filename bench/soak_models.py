"""Six perceptrons in a few versions each, and what the runtime itself answers to each input."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LAYERS = (256, 1024, 512, 10)
MODEL_COUNT = 6
INPUT_COUNT = 12

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakVersion:
    """One version before it is registered."""

    model: str
    number: int
    path: Path
    digest: str
    answers: tuple[bytes, ...]
    """For each input the bytes of the float32 output, from a plain session of one thread in this process."""


def make_inputs() -> list[Rows]:
    """Return inputs of one to four rows."""
    random = np.random.default_rng(7)
    return [random.standard_normal((1 + index % 4, LAYERS[0]), np.float32) for index in range(INPUT_COUNT)]


def make_versions(folder: Path, inputs: Sequence[Rows], *, version_count: int = 2) -> list[SoakVersion]:
    """Write six models of a few MB in so many versions, and compute all their answers."""
    made = []
    for model in range(MODEL_COUNT):
        for number in range(1, version_count + 1):
            path = folder / f"soak-{model}-{number}.onnx"
            content = perceptron(10 * model + number, LAYERS)
            path.write_bytes(content)
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            made.append(
                SoakVersion(
                    model=f"soak-{model}", number=number, path=path, digest=digest, answers=answers_of(path, inputs)
                )
            )
    return made


def perceptron(seed: int, layers: Sequence[int]) -> bytes:
    """Return a model of fully connected layers of so many neurons, the first of them the input's."""
    random = np.random.default_rng(seed)
    nodes, weights, value = [], [], "x"
    for layer, (rows, columns) in enumerate(itertools.pairwise(layers)):
        weight = random.standard_normal((rows, columns), np.float32) / np.float32(rows) ** np.float32(0.5)
        weights.append(numpy_helper.from_array(weight, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [f"h{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"h{layer}"], [f"t{layer}"]))
        value = f"t{layer}"
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", layers[0]))],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ("batch", layers[-1]))],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def answers_of(path: Path, inputs: Sequence[Rows]) -> tuple[bytes, ...]:
    """Return the bytes of the outputs that a plain session of one thread gives for these inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return tuple(session.run(None, {"x": rows})[0].tobytes() for rows in inputs)
