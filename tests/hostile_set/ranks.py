"""Kernels that end their process where an input has a rank that they do not expect, and those that only refuse it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from tests.hostile_set.case import ANSWERED, FAILED, KILLED, TAKEN, FileCase, feed, octets, taken
from tests.support import models

_KIND = "a rank that a kernel does not expect"
_ROI = {"output_height": 1, "output_width": 1}
_SCALAR, _LINE, _FOUR = 1.0, [1.0, 2.0], [[[[1.0, 2.0], [3.0, 4.0]]]]

_CAREFUL: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "Conv": (("x", "kernel"), {}),
    "ConvTranspose": (("x", "kernel"), {}),
    "MaxPool": (("x",), {"kernel_shape": [1, 1]}),
    "AveragePool": (("x",), {"kernel_shape": [1, 1]}),
    "LRN": (("x",), {"size": 1}),
    "DepthToSpace": (("x",), {"blocksize": 1}),
    "InstanceNormalization": (("x", "one", "one"), {}),
    "BatchNormalization": (("x", "one", "one", "one", "one"), {}),
}
"""Kernels of pictures: their inputs, and their attributes."""


def cases() -> Iterator[FileCase]:
    """Yield models that take any rank, and are sent one that is wrong."""
    yield taken(
        _KIND, "RoiAlign of any rank", region, feed({"x": _LINE}, *KILLED), feed({"x": _FOUR}, *ANSWERED, *KILLED)
    )
    yield taken(_KIND, "RoiAlign of any rank, a scalar", region, feed({"x": _SCALAR}, *KILLED))
    yield FileCase(
        f"{_KIND}: RoiAlign behind a Reshape",
        _KIND,
        lambda: octets(reshaped_region),
        (*TAKEN, "422 inspection_crashed"),  # by the shape that the inspection makes up
        (
            feed({"x": [1.0, 2.0, 3.0, 4.0], "shape": [1, 1, 2, 2]}, *ANSWERED),
            feed({"x": [1.0, 2.0, 3.0, 4.0], "shape": [4]}, *KILLED),
        ),
    )
    yield taken(_KIND, "DFT of any rank", spectrum, feed({"x": _SCALAR}, *KILLED))
    for operator, (inputs, attributes) in _CAREFUL.items():
        yield taken(
            _KIND,
            f"{operator} of any rank",
            partial(of_any_rank, operator, inputs, attributes),
            feed({"x": _SCALAR}, *FAILED),
            feed({"x": _LINE}, *FAILED, *ANSWERED),
            feed({"x": _FOUR}, *ANSWERED),
        )


def region() -> ModelProto:
    """Float32 x of any rank -> y: a region of a picture."""
    return models.model(
        [helper.make_node("RoiAlign", ["x", "regions", "pictures"], ["y"], **_ROI)],
        [models.value("x", shape=None)],
        [models.value("y", shape=None)],
        initializers=_regions(),
    )


def reshaped_region() -> ModelProto:
    """Float32 x [n] and int64 ``shape`` [rank] -> y: every type is told, and the request decides on the rank."""
    return models.model(
        [
            helper.make_node("Reshape", ["x", "shape"], ["picture"]),
            helper.make_node("RoiAlign", ["picture", "regions", "pictures"], ["y"], **_ROI),
        ],
        [models.value("x", shape=("n",)), models.value("shape", "int64", ("rank",))],
        [models.value("y", shape=(1, None, 1, 1))],
        initializers=_regions(),
    )


def _regions() -> list[Any]:
    return [
        models.initializer("regions", np.array([[0, 0, 1, 1]], np.float32)),
        models.initializer("pictures", np.array([0])),
    ]


def spectrum() -> ModelProto:
    """Float32 x of any rank -> y: its Fourier transform."""
    return models.model(
        [helper.make_node("DFT", ["x"], ["y"])], [models.value("x", shape=None)], [models.value("y", shape=None)]
    )


def of_any_rank(operator: str, inputs: Sequence[str], attributes: dict[str, Any]) -> ModelProto:
    """Float32 x of any rank -> y, by one operator."""
    constants = {"kernel": np.ones((1, 1, 1, 1), np.float32), "one": np.ones(1, np.float32)}
    return models.model(
        [helper.make_node(operator, inputs, ["y"], **attributes)],
        [models.value("x", shape=None)],
        [models.value("y", shape=None)],
        initializers=[models.initializer(name, array) for name, array in constants.items() if name in inputs],
    )
