"""Whether the time of a run follows from the sizes of the inputs."""

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper

from registry.inspection.flow import is_bounded
from tests.support import models


def through(*nodes: NodeProto) -> ModelProto:
    """X [1] and an int64 ``n`` [1], through these nodes, and a constant ``k``."""
    return models.model(
        nodes,
        [models.value("x", shape=(1,)), models.value("n", "int64", (1,))],
        [models.value("y", shape=None)],
        initializers=[models.initializer("k", np.array([3]))],
    )


def in_function(*, blind: bool) -> ModelProto:
    body = [
        helper.make_node("Shape" if blind else "Identity", ["a"], ["s"]),
        helper.make_node("Expand", ["b", "s"], ["z"]),
    ]
    imports = [helper.make_opsetid("", 18)]
    function = helper.make_function("own", "grow", ["a", "b"], ["z"], body, imports)
    source = through(helper.make_node("grow", ["n", "x"], ["y"], domain="own"))
    source.functions.append(function)
    return source


def branch(*, grows: bool) -> ModelProto:
    size = "n" if grows else "k"
    then = helper.make_graph([helper.make_node("Expand", ["x", size], ["t"])], "then", [], [models.value("t")])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["e"])], "else", [], [models.value("e")])
    return through(
        helper.make_node("Cast", ["n"], ["c"], to=9),
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(models.linear(), True, id="no sizes at all"),
        pytest.param(models.loop(trips=3), False, id="a loop"),
        pytest.param(models.expanded_to_request(), False, id="a size from an input"),
        pytest.param(through(helper.make_node("Expand", ["x", "k"], ["y"])), True, id="a constant size"),
        pytest.param(
            through(helper.make_node("Shape", ["n"], ["s"]), helper.make_node("Expand", ["x", "s"], ["y"])),
            True,
            id="the size of an input",
        ),
        pytest.param(
            through(
                helper.make_node("Shape", ["n"], ["s"]),
                helper.make_node("Mul", ["s", "n"], ["t"]),
                helper.make_node("Expand", ["x", "t"], ["y"]),
            ),
            False,
            id="a size times a value",
        ),
        pytest.param(
            through(helper.make_node("Expand", ["x", "t"], ["y"]), helper.make_node("Neg", ["n"], ["t"])),
            False,
            id="nodes out of order",
        ),
        pytest.param(
            through(helper.make_node("Resize", ["x", "", "", "n"], ["y"])), False, id="past inputs that are left out"
        ),
        pytest.param(
            through(helper.make_node("Dropout", ["n"], ["", "m"]), helper.make_node("Resize", ["x", "", "k"], ["y"])),
            True,
            id="an output left out is no input left out",
        ),
        pytest.param(in_function(blind=False), False, id="inside a function"),
        pytest.param(in_function(blind=True), True, id="inside a function, a shape"),
        pytest.param(branch(grows=True), False, id="inside a branch"),
        pytest.param(branch(grows=False), True, id="inside a branch, a constant"),
    ],
)
def test_time_is_bounded_unless_a_value_becomes_a_size(source: ModelProto, expected: bool) -> None:  # noqa: FBT001 - the table's column
    assert is_bounded(source) is expected


def test_an_overridable_default_counts_as_an_input() -> None:
    source = through(helper.make_node("Expand", ["x", "k"], ["y"]))
    source.graph.input.append(models.value("k", "int64", (1,)))
    assert not is_bounded(source)
    source.ir_version = 3
    assert is_bounded(source)
