"""Models of a few bytes that take all the time or all the memory there is, when they are loaded or when they run."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from registry.tensor import Shape
from tests.hostile_set.case import (
    ANSWERED,
    FAILED,
    LATE,
    NO_MEMORY,
    FileCase,
    feed,
    made,
    refused,
    taken,
)
from tests.support import models

_FOREVER, _FOLDED, _ASKED, _CONSTANT = (
    "a loop without an end",
    "work for who folds constants",
    "a size from the request",
    "a constant that is never folded",
)
_GROWING = "a run that grows"
_TOO_MUCH = (*NO_MEMORY, *FAILED)
"""The runtime fails to allocate, or is stopped before it does."""
_NEVER = (*FAILED, *NO_MEMORY, "422 invalid_shape", "422 out_of_range", "413 too_many_elements")


def cases() -> Iterator[FileCase]:
    """Yield loops, constants that grow, sizes that the request decides on."""
    yield from _loops()
    yield from _folded()
    yield from _grown()
    yield from _sized()


def _loops() -> Iterator[FileCase]:
    yield taken(_FOREVER, "no limit at all", models.loop, feed([1.0], *LATE))
    yield taken(_FOREVER, "2^63 - 1 trips", partial(models.loop, trips=2**63 - 1), feed([1.0], *LATE))
    yield taken(
        _FOREVER,
        "trips from the request",
        partial(models.loop, is_asked=True),
        feed({"x": [1.0], "trips": 3}, *ANSWERED),
        feed({"x": [1.0], "trips": 2**62}, *LATE),
        feed({"x": [1.0], "trips": -1}, *ANSWERED),
    )
    yield taken(
        _FOREVER,
        "trips from the request, each step kept",
        partial(models.loop, is_asked=True, collects=True, width=1 << 14),
        made(lambda: {"x": [0.5] * (1 << 14), "trips": 2}, *ANSWERED),
        made(lambda: {"x": [0.5] * (1 << 14), "trips": 1 << 40}, *NO_MEMORY),
    )
    yield taken(_FOREVER, "a loop in a loop", nested_loop, feed([1.0], *LATE))


def _folded() -> Iterator[FileCase]:
    for times in (30, 40):
        yield refused(
            _FOLDED,
            f"a constant doubled {times} times",
            partial(models.folded_doubling, times),
            ("422 inspection_memory",),
        )
    yield taken(_FOLDED, "a constant doubled 8 times", partial(models.folded_doubling, 8), feed([1.0], *ANSWERED))
    yield refused(
        _FOLDED,
        "400 products of 3000 by 3000",
        partial(models.folded_products, 400, 3000),
        ("422 inspection_timeout", "422 inspection_memory"),
    )
    yield taken(_FOLDED, "4 products of 50 by 50", partial(models.folded_products, 4, 50), feed([1.0], *ANSWERED))


def _grown() -> Iterator[FileCase]:
    yield taken(_GROWING, "the input doubled 40 times", partial(doubled, 40), feed([1.0], *_TOO_MUCH, *LATE))
    yield taken(_GROWING, "60 products of 2500 by 2500", partial(products, 60, 2500), feed(1.0, *LATE))
    for name, dims in {"3 GiB": [3 << 28], "2^50": [2**50], "2^32 by 2^32": [2**32, 2**32]}.items():
        yield taken(_CONSTANT, f"ConstantOfShape {name}", partial(constant, dims), feed([1.0], *_TOO_MUCH, *LATE))
    yield refused(_CONSTANT, "ConstantOfShape -1", partial(constant, [-1]))


def _sized() -> Iterator[FileCase]:
    for name, (nodes, argument) in _SIZED.items():
        feeds = [feed({"x": [1.0], argument: asked}, *outcome) for asked, outcome in _asked(name)]
        yield taken(_ASKED, name, partial(sized, nodes, argument, _SHAPES.get(name, ("rank",))), *feeds)


def _asked(operator: str) -> Iterator[tuple[Any, tuple[str, ...]]]:
    small, sizes = _SIZES[operator]
    yield small, ANSWERED
    for size in sizes:
        yield size, _NEVER


_HUGE = ([2**36], [2**50], [2**62, 2**62], [2**63 - 1])
_SIZED: dict[str, tuple[Sequence[Any], str]] = {
    "Expand": ([helper.make_node("Expand", ["x", "n"], ["y"])], "n"),
    "Tile": ([helper.make_node("Tile", ["x", "n"], ["y"])], "n"),
    "ConstantOfShape": (
        [helper.make_node("ConstantOfShape", ["n"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])],
        "n",
    ),
    "Pad": ([helper.make_node("Pad", ["x", "n"], ["y"])], "n"),
    "Resize": ([helper.make_node("Resize", ["x", "", "", "n"], ["y"], mode="nearest")], "n"),
    "Range": (
        [
            helper.make_node("Range", ["zero", "n", "one"], ["r"]),
            helper.make_node("Cast", ["r"], ["c"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "c"], ["y"]),
        ],
        "n",
    ),
    "OneHot": (
        [
            helper.make_node("OneHot", ["places", "n", "both"], ["c"]),
            helper.make_node("Add", ["x", "c"], ["y"]),
        ],
        "n",
    ),
}
_SHAPES: dict[str, Shape] = {"Range": (), "OneHot": (), "Resize": (1,)}
"""Of what the request says, where the operator minds."""
_SIZES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "Expand": ([2], _HUGE),
    "Tile": ([2], ([2**36], [2**50], [2**63 - 1], [-1])),
    "ConstantOfShape": ([2], (*_HUGE, [-2])),
    "Pad": ([1, 1], ([2**36, 0], [2**50, 2**50], [2**63 - 1, 2**63 - 1])),
    "Resize": ([2], ([2**36], [2**50], [2**63 - 1], [-2])),
    "Range": (2, (2**36, 2**50, 2**63 - 1)),
    "OneHot": (2, (2**36, 2**50, 2**63 - 1, -1)),
}
"""A size that is well, and those that nobody has the memory for."""


def sized(nodes: Sequence[Any], argument: str, shape: Shape) -> ModelProto:
    """Float32 x [1] and an int64 that says how large y is."""
    constants = {
        "zero": np.array(0),
        "one": np.array(1),
        "both": np.array([0, 1], np.float32),
        "places": np.array([0]),
    }
    used = {name for node in nodes for name in node.input}
    return models.model(
        nodes,
        [models.value("x", shape=(1,)), models.value(argument, "int64", shape)],
        [models.value("y", shape=None)],
        initializers=[models.initializer(name, array) for name, array in constants.items() if name in used],
    )


def nested_loop() -> ModelProto:
    """Float32 x [1] -> y [1]: a loop of 2^31 trips, each of which is one of as many."""
    graph = None
    for level in ("inner", "outer"):
        step = (
            helper.make_node("Add", [f"{level}_in", "one"], [f"{level}_out"])
            if graph is None
            else helper.make_node("Loop", ["trips", "", f"{level}_in"], [f"{level}_out"], body=graph)
        )
        graph = helper.make_graph(
            [helper.make_node("Identity", [f"{level}_go"], [f"{level}_goes"]), step],
            level,
            [
                models.value(f"{level}_trip", "int64", ()),
                models.value(f"{level}_go", "bool", ()),
                models.value(f"{level}_in", shape=(1,)),
            ],
            [models.value(f"{level}_goes", "bool", ()), models.value(f"{level}_out", shape=(1,))],
        )
    return models.model(
        [helper.make_node("Loop", ["trips", "", "x"], ["y"], body=graph)],
        [models.value("x", shape=(1,))],
        [models.value("y", shape=(1,))],
        initializers=[models.initializer("trips", np.array(2**31)), models.initializer("one", np.ones(1, np.float32))],
    )


def doubled(times: int) -> ModelProto:
    """Float32 x [1] -> y: the input joined to itself again and again."""
    names = ["x", *(f"h{step}" for step in range(1, times)), "y"]
    return models.model(
        [helper.make_node("Concat", [names[step]] * 2, [names[step + 1]], axis=0) for step in range(times)],
        [models.value("x", shape=(1,))],
        [models.value("y", shape=(None,))],
    )


def products(count: int, size: int) -> ModelProto:
    """A scalar float32 x -> y [size, size], by products of large matrices one after the other."""
    multiplied = [helper.make_node("MatMul", [f"m{step}", "m0"], [f"m{step + 1}"]) for step in range(count)]
    return models.model(
        [
            helper.make_node("Expand", ["x", "shape"], ["m0"]),
            *multiplied,
            helper.make_node("Identity", [f"m{count}"], ["y"]),
        ],
        [models.value("x", shape=())],
        [models.value("y", shape=(size, size))],
        initializers=[models.initializer("shape", np.array([size, size]))],
    )


def constant(dims: Sequence[int]) -> ModelProto:
    """Float32 x [1] -> y [1]: a constant of these dimensions that is too large to be folded, and added up."""
    return models.model(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["c"]),
            helper.make_node("ReduceSum", ["c"], ["s"], keepdims=0),
            helper.make_node("Add", ["x", "s"], ["y"]),
        ],
        [models.value("x", shape=(1,))],
        [models.value("y", shape=(1,))],
        initializers=[models.initializer("shape", np.array(dims, np.int64))],
    )
