"""Where a graph takes rows together, as its operators and shapes tell."""

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

from registry.inspection.row_flow import find_meeting
from tests.support.models import initializer, model, value


def one(
    op: str, *more: str, shape: tuple[int | str | None, ...] = ("batch", 4), dtype: str = "float32", **kw: Any
) -> ModelProto:
    """A model of one operator on x; ``more`` are the names of further inputs."""
    constants = {"axes0": np.array([0]), "axes1": np.array([1]), "axis0": np.array(0), "w": np.ones((4, 4), np.float32)}
    node = helper.make_node(op, ["x", *more], ["y"], **kw)
    return model(
        [node],
        [value("x", dtype, shape)],
        [value("y", dtype, None)],
        initializers=[initializer(name, constants[name]) for name in more if name in constants],
    )


def chain(*nodes: NodeProto, **constants: Any) -> ModelProto:
    return model(
        list(nodes),
        [value("x", shape=("batch", 4))],
        [value("y", shape=None)],
        initializers=[initializer(name, array) for name, array in constants.items()],
    )


MEETING: dict[str, tuple[ModelProto, str]] = {
    "a mean over everything": (one("ReduceMean"), "ReduceMean"),
    "a sum over the rows": (one("ReduceSum", "axes0"), "ReduceSum"),
    "a maximum over the rows": (one("ReduceMax", "axes0"), "ReduceMax"),
    "a softmax over the rows": (one("Softmax", axis=0), "Softmax"),
    "a softmax over the rows, counted from the end": (one("Softmax", axis=-2), "Softmax"),
    "a running sum": (one("CumSum", "axis0"), "CumSum"),
    "the best of the rows": (one("ArgMax", axis=0), "ArgMax"),
    "an input without a name for its rows": (one("ReduceMean", shape=(None, 4)), "ReduceMean"),
    "a scale for the whole": (
        chain(helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])),
        "DynamicQuantizeLinear",
    ),
    "rows beside each other, turned": (
        chain(
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
            helper.make_node("Softmax", ["t"], ["y"], axis=1),
        ),
        "Softmax",
    ),
    "rows multiplied with rows": (
        chain(helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]), helper.make_node("MatMul", ["t", "x"], ["y"])),
        "MatMul",
    ),
    "what is missing is the mean of the others": (
        chain(
            helper.make_node("IsNaN", ["x"], ["gone"]),
            helper.make_node("Where", ["gone", "zero", "x"], ["known"]),
            helper.make_node("ReduceMean", ["known", "axes"], ["mean"]),
            helper.make_node("Where", ["gone", "mean", "x"], ["y"]),
            zero=np.float32(0),
            axes=np.array([0]),
        ),
        "ReduceMean",
    ),
}


@pytest.mark.parametrize("name", MEETING)
def test_what_takes_the_rows_together_is_named(name: str) -> None:
    graph, operator = MEETING[name]
    assert find_meeting(graph) == f"{operator} takes the rows together"


APART: dict[str, ModelProto] = {
    "a mean in each row": one("ReduceMean", "axes1"),
    "a softmax in each row": one("Softmax", axis=1),
    "the best in each row": one("ArgMax", axis=1),
    "a product with weights": one("MatMul", "w"),
    "a layer": one("Gemm", "w", transB=1),
    "an operator of each number": one("Relu"),
    "a fixed number of rows": one("ReduceMean", shape=(2, 4)),
    "weights reduced": chain(
        helper.make_node("ReduceMean", ["w", "axes"], ["m"]),
        helper.make_node("Add", ["x", "m"], ["y"]),
        w=np.ones((3, 4), np.float32),
        axes=np.array([0]),
    ),
}


@pytest.mark.parametrize("name", APART)
def test_what_leaves_rows_apart_is_not(name: str) -> None:
    assert find_meeting(APART[name]) == ""
