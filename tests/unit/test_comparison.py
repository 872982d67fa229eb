"""What the comparison of two sessions lets pass, and what it does not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper

from registry.inspection.comparison import NotTheSame, compare, learn
from registry.inspection.graph import read_graph
from tests.support import models
from tests.support.model_kinds import OPTIONAL, node, overridable
from tests.support.real_models import plain_session


def judge(folder: Path, made: ModelProto, other: ModelProto) -> str:
    """Return why the other one cannot stand for the model; empty if it can."""
    paths = folder / "model.onnx", folder / "other.onnx"
    for path, content in zip(paths, (made, other), strict=True):
        path.write_bytes(content.SerializeToString())
    signature = read_graph(paths[0]).signature
    try:
        compare(plain_session(paths[1]), learn(plain_session(paths[0]), signature), signature)
    except NotTheSame as error:
        return str(error)
    return ""


def taking_for_granted(made: ModelProto, name: str) -> ModelProto:
    """Return the same model, which knows the optional input but computes with its default whatever is given."""
    other = ModelProto()
    other.CopyFrom(made)
    (default,) = [tensor for tensor in made.graph.initializer if tensor.name == name]
    constant = other.graph.initializer.add()
    constant.CopyFrom(default)
    constant.name = f"{name}_for_granted"
    for step in other.graph.node:
        step.input[:] = [constant.name if entry == name else entry for entry in step.input]
    return other


@pytest.mark.parametrize("build", OPTIONAL.values(), ids=OPTIONAL)
def test_a_model_is_the_same_as_itself(build: Callable[[], ModelProto], tmp_path: Path) -> None:
    assert judge(tmp_path, build(), build()) == ""


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, tensor.name) for kind, build in OPTIONAL.items() for tensor in build().graph.initializer],
)
def test_a_default_that_was_taken_for_granted_is_seen(kind: str, name: str, tmp_path: Path) -> None:
    made = OPTIONAL[kind]()
    assert judge(tmp_path, made, taking_for_granted(made, name)) != ""


def test_the_reason_names_the_optional_input(tmp_path: Path) -> None:
    made = models.optional_bias()
    assert judge(tmp_path, made, taking_for_granted(made, "bias")) == "the answers differ where 'bias' is given"


def test_other_weights_are_seen(tmp_path: Path) -> None:
    assert judge(tmp_path, models.linear(), models.linear(seed=1)) == "the answers differ"


def test_other_inputs_are_seen(tmp_path: Path) -> None:
    renamed = models.linear()
    renamed.graph.output[0].name = renamed.graph.node[0].output[0] = "z"
    assert judge(tmp_path, models.linear(), renamed) == "the inputs and outputs are not the same"


def test_an_optional_input_of_which_no_made_up_value_is_accepted_proves_nothing(tmp_path: Path) -> None:
    made = overridable(helper.make_node("Split", ["x", "parts"], ["y", "z"], axis=1), parts=np.array([5, 3]))
    reason = "too few made-up values of its optional input 'parts' are accepted to compare them"
    assert judge(tmp_path, made, made) == reason


def test_an_optional_input_without_elements_has_nothing_to_override(tmp_path: Path) -> None:
    made = overridable(node("Concat", "x none", axis=0), none=np.zeros((0, 8), np.float32))
    assert judge(tmp_path, made, made) == ""
