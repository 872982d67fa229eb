"""Operators whose numbers are wrong: places that are not there, lengths that do not fit, sizes of 0."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper

from tests.hostile_set.case import ANSWERED, FAILED, LATE, FileCase, feed, refused, taken
from tests.support import models
from tests.support.endless import endless_suppression

_PLACES, _ATTRIBUTES, _DTYPES, _SLOW = (
    "a place that is not there",
    "an attribute that cannot be",
    "a type that few have",
    "a kernel that heeds no cancellation",
)
_X = np.float32


@dataclass(frozen=True)
class Misuse:
    """An operator on float32 x [4] and int64 ``i`` [n], constants of it, and an ``i`` that goes wrong."""

    inputs: Sequence[str]
    wrong: Sequence[Sequence[int]]
    constants: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    right: Sequence[int] = (0,)


_MISUSES = {
    "Gather": Misuse(("x", "i"), ([4], [-5], [2**63 - 1], [-(2**63)])),
    "GatherElements": Misuse(("x", "i"), ([4], [-5], [2**63 - 1])),
    "ScatterElements": Misuse(("x", "i", "one"), ([4], [-5], [2**63 - 1]), {"one": np.ones(1, _X)}),
    "TopK": Misuse(("x", "i"), ([5], [-1], [2**63 - 1]), right=(1,)),
    "Split": Misuse(("x", "i"), ([5], [-1], [2**63 - 1]), right=(4,)),
    "Reshape": Misuse(("x", "i"), ([3], [-2], [2**62, 4], [-1, -1]), right=(4,)),
    "Unsqueeze": Misuse(("x", "i"), ([9], [-9], [0, 0], [2**63 - 1])),
    "Squeeze": Misuse(("y0", "i"), ([9], [1], [-(2**63)])),
    "ReduceSum": Misuse(("x", "i"), ([1], [-9], [2**63 - 1])),
}


def cases() -> Iterator[FileCase]:
    """Yield places from the request, attributes that cannot be, types, and what cannot be stopped."""
    for operator, misuse in _MISUSES.items():
        yield taken(
            _PLACES,
            operator,
            partial(misused, operator, misuse),
            feed({"x": [1.0, 2.0, 3.0, 4.0], "i": list(misuse.right)}, *ANSWERED),
            *(feed({"x": [1.0, 2.0, 3.0, 4.0], "i": list(wrong)}, *FAILED) for wrong in misuse.wrong),
        )
    for name, node in _IMPOSSIBLE.items():
        if name in _TOLERATED:
            yield taken(_ATTRIBUTES, name, partial(pictured, node), feed([[[[1.0] * 4] * 4]], *FAILED))
        else:
            yield refused(_ATTRIBUTES, name, partial(pictured, node))
    yield taken(_ATTRIBUTES, "a pattern that takes for ever", pattern, feed(["a" * 40 + "b"], *ANSWERED, *FAILED))
    yield taken(_DTYPES, "bfloat16", partial(models.identity, "bfloat16"), feed([1], *ANSWERED))
    for dtype in ("float8_e4m3fn", "int4", "uint4"):
        yield refused(_DTYPES, f"{dtype} in an opset that has none", partial(models.identity, dtype))
    for code in (14, 15):
        yield refused(_DTYPES, f"complex numbers, type {code}", partial(of_type, code), ("422 unsupported_signature",))
    yield taken(
        _SLOW, "boxes compared with boxes", endless_suppression, feed(2, *ANSWERED), feed(800_000, *LATE, "reset")
    )


_PICTURE = {
    "a stride of 0": {"strides": [0, 0]},
    "a negative stride": {"strides": [-1, -1]},
    "a dilation of 0": {"dilations": [0, 0]},
    "a kernel of 0": {"kernel_shape": [0, 0]},
    "a kernel of 2^31": {"kernel_shape": [2**31, 2**31]},
    "groups of 0": {"group": 0},
    "groups of 2^40": {"group": 2**40},
    "pads of 2^62": {"pads": [2**62] * 4},
    "negative pads": {"pads": [-9] * 4},
}
_TOLERATED = ("a kernel of 2^31", "groups of 0", "groups of 2^40")
"""Until it runs."""
_IMPOSSIBLE: dict[str, NodeProto] = {
    name: helper.make_node("Conv", ["x", "w"], ["y"], **attributes) for name, attributes in _PICTURE.items()
}


def misused(operator: str, misuse: Misuse) -> ModelProto:
    """Float32 x [4] and int64 i [n] -> y."""
    nodes = [helper.make_node(operator, misuse.inputs, ["y"], **misuse.attributes)]
    if operator == "TopK":
        nodes[0].output.append("places")
    if "y0" in misuse.inputs:
        nodes.insert(0, helper.make_node("Unsqueeze", ["x", "first"], ["y0"]))
    constants = {**misuse.constants, **({"first": np.array([0])} if "y0" in misuse.inputs else {})}
    return models.model(
        nodes,
        [models.value("x", shape=(4,)), models.value("i", "int64", ("n",))],
        [models.value("y", shape=None)],
        initializers=[models.initializer(name, array) for name, array in constants.items()],
    )


def pictured(node: NodeProto) -> ModelProto:
    """Float32 x [1, 1, 4, 4] -> y, by a node with a kernel of 2 by 2."""
    return models.model(
        [node],
        [models.value("x", shape=(1, 1, 4, 4))],
        [models.value("y", shape=None)],
        initializers=[models.initializer("w", np.ones((1, 1, 2, 2), np.float32))],
    )


def pattern() -> ModelProto:
    """Text x [n] -> whether each matches a pattern on which careless engines take exponential time."""
    return models.model(
        [helper.make_node("RegexFullMatch", ["x"], ["y"], pattern="(a+)+$")],
        [models.value("x", "string", ("n",))],
        [models.value("y", "bool", ("n",))],
        opsets={"": 20},
    )


def of_type(code: int) -> ModelProto:
    """X of a type of which only the number is known -> y."""
    made = models.identity()
    for end in (*made.graph.input, *made.graph.output):
        end.type.tensor_type.elem_type = code
    return made
