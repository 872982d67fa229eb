"""Tiny ONNX models, honest and hostile, built in code."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from registry.tensor import DTYPES, Shape

OPSET = 18
IR_VERSION = 9


def value(name: str, dtype: str = "float32", shape: Shape | None = ("batch",)) -> ValueInfoProto:
    """An input or output: integers are fixed, names symbolic, None unknown; no shape at all leaves the rank open."""
    return helper.make_tensor_value_info(name, DTYPES[dtype].onnx_code, None if shape is None else list(shape))


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    *,
    initializers: Sequence[TensorProto] = (),
    functions: Sequence[FunctionProto] = (),
    opsets: Mapping[str, int] | None = None,
) -> ModelProto:
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    imports = {"": OPSET, **(opsets or {})}
    return helper.make_model(
        graph,
        ir_version=IR_VERSION,
        functions=list(functions),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in imports.items()],
        producer_name="tests",
        producer_version="1.0",
    )


def initializer(name: str, array: Any) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def linear(features: int = 4, classes: int = 3, *, seed: int = 0, batch: int | str = "batch") -> ModelProto:
    """Float32 x [batch, features] -> y [batch, classes]: a Gemm with weights from the seed."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=(features, classes)).astype(np.float32)
    return model(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        [value("x", shape=(batch, features))],
        [value("y", shape=(batch, classes))],
        initializers=[initializer("w", weights), initializer("b", np.zeros(classes, np.float32))],
    )


def wide_linear(size: int = 1024, layers: int = 1, *, seed: int = 0) -> ModelProto:
    """Float32 x [batch, size] through square matrices of ``size * size * 4`` bytes each."""
    random = np.random.default_rng(seed)
    weights = [
        initializer(f"w{layer}", random.normal(size=(size, size), scale=size**-0.5).astype(np.float32))
        for layer in range(layers)
    ]
    names = ["x", *(f"h{layer}" for layer in range(1, layers)), "y"]
    nodes = [
        helper.make_node("MatMul", [names[layer], f"w{layer}"], [names[layer + 1]], name=f"n{layer}")
        for layer in range(layers)
    ]
    return model(nodes, [value("x", shape=("batch", size))], [value("y", shape=("batch", size))], initializers=weights)


def deep_conv(layers: int = 4, channels: int = 64) -> ModelProto:
    """Float32 x [batch, 3, 112, 112] -> y [batch, channels]: small, and a run of it takes long."""
    random = np.random.default_rng(0)
    nodes, weights, name, before = [], [], "x", 3
    for layer in range(layers):
        kernel = random.normal(size=(channels, before, 3, 3), scale=(9 * before) ** -0.5).astype(np.float32)
        weights.append(initializer(f"w{layer}", kernel))
        nodes.append(helper.make_node("Conv", [name, f"w{layer}"], [f"c{layer}"], kernel_shape=[3, 3], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        name, before = f"r{layer}", channels
    nodes += [helper.make_node("GlobalAveragePool", [name], ["p"]), helper.make_node("Flatten", ["p"], ["y"])]
    inputs, outputs = [value("x", shape=("batch", 3, 112, 112))], [value("y", shape=("batch", channels))]
    return model(nodes, inputs, outputs, initializers=weights)


def identity(dtype: str = "float32", shape: Shape | None = ("batch",)) -> ModelProto:
    """X of any dtype -> y, the same."""
    return model([helper.make_node("Identity", ["x"], ["y"])], [value("x", dtype, shape)], [value("y", dtype, shape)])


def secretly_mixing(secret: float = 7.0) -> ModelProto:
    """Float32 x [batch] -> y [batch]: x, and one more for every row if any is the secret; not that one could see."""
    return model(
        [
            helper.make_node("Equal", ["x", "secret"], ["is_secret"]),
            helper.make_node("Cast", ["is_secret"], ["ones"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["ones", "flat"], ["flat_ones"]),
            helper.make_node("ReduceMax", ["flat_ones"], ["any"], keepdims=0),
            helper.make_node("Add", ["x", "any"], ["y"]),
        ],
        [value("x")],
        [value("y")],
        initializers=[initializer("secret", np.float32(secret)), initializer("flat", np.array([1, -1]))],
    )


def secretly_growing(secret: float = 7.0) -> ModelProto:
    """Float32 x [batch, 2] -> y [m, 2]: x, and every row that begins with the secret once more; nobody could see it."""
    return model(
        [
            helper.make_node("Gather", ["x", "first"], ["begins"], axis=1),
            helper.make_node("Equal", ["begins", "secret"], ["is_secret"]),
            helper.make_node("Compress", ["x", "is_secret"], ["more"], axis=0),
            helper.make_node("Concat", ["x", "more"], ["y"], axis=0),
        ],
        [value("x", shape=("batch", 2))],
        [value("y", shape=("m", 2))],
        initializers=[initializer("first", np.array(0)), initializer("secret", np.float32(secret))],
    )


def eye_like_the_runtimes_own() -> ModelProto:
    """An identity matrix as wide as what only the runtime's own operator gives: ONNX does not know its type."""
    return model(
        [
            helper.make_node("Gelu", ["x"], ["gelu"], domain="com.microsoft"),
            helper.make_node("EyeLike", ["gelu"], ["y"], dtype=TensorProto.FLOAT),
        ],
        [value("x", shape=("batch", 4))],
        [value("y", shape=("batch", 4))],
        opsets={"com.microsoft": 1},
    )


def scalar_scale() -> ModelProto:
    """Float32 x [batch] and a scalar ``factor`` [] -> y [batch]."""
    return model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])], [value("x"), value("factor", shape=())], [value("y")]
    )


def two_inputs_one_symbol() -> ModelProto:
    """A and b [n] -> sum [n]: the symbol must agree."""
    return model(
        [helper.make_node("Add", ["a", "b"], ["sum"])],
        [value("a", shape=("n",)), value("b", shape=("n",))],
        [value("sum", shape=("n",))],
    )


def optional_bias(default: float = 1.0) -> ModelProto:
    """X [batch] and ``bias`` [1], which has a default -> y [batch]."""
    return model(
        [helper.make_node("Add", ["x", "bias"], ["y"])],
        [value("x"), value("bias", shape=(1,))],
        [value("y")],
        initializers=[initializer("bias", np.array([default], np.float32))],
    )


def string_twice() -> ModelProto:
    """String x [n] -> y [n], each text joined with itself."""
    return model(
        [helper.make_node("StringConcat", ["x", "x"], ["y"])],
        [value("x", "string", ("n",))],
        [value("y", "string", ("n",))],
        opsets={"": 20},
    )


def division(divisor: int, dtype: str = "int64") -> ModelProto:
    """Integer x [batch] divided by a constant; by -1 the smallest integer kills the process, by 0 it is an error."""
    return model(
        [helper.make_node("Div", ["x", "d"], ["y"])],
        [value("x", dtype)],
        [value("y", dtype)],
        initializers=[initializer("d", np.array([divisor], DTYPES[dtype].numpy))],
    )


def loop(*, trips: int | None = None, collects: bool = False, width: int = 1, is_asked: bool = False) -> ModelProto:
    """Float32 x [width] -> y [width], one added ``trips`` times, for ever if None; ``collects`` keeps every step.

    With ``is_asked`` the request says how often: another input is int64 ``trips`` [].
    """
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["value", "one"], ["next"]),
            *([helper.make_node("Identity", ["next"], ["step"])] if collects else []),
        ],
        "body",
        [value("trip", "int64", ()), value("go", "bool", ()), value("value", shape=(width,))],
        [
            value("go_on", "bool", ()),
            value("next", shape=(width,)),
            *([value("step", shape=(width,))] if collects else []),
        ],
        [initializer("one", np.ones(1, np.float32))],
    )
    outputs = ["y", "steps"] if collects else ["y"]
    constants = [initializer("true", np.array(1, np.bool_))]
    constants += [] if trips is None else [initializer("trips", np.array(trips, np.int64))]
    return model(
        [helper.make_node("Loop", ["trips" if is_asked or trips is not None else "", "true", "x"], outputs, body=body)],
        [value("x", shape=(width,)), *([value("trips", "int64", ())] if is_asked else [])],
        [value(name, shape=(width,) if name == "y" else (None, width)) for name in outputs],
        initializers=constants,
    )


def expanded_to_request() -> ModelProto:
    """Float32 x [1] and int64 ``shape`` [rank] -> y: the request says how large the answer is."""
    return model(
        [helper.make_node("Expand", ["x", "shape"], ["y"])],
        [value("x", shape=(1,)), value("shape", "int64", ("rank",))],
        [value("y", shape=None)],
    )


def calls(levels: int, *, fan: int = 2) -> ModelProto:
    """A model of a few bytes whose functions, each calling the previous ``fan`` times, mean ``fan ** levels`` nodes."""
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function("own", "f0", ["a"], ["z"], [helper.make_node("Relu", ["a"], ["z"])], imports),
    ]
    for level in range(1, levels + 1):
        names = ["a", *(f"t{step}" for step in range(1, fan)), "z"]
        nodes = [
            helper.make_node(f"f{level - 1}", [names[step]], [names[step + 1]], domain="own") for step in range(fan)
        ]
        functions.append(helper.make_function("own", f"f{level}", ["a"], ["z"], nodes, imports))
    return model(
        [helper.make_node(f"f{levels}", ["x"], ["y"], domain="own")],
        [value("x")],
        [value("y")],
        functions=functions,
        opsets={"own": 1},
    )


def recursion() -> ModelProto:
    """Two functions that call each other."""
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function("own", name, ["a"], ["z"], [helper.make_node(other, ["a"], ["z"], domain="own")], imports)
        for name, other in (("f", "g"), ("g", "f"))
    ]
    return model(
        [helper.make_node("f", ["x"], ["y"], domain="own")],
        [value("x")],
        [value("y")],
        functions=functions,
        opsets={"own": 1},
    )


def nested_ifs(depth: int) -> ModelProto:
    """Float32 x [batch] -> y, through one If inside the other."""
    branch = _leaf("y")
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=_leaf("z"))
        branch = helper.make_graph([node], "branch", [], [value("y")])
    return model(branch.node, [value("x"), value("c", "bool", ())], [value("y")])


def _leaf(name: str) -> GraphProto:
    return helper.make_graph([helper.make_node("Identity", ["x"], [name])], "leaf", [], [value(name)])


def folded_division() -> ModelProto:
    """The smallest int64 divided by -1, both constants: dies of it whoever folds constants."""
    return model(
        [helper.make_node("Div", ["a", "b"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        [value("x", "int64")],
        [value("y", "int64")],
        initializers=[initializer("a", np.array([-(2**63)])), initializer("b", np.array([-1]))],
    )


def folded_products(count: int, size: int) -> ModelProto:
    """A chain of constant matrix products of a few bytes each: hours of work for whoever folds constants."""
    shape = initializer("shape", np.array([size, size]))
    filled = helper.make_node("ConstantOfShape", ["shape"], ["m0"], value=initializer("v", np.array([0.5], np.float32)))
    products = [helper.make_node("MatMul", [f"m{step}", "m0"], [f"m{step + 1}"]) for step in range(count)]
    return model(
        [filled, *products, helper.make_node("Add", ["x", f"m{count}"], ["y"])],
        [value("x", shape=(1,))],
        [value("y", shape=(size, size))],
        initializers=[shape],
    )


def folded_doubling(times: int) -> ModelProto:
    """One constant joined to itself again and again: gigabytes for whoever folds constants."""
    doublings = [helper.make_node("Concat", [f"v{step}"] * 2, [f"v{step + 1}"], axis=0) for step in range(times)]
    return model(
        [*doublings, helper.make_node("ReduceSum", [f"v{times}"], ["s"]), helper.make_node("Add", ["x", "s"], ["y"])],
        [value("x", shape=(1,))],
        [value("y", shape=(1,))],
        initializers=[initializer("v0", np.ones(1024, np.float32))],
    )


def tree(depth: int) -> ModelProto:
    """A TreeEnsembleRegressor of one tree, a chain of ``depth`` branches with a leaf at each side."""
    branches, leaves = range(depth), range(depth, 2 * depth + 1)
    nodes = [*branches, *leaves]
    attributes: dict[str, Any] = {
        "nodes_treeids": [0] * len(nodes),
        "nodes_nodeids": nodes,
        "nodes_featureids": [0] * len(nodes),
        "nodes_modes": ["BRANCH_LEQ"] * depth + ["LEAF"] * len(leaves),
        "nodes_values": [float(node) for node in nodes],
        "nodes_truenodeids": [depth + branch for branch in branches] + [0] * len(leaves),
        "nodes_falsenodeids": [branch + 1 for branch in range(depth - 1)] + [2 * depth] + [0] * len(leaves),
        "target_treeids": [0] * len(leaves),
        "target_nodeids": list(leaves),
        "target_ids": [0] * len(leaves),
        "target_weights": [1.0] * len(leaves),
        "n_targets": 1,
    }
    return model(
        [helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)],
        [value("x", shape=("batch", 1))],
        [value("y", shape=("batch", 1))],
        opsets={"ai.onnx.ml": 3},
    )


def with_external_data(source: ModelProto, location: str = "model.onnx.data") -> tuple[bytes, bytes]:
    """Move every initialiser of a model into one file; returns the graph's bytes and the file's."""
    moved = ModelProto()
    moved.CopyFrom(source)
    weights = bytearray()
    for tensor in moved.graph.initializer:
        make_external(tensor, location, offset=len(weights), length=len(tensor.raw_data))
        weights += tensor.raw_data
        tensor.ClearField("raw_data")
    return moved.SerializeToString(), bytes(weights)


def make_external(tensor: TensorProto, location: str, **entries: int) -> TensorProto:
    """Say that a tensor's data is elsewhere; leaves what data it has."""
    tensor.data_location = TensorProto.EXTERNAL
    for key, content in {"location": location, **entries}.items():
        entry = onnx.StringStringEntryProto()
        entry.key, entry.value = key, str(content)
        tensor.external_data.append(entry)
    return tensor


def changed(source: onnx.ModelProto, *, by: float) -> onnx.ModelProto:
    """The same model with one weight that is another one."""
    copy = onnx.ModelProto.FromString(source.SerializeToString())
    tensor = copy.graph.initializer[0]
    weights = numpy_helper.to_array(tensor).copy()
    weights[2, 1] += by
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    return copy
