"""Write a model of three nodes by hand: it blends two tables of numbers.

    python examples/make_blend.py [FOLDER]

writes ``blend.onnx``:

    a, b: float32[batch, features]      must agree in both dimensions
    share: float32[], optional          how much of ``a``; the graph's own default is 0.5
    blended: float32[batch, features]   share * a + (1 - share) * b

Needs onnx, which the gateway brings along.
"""

import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

FILE_NAME = "blend.onnx"


def main(folder: Path) -> None:
    """Write the model into ``folder``."""
    (folder / FILE_NAME).write_bytes(build().SerializeToString(deterministic=True))


def build() -> onnx.ModelProto:
    """Return the model: b + share * (a - b)."""
    table = ("batch", "features")
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["a", "b"], ["difference"]),
            helper.make_node("Mul", ["share", "difference"], ["part"]),
            helper.make_node("Add", ["b", "part"], ["blended"]),
        ],
        "blend",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, table),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, table),
            # An initializer of the same name makes an input optional.
            helper.make_tensor_value_info("share", TensorProto.FLOAT, ()),
        ],
        [helper.make_tensor_value_info("blended", TensorProto.FLOAT, table)],
        [helper.make_tensor("share", TensorProto.FLOAT, (), [0.5])],
    )
    model = helper.make_model(
        graph,
        producer_name="make_blend.py",
        doc_string="Blends two tables of numbers",
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
