"""One small model of each kind that runtimes have trouble with when they write what they have optimised."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper, numpy_helper

from tests.support.models import initializer, model, value

Array = np.ndarray[Any, Any]

_RANDOM = np.random.default_rng(5)
WEIGHTS: Array = _RANDOM.normal(size=(64, 64)).astype(np.float32)
_FEW: Array = np.where(_RANDOM.random((64, 64)) < 0.1, WEIGHTS, 0).astype(np.float32)
_BYTES: Array = np.round(WEIGHTS * 30).clip(-127, 127).astype(np.int8)

X, Y = value("x", shape=("batch", 64)), value("y", shape=("batch", 64))
_STEP = np.float32(1 / 30)
_MS, _ML, _OWN = {"com.microsoft": 1}, {"ai.onnx.ml": 3}, {"own": 1}


def node(operator: str, inputs: str, output: str = "y", **attributes: Any) -> NodeProto:
    """A node; names of inputs stand in one text."""
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def sparse(array: Array, *, is_flat: bool = False) -> SparseTensorProto:
    """A tensor ``w`` of which only what is not zero is stored."""
    places = np.flatnonzero(array) if is_flat else np.argwhere(array)
    values = initializer("w", array[array != 0])
    return helper.make_sparse_tensor(values, initializer("places", places.astype(np.int64)), array.shape)


def _plain(*nodes: NodeProto, opsets: Mapping[str, int] | None = None, **constants: Any) -> ModelProto:
    made = [array if isinstance(array, TensorProto) else initializer(name, array) for name, array in constants.items()]
    return model(nodes, [X], [Y], initializers=made, opsets=opsets)


def _with_sparse(made: ModelProto, tensor: SparseTensorProto) -> ModelProto:
    made.graph.sparse_initializer.append(tensor)
    return made


def _sparse_constant() -> ModelProto:
    return _plain(helper.make_node("Constant", [], ["w"], sparse_value=sparse(_FEW)), node("MatMul", "x w"))


def _if(then_branch: GraphProto, else_branch: GraphProto) -> list[NodeProto]:
    return [
        node("ReduceMax", "x", "most", keepdims=0),
        node("Cast", "most", "is_any", to=TensorProto.BOOL),
        node("If", "is_any", then_branch=then_branch, else_branch=else_branch),
    ]


def _branch(output: str, nodes: Sequence[NodeProto] = (), **constants: Any) -> GraphProto:
    made = [initializer(name, array) for name, array in constants.items()]
    return helper.make_graph(nodes or [node("MatMul", "x w", output)], "b", [], [value(output, shape=None)], made)


def _sparse_in_branch() -> ModelProto:
    branch = _branch("few")
    branch.sparse_initializer.append(sparse(_FEW))
    return _plain(*_if(branch, _branch("many", w=WEIGHTS)))


def _loop() -> ModelProto:
    body = helper.make_graph(
        [node("MatMul", "state w", "next"), node("Identity", "go", "go_on")],
        "body",
        [value("trip", "int64", ()), value("go", "bool", ()), value("state", shape=("batch", 64))],
        [value("go_on", "bool", ()), value("next", shape=("batch", 64))],
        [initializer("w", WEIGHTS)],
    )
    return _plain(helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body), trips=np.array(3))


def _function(*nodes: NodeProto, inputs: str = "x w") -> ModelProto:
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "f", inputs.split(), ["y"], nodes, imports)
    constants = [initializer("w", WEIGHTS)] if "w" in inputs else []
    return model([node("f", inputs, domain="own")], [X], [Y], initializers=constants, functions=[function], opsets=_OWN)


def _quantised() -> ModelProto:
    zero = np.uint8(128)
    nodes = [
        node("QuantizeLinear", "x step zero", "xq"),
        node("DequantizeLinear", "xq step zero", "xf"),
        node("DequantizeLinear", "w step", "wf"),
        node("MatMul", "xf wf"),
    ]
    return _plain(*nodes, w=_BYTES, step=_STEP, zero=zero)


def _integers() -> ModelProto:
    nodes = [
        node("QuantizeLinear", "x step zero", "xq"),
        node("QLinearMatMul", "xq step zero w step none step zero", "yq"),
        node("DequantizeLinear", "yq step zero"),
    ]
    return _plain(*nodes, w=_BYTES, step=_STEP, zero=np.uint8(128), none=np.int8(0))


def _four_bits() -> ModelProto:
    packed = _RANDOM.integers(0, 256, (64, 2, 16)).astype(np.uint8)
    product = node("MatMulNBits", "x w scales", domain="com.microsoft", K=64, N=64, bits=4, block_size=32)
    return _plain(product, w=packed, scales=np.abs(WEIGHTS[:2]).ravel(), opsets=_MS)


def _int4() -> ModelProto:
    weights = helper.make_tensor("w", TensorProto.INT4, [64, 64], (np.arange(4096) % 15 - 7).tolist())
    nodes = [node("DequantizeLinear", "w scales", "wf", axis=0, block_size=32), node("MatMul", "x wf")]
    made = _plain(*nodes, w=weights, scales=np.abs(WEIGHTS[:2]), opsets={"": 21})
    made.ir_version = 10
    return made


def _bfloat16() -> ModelProto:
    weights = helper.make_tensor("w", TensorProto.BFLOAT16, [64, 64], WEIGHTS.ravel().tolist())
    return _plain(node("Cast", "w", "wf", to=TensorProto.FLOAT), node("MatMul", "x wf"), w=weights)


def _float16() -> ModelProto:
    nodes = [
        node("Cast", "x", "xh", to=TensorProto.FLOAT16),
        node("MatMul", "xh w", "yh"),
        node("Cast", "yh", to=TensorProto.FLOAT),
    ]
    return _plain(*nodes, w=WEIGHTS.astype(np.float16))


def _scaler() -> ModelProto:
    attributes = {"offset": [0.5] * 64, "scale": WEIGHTS[0].tolist()}
    return _plain(helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", **attributes), opsets=_ML)


def _texts() -> ModelProto:
    texts = helper.make_tensor("texts", TensorProto.STRING, [300], [f"text {number}" for number in range(300)])
    names = [value("x", "int64")], [value("y", "string")]
    return model([node("Gather", "texts x")], *names, initializers=[texts])


def overridable(*nodes: NodeProto, rank: int = 2, **defaults: Any) -> ModelProto:
    """Float32 x -> y, with optional inputs of these defaults."""
    x, y = value("x", shape=("batch", *(8,) * (rank - 1))), value("y", shape=None)
    constants = [initializer(name, array) for name, array in defaults.items()]
    optional = [helper.make_tensor_value_info(made.name, made.data_type, made.dims) for made in constants]
    return model(nodes, [x, *optional], [y], initializers=constants)


def _norm() -> ModelProto:
    product = node("MatMul", "x w", "t")
    norm = node("BatchNormalization", "t scale bias mean var")
    rows = {name: np.abs(WEIGHTS[place, :8]) for place, name in enumerate(("scale", "bias", "mean", "var"))}
    return overridable(product, norm, w=WEIGHTS[:8, :8], **rows)


def _choice() -> ModelProto:
    branches = [_branch("p", [node("Relu", "x", "p")]), _branch("q", [node("Neg", "x", "q")])]
    return overridable(
        helper.make_node("If", ["k"], ["y"], then_branch=branches[0], else_branch=branches[1]), k=np.array(True)
    )


OPTIONAL: Mapping[str, Callable[[], ModelProto]] = {
    "optional weights": lambda: overridable(node("MatMul", "x w"), w=WEIGHTS[:8, :8]),
    "optional norm": _norm,
    "optional bounds": lambda: overridable(node("Clip", "x low high"), low=np.float32(-0.1), high=np.float32(0.2)),
    "optional factor of one": lambda: overridable(node("Mul", "x k"), k=np.ones(1, np.float32)),
    "optional shape": lambda: overridable(node("Reshape", "x k"), k=np.array([-1, 1])),
    "optional condition": _choice,
}
"""Inputs with a default that it would pay to take for granted."""

KINDS: Mapping[str, Callable[[], ModelProto]] = {
    "sparse": lambda: _with_sparse(_plain(node("MatMul", "x w")), sparse(_FEW)),
    "sparse with flat places": lambda: _with_sparse(_plain(node("MatMul", "x w")), sparse(_FEW, is_flat=True)),
    "sparse constant": _sparse_constant,
    "sparse in a branch": _sparse_in_branch,
    "function": lambda: _function(node("MatMul", "x w", "t"), node("Relu", "t")),
    "function with weights": lambda: _function(
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHTS)),
        node("MatMul", "x w"),
        inputs="x",
    ),
    "function with branches": lambda: _function(*_if(_branch("p"), _branch("q", [node("Relu", "x", "q")]))),
    "branches with weights": lambda: _plain(*_if(_branch("p", w=WEIGHTS), _branch("q", w=WEIGHTS + 1))),
    "loop with weights": _loop,
    "ai.onnx.ml": _scaler,
    "com.microsoft": lambda: _plain(
        node("FusedGemm", "x w c", domain="com.microsoft", activation="Relu"), w=WEIGHTS, c=WEIGHTS[0], opsets=_MS
    ),
    "float16": _float16,
    "bfloat16": _bfloat16,
    "quantise and dequantise": _quantised,
    "integer product": _integers,
    "four bits in blocks": _four_bits,
    "int4": _int4,
    "texts": _texts,
}
"""All else that is prepared."""
