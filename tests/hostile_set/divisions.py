"""Numbers that no processor divides: the smallest of a type by -1 raises what ends the process, by 0 an error."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from onnx import ModelProto, helper

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
            feed({"a": [smallest], "b": [-1]}, *outcome),
        )
    for dtype in (*_SIGNED, "uint64", "uint32", "uint16", "uint8"):
        yield taken(_IN_REQUEST, f"{dtype} by 0", partial(models.division, 0, dtype), feed([5], *FAILED))
    for operator in ("Div", "Mod"):
        for dtype in _TRAPPED:
            yield refused(
                _WHEN_FOLDED,
                f"{operator} of {dtype} constants",
                partial(folded, operator, dtype),
                ("422 inspection_crashed",),
            )


def of_two(operator: str, dtype: str) -> ModelProto:
    """A and b [n] of a dtype -> y [n]."""
    ends = [models.value(name, dtype, ("n",)) for name in "aby"]
    return models.model([helper.make_node(operator, ["a", "b"], ["y"])], ends[:2], ends[2:])


def folded(operator: str, dtype: str) -> ModelProto:
    """The smallest integer and -1, both constants, and added to the input."""
    kind = np.dtype(dtype)
    numbers = {"a": np.array([np.iinfo(kind).min], kind), "b": np.array([-1], kind)}
    return models.model(
        [helper.make_node(operator, ["a", "b"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        [models.value("x", dtype)],
        [models.value("y", dtype)],
        initializers=[models.initializer(name, array) for name, array in numbers.items()],
    )
