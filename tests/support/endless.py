"""A model whose run takes as long as the request says, in one kernel that nothing stops but the end of its process."""

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tests.support import models


def endless_suppression() -> ModelProto:
    """A scalar int64 n -> which of n boxes are kept: n * n / 2 comparisons in a kernel that heeds no cancellation."""
    nodes = [
        helper.make_node("Reshape", ["n", "one"], ["boxes_kept"]),
        helper.make_node("Concat", ["one", "boxes_kept", "four"], ["shape_of_boxes"], axis=0),
        helper.make_node("Concat", ["one", "one", "boxes_kept"], ["shape_of_scores"], axis=0),
        helper.make_node("ConstantOfShape", ["shape_of_boxes"], ["boxes"], value=_zero()),
        helper.make_node("ConstantOfShape", ["shape_of_scores"], ["scores"], value=_zero()),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "boxes_kept"], ["kept"]),
        helper.make_node("Shape", ["kept"], ["y"]),
    ]
    return models.model(
        nodes,
        [models.value("n", "int64", ())],
        [models.value("y", "int64", (2,))],
        initializers=[models.initializer("one", [1]), models.initializer("four", [4])],
    )


def _zero() -> TensorProto:
    return models.initializer("zero", np.zeros(1, np.float32))
