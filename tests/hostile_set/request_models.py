"""The models that hostile requests are sent to: most are harmless, and all of them are accepted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tests.hostile_set.divisions import of_two
from tests.support import models


@dataclass(frozen=True)
class Asked:
    """A model, and whether it runs in a process of its own from the start. Nothing promotes it: it can be retired."""

    build: Callable[[], ModelProto]
    is_isolated: bool = False


def suppression() -> ModelProto:
    """A scalar int64 n -> which of n boxes are kept: n * n / 2 comparisons in a kernel that heeds no cancellation."""
    zero = models.initializer("zero", np.zeros(1, np.float32))
    return models.model(
        [
            helper.make_node("Reshape", ["n", "one"], ["count"]),
            helper.make_node("Concat", ["one", "count", "four"], ["shape_of_boxes"], axis=0),
            helper.make_node("Concat", ["one", "one", "count"], ["shape_of_scores"], axis=0),
            helper.make_node("ConstantOfShape", ["shape_of_boxes"], ["boxes"], value=zero),
            helper.make_node("ConstantOfShape", ["shape_of_scores"], ["scores"], value=zero),
            helper.make_node("NonMaxSuppression", ["boxes", "scores", "count"], ["kept"]),
            helper.make_node("Shape", ["kept"], ["y"]),
        ],
        [models.value("n", "int64", ())],
        [models.value("y", "int64", (2,))],
        initializers=[models.initializer("one", [1]), models.initializer("four", [4])],
    )


def words() -> ModelProto:
    """Int64 i [batch] -> y [batch]: "fine" for 0, and for 1 two bytes that are no text."""
    table = TensorProto(name="table", data_type=TensorProto.STRING, dims=[2], string_data=[b"fine", b"\xff\xfe"])
    return _looked_up(table, "string")


def gather() -> ModelProto:
    """Int64 i [batch] -> the i-th of three numbers."""
    return _looked_up(models.initializer("table", np.arange(3, dtype=np.float32)), "float32")


def logarithm() -> ModelProto:
    """Float32 x [batch] -> y, no number where x is below zero."""
    return models.model([helper.make_node("Log", ["x"], ["y"])], [models.value("x")], [models.value("y")])


def _looked_up(table: TensorProto, dtype: str) -> ModelProto:
    node = helper.make_node("Gather", ["table", "i"], ["y"])
    return models.model([node], [models.value("i", "int64")], [models.value("y", dtype)], initializers=[table])


ASKED: dict[str, Asked] = {
    "linear": Asked(models.linear),
    "whole": Asked(lambda: models.identity("int64")),
    "octet": Asked(lambda: models.identity("uint8")),
    "pair": Asked(models.two_inputs_one_symbol),
    "scalar": Asked(models.scalar_scale),
    "words": Asked(words),
    "gather": Asked(gather),
    "logarithm": Asked(logarithm),
    "quotient": Asked(lambda: of_two("Div", "int32")),
    "endless": Asked(models.loop),
    "slow": Asked(lambda: models.loop(trips=10_000)),
    "stuck": Asked(suppression),
    "deadly": Asked(lambda: models.division(-1)),
    "hopeless": Asked(lambda: models.division(-1), is_isolated=True),
    "growing": Asked(lambda: models.loop(collects=True, width=1 << 16, is_asked=True)),
    "expanding": Asked(models.expanded_to_request),
    "huge": Asked(lambda: models.wide_linear(2048, 9)),
}
"""By the name that requests ask for."""
