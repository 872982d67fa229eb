"""Which graphs make more of a small input than anybody would think, by their own numbers."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from registry.inspection.growth import grows
from tests.hostile_set.growth import constant, doubled
from tests.support import models


def graph(*nodes: NodeProto, opset: int = 21, **constants: object) -> ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    made = helper.make_graph(list(nodes), "g", [x], [y], initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])


def tiled(times: int, repeats: int) -> ModelProto:
    names = ["x", *(f"t{step}" for step in range(1, times)), "y"]
    nodes = [helper.make_node("Tile", [before, "r"], [after]) for before, after in pairwise(names)]
    return graph(*nodes, r=[repeats])


def densely_joined(layers: int) -> ModelProto:
    """Each layer's features beside all before, as in a dense convolutional network."""
    nodes, joined = [], "x"
    for layer in range(layers):
        nodes.append(helper.make_node("Conv", [joined, "w"], [f"c{layer}"]))
        nodes.append(helper.make_node("Concat", [joined, f"c{layer}"], [f"j{layer}"], axis=1))
        joined = f"j{layer}"
    return graph(*nodes, helper.make_node("Relu", [joined], ["y"]))


def branch_that_makes(size: int) -> ModelProto:
    y = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n"])
    sizes = numpy_helper.from_array(np.asarray([size]), "s")
    inner = helper.make_graph([helper.make_node("ConstantOfShape", ["s"], ["b"])], "b", [], [y], [sizes])
    return graph(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner), c=[True])


def said_by_a_node(size: int) -> ModelProto:
    return graph(
        helper.make_node("Constant", [], ["s"], value_ints=[size]), helper.make_node("ConstantOfShape", ["s"], ["y"])
    )


def size_through(*nodes: NodeProto) -> ModelProto:
    return graph(*nodes, helper.make_node("ConstantOfShape", ["t"], ["y"]), s=[1 << 34], one=[1])


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(partial(constant, [3 << 28]), True, id="a constant of 3 GiB"),
        pytest.param(partial(constant, [1 << 20]), False, id="a constant of 4 MiB"),
        pytest.param(partial(said_by_a_node, 1 << 40), True, id="a size that a node says"),
        pytest.param(partial(said_by_a_node, 1 << 10), False, id="a small size that a node says"),
        pytest.param(partial(branch_that_makes, 1 << 40), True, id="in a branch"),
        pytest.param(partial(branch_that_makes, 1 << 10), False, id="in a branch, small"),
        pytest.param(partial(size_through, helper.make_node("Identity", ["s"], ["t"])), True, id="a size passed on"),
        pytest.param(
            partial(size_through, helper.make_node("Concat", ["one", "s"], ["t"], axis=0)), True, id="a size of parts"
        ),
        pytest.param(
            partial(size_through, helper.make_node("Identity", ["one"], ["t"])), False, id="a small size passed on"
        ),
        pytest.param(
            partial(graph, helper.make_node("Constant", [], [], value_ints=[1])), False, id="a constant for nobody"
        ),
        pytest.param(partial(doubled, 40), True, id="doubled 40 times"),
        pytest.param(partial(doubled, 4), False, id="doubled 4 times"),
        pytest.param(partial(tiled, 3, 1000), True, id="a thousand times a thousand times a thousand"),
        pytest.param(partial(tiled, 1, 1000), False, id="a thousand times"),
        pytest.param(partial(densely_joined, 60), False, id="layers that are joined with all before"),
        pytest.param(partial(models.linear), False, id="a linear model"),
    ],
)
def test_a_graph_grows_by_its_constants_and_by_what_it_joins_with_itself(
    build: partial[ModelProto],
    expected: bool,  # noqa: FBT001 - the table's column
) -> None:
    assert grows(build()) is expected
