"""Numbers that no processor divides: the smallest of a type by -1 raises what ends the process, by 0 an error."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from onnx import ModelProto, NodeProto, helper

from tests.hostile_set.case import ANSWERED, FAILED, KILLED, FileCase, feed, refused, taken
from tests.support import models

_IN_REQUEST, _WHEN_FOLDED = "division in a run", "division of constants"
_SIGNED = {"int64": -(2**63), "int32": -(2**31), "int16": -(2**15), "int8": -(2**7)}
_TRAPPED = ("int64", "int32")
"""Narrower integers are widened before they are divided."""


def cases() -> Iterator[FileCase]:
    """Yield divisions by a constant, by what the request says, and of constants by constants."""
    for dtype, smallest in _SIGNED.items():
        outcome = KILLED if dtype in _TRAPPED else ANSWERED
        yield taken(
            _IN_REQUEST,
            f"{dtype} by -1",
            partial(models.division, -1, dtype),
            feed([5], *ANSWERED),
            feed([smallest], *outcome),
            feed([6], *ANSWERED, *outcome),
        )
        yield taken(
            _IN_REQUEST,
            f"{dtype} by what is asked",
            partial(of_two, "Div", dtype),
            feed({"a": [7], "b": [2]}, *ANSWERED),
            feed({"a": [7], "b": [0]}, *FAILED),
            feed({"a": [1, smallest], "b": [1, -1]}, *outcome),
        )
        yield taken(
            _IN_REQUEST,
            f"{dtype} modulo what is asked",
            partial(of_two, "Mod", dtype),
            feed({"a": [7], "b": [2]}, *ANSWERED),
            feed({"a": [7], "b": [0]}, *FAILED),
            feed({"a": [smallest], "b": [-1]}, *ANSWERED),
        )
    for dtype in (*_SIGNED, "uint64", "uint32", "uint16", "uint8"):
        yield refused(_WHEN_FOLDED, f"{dtype} by a constant 0", partial(models.division, 0, dtype))
    for dtype in _TRAPPED:
        yield refused(_WHEN_FOLDED, f"{dtype} constants", partial(folded, dtype), ("422 inspection_crashed",))
        yield refused(
            _WHEN_FOLDED, f"{dtype} constants in a function", partial(in_function, dtype), ("422 inspection_crashed",)
        )
        yield refused(
            _WHEN_FOLDED, f"{dtype} constants in a branch", partial(in_branch, dtype), ("422 inspection_crashed",)
        )


def of_two(operator: str, dtype: str) -> ModelProto:
    """A and b [n] of a dtype -> y [n]."""
    ends = [models.value(name, dtype, ("n",)) for name in "aby"]
    return models.model([helper.make_node(operator, ["a", "b"], ["y"])], ends[:2], ends[2:])


def folded(dtype: str) -> ModelProto:
    """The smallest integer by -1, both constants, and added to the input."""
    return models.model(
        [*_constants(dtype), helper.make_node("Div", ["a", "b"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        [models.value("x", dtype)],
        [models.value("y", dtype)],
    )


def in_function(dtype: str) -> ModelProto:
    """The same, where only who expands the function sees it."""
    nodes = [
        *_constants(dtype),
        helper.make_node("Div", ["a", "b"], ["c"]),
        helper.make_node("Add", ["u", "c"], ["v"]),
    ]
    imports = [helper.make_opsetid("", models.OPSET)]
    return models.model(
        [helper.make_node("divided", ["x"], ["y"], domain="own")],
        [models.value("x", dtype)],
        [models.value("y", dtype)],
        functions=[helper.make_function("own", "divided", ["u"], ["v"], nodes, imports)],
        opsets={"own": 1},
    )


def in_branch(dtype: str) -> ModelProto:
    """The same in a branch that need never be taken."""
    dividing = helper.make_graph(
        [*_constants(dtype), helper.make_node("Div", ["a", "b"], ["c"])], "dividing", [], [models.value("c", dtype)]
    )
    plain = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "plain", [], [models.value("z", dtype)])
    return models.model(
        [helper.make_node("If", ["is_divided"], ["y"], then_branch=dividing, else_branch=plain)],
        [models.value("x", dtype), models.value("is_divided", "bool", ())],
        [models.value("y", dtype)],
    )


def _constants(dtype: str) -> list[NodeProto]:
    kind = np.dtype(dtype)
    numbers = {"a": np.array([np.iinfo(kind).min], kind), "b": np.array([-1], kind)}
    return [
        helper.make_node("Constant", [], [name], value=models.initializer(name, array))
        for name, array in numbers.items()
    ]
