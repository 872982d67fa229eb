"""Where a graph takes rows together, as its operators and shapes tell."""

import itertools
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, defs, helper

from registry.inspection.row_flow import find_meeting
from tests.support.inspecting import inspect_files
from tests.support.models import eye_like_the_runtimes_own, initializer, model, value


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


# --- operators whose inference is not safe ----------------------------------------------------------------------------


def with_attributes(schema: defs.OpSchema) -> Iterator[dict[str, Any]]:
    """Yield attributes that an operator may have: those that it needs, each other one, all, and keys with values."""
    kinds = defs.OpSchema.AttrType
    values: dict[Any, Any] = {
        kinds.INT: 1,
        kinds.FLOAT: 1.0,
        kinds.STRING: "x",
        kinds.INTS: [1],
        kinds.FLOATS: [1.0],
        kinds.STRINGS: ["a"],
        kinds.TENSOR: initializer("t", np.ones(1, np.float32)),
        kinds.GRAPH: helper.make_graph([], "g", [], []),
    }
    every = {name: values[one.type] for name, one in schema.attributes.items() if one.type in values}
    needed = {name: value for name, value in every.items() if schema.attributes[name].required}
    yield needed
    yield every
    yield from (needed | {name: value} for name, value in every.items())
    keys = [name for name in every if name.startswith("keys_")]
    for one, other in itertools.product(keys, [name for name in every if name.startswith("values_")]):
        yield needed | {one: every[one], other: every[other]}


def untyped(schema: defs.OpSchema) -> Iterator[ModelProto]:
    """Yield graphs of one operator on what only the runtime knows the type of."""
    names = [f"x{number}" for number in range(min(len(schema.inputs), 20))]
    strange = helper.make_node("Strange", [], names, domain="com.example")
    imports = [helper.make_opsetid(schema.domain, schema.since_version), helper.make_opsetid("com.example", 1)]
    for attributes in with_attributes(schema):
        node = helper.make_node(schema.name, names, ["y"], domain=schema.domain, **attributes)
        outer = helper.make_node("If", ["x0"], ["z"], then_branch=helper.make_graph([node], "then", [], []))
        for nodes in ([strange, node], [strange, outer]):
            yield helper.make_model(helper.make_graph(nodes, "g", [], []), opset_imports=imports)


def status_of(models: Iterator[ModelProto], passes_over: tuple[type[Exception], ...] = (Exception,)) -> int:
    """Return how a process ends that looks at all of them."""
    pid = os.fork()
    if pid == 0:
        for each in models:
            with suppress(*passes_over):  # as whoever calls it does
                find_meeting(each)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_no_operator_kills_the_process_where_only_the_runtime_knows_the_types() -> None:
    schemas = [schema for schema in defs.get_all_schemas_with_history() if schema.domain in ("", "ai.onnx.ml")]
    killed = [(schema.name, schema.since_version) for schema in schemas if status_of(untyped(schema))]
    assert (len(schemas) > 500, killed) == (True, [])


def test_what_has_a_type_is_followed_through_every_operator() -> None:
    nodes = helper.make_node("EyeLike", ["x"], ["eye"]), helper.make_node("Softmax", ["eye"], ["y"], axis=0)
    assert find_meeting(chain(*nodes)) == "Softmax takes the rows together"


def test_a_model_with_such_an_operator_is_tried_like_any_other(tmp_path: Path) -> None:
    found = inspect_files(tmp_path, {"model.onnx": eye_like_the_runtimes_own().SerializeToString()})
    assert found.batch is not None
    assert found.batch.reason.startswith("rows influence each other")
    assert found.threads is not None


# --- graphs whose numbers would fill the memory -----------------------------------------------------------------------


def ends_in_memory(graph: ModelProto) -> bool:
    """Return whether a process that looks at it stays within a quarter of a gigabyte more than it has."""

    def look() -> Iterator[ModelProto]:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), used + (256 << 20)))
        yield graph

    return status_of(look(), passes_over=()) == 0


def joined_again_and_again() -> ModelProto:
    nodes = [
        helper.make_node("Concat", ["v0", "v0"], ["v1"], axis=0),
        helper.make_node("Concat", ["v1"] * 30_000, ["v2"], axis=0),
        helper.make_node("Shape", ["v2"], ["y"]),
    ]
    return chain(*nodes, v0=np.arange(1024))


def cast_again_and_again() -> ModelProto:
    names = ["v", *(f"v{number}" for number in range(3000)), "y"]
    return chain(
        *(helper.make_node("Cast", [one], [other], to=7) for one, other in itertools.pairwise(names)), v=np.arange(2000)
    )


def joined_in_a_branch() -> ModelProto:
    inner = joined_again_and_again().graph
    del inner.input[:]
    outer = helper.make_node("If", ["go"], ["y"], then_branch=inner, else_branch=inner)
    return chain(outer, go=np.array(1, np.bool_))


def of_many_dimensions() -> ModelProto:
    nodes = [helper.make_node("Reshape", ["x", "ones"], ["r0"])]
    nodes += [helper.make_node("Relu", [f"r{number}"], [f"r{number + 1}"]) for number in range(300)]
    return chain(*nodes, ones=np.ones(20_000, np.int64))


def gathered_by_itself() -> ModelProto:
    names = ["v", *(f"v{number}" for number in range(20)), "y"]
    gathers = (helper.make_node("Gather", [one, one], [other]) for one, other in itertools.pairwise(names))
    return chain(*gathers, v=np.zeros((1, 1, 1), np.int64))


def joined_in_a_function() -> ModelProto:
    graph = joined_again_and_again()
    branch = helper.make_graph(list(graph.graph.node), "branch", [], [value("y", shape=None)])
    node = helper.make_node("If", ["go"], ["z"], then_branch=branch, else_branch=branch)
    constant = helper.make_node("Constant", [], ["v0"], value=initializer("v0", np.arange(1024)))
    go = helper.make_node("Constant", [], ["go"], value=initializer("go", np.array(1, np.bool_)))
    imports = [helper.make_opsetid("", 18)]
    function = helper.make_function("ours", "f", [], ["z"], [constant, go, node], imports)
    made = chain(helper.make_node("f", [], ["y"], domain="ours"))
    made.functions.append(function)
    made.opset_import.append(helper.make_opsetid("ours", 1))
    return made


FILLING = (
    *(joined_again_and_again, cast_again_and_again, joined_in_a_branch, joined_in_a_function),
    *(of_many_dimensions, gathered_by_itself),
)


@pytest.mark.parametrize("make", FILLING)
def test_numbers_that_a_graph_multiplies_do_not_fill_the_memory(make: Callable[[], ModelProto]) -> None:
    assert ends_in_memory(make())


def test_a_shape_that_is_worked_out_is_followed() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Concat", ["rows", "two", "two"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["folded"]),
        helper.make_node("Softmax", ["folded"], ["y"], axis=0),
    ]
    assert find_meeting(chain(*nodes, zero=np.array([0]), two=np.array([2]))) == "Softmax takes the rows together"
