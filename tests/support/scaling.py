"""The smallest models that still say which version answered: ``y = x * factor``."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper


def scaling_model(factor: float, *, dtype: str = "float32", width: int = 4, output: str = "y") -> ModelProto:
    """Return a model with the input ``x`` [batch, width] and one output of the same shape."""
    weight = numpy_helper.from_array(np.full(width, factor, dtype), "factor")
    shape = ["batch", width]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], [output])],
        "scaling",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info(output, element, shape)],
        initializer=[weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def scaling_bytes(factor: float, *, dtype: str = "float32", width: int = 4, output: str = "y") -> bytes:
    """Return the file of ``scaling_model``."""
    return scaling_model(factor, dtype=dtype, width=width, output=output).SerializeToString()


def write_two_files(folder: Path, factor: float, *, width: int = 512) -> tuple[Path, Path]:
    """Write a scaling model whose factor lies in a file of its own; return both paths."""
    model = scaling_model(factor, width=width)
    onnx.save(model, folder / "big.onnx", save_as_external_data=True, location="big.onnx.data", size_threshold=0)
    return folder / "big.onnx", folder / "big.onnx.data"


def string_model() -> bytes:
    """Return a model that gives back its text: input ``text`` [n], output ``same`` [n]."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["text"], ["same"])],
        "text",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["n"])],
        [helper.make_tensor_value_info("same", TensorProto.STRING, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return model.SerializeToString()
