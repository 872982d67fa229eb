"""What a version was registered with stays with it: as a golden example, and as what requests are held against."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from gateway.client import Client, ConversionMismatch, ExampleNotKept, InputMismatch
from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.scaling import scaling_bytes, scaling_model

SARDONYX = str(Path(sys.executable).with_name("sardonyx"))
ROW = [[1.0, 2.0, 3.0, 4.0]]
DOUBLED = {"name": "registration", "inputs": {"x": ROW}, "outputs": {"y": [[2.0, 4.0, 6.0, 8.0]]}, "tolerance": None}


@pytest.fixture
def here(gateway: GatewayProcess) -> Iterator[Client]:
    with Client(gateway.url) as connected:
        yield connected


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "kept-" + request.node.originalname.removeprefix("test_").replace("_", "-")[:90]


def noise() -> bytes:
    """Return a model that answers otherwise each time."""
    node = helper.make_node("RandomNormalLike", ["x"], ["y"])
    free = ("batch", 4)
    made = models.model([node], [models.value("x", shape=free)], [models.value("y", shape=free)])
    return made.SerializeToString()


def test_a_converted_model_keeps_rows_of_its_example_with_what_it_answers(here: Client, name: str) -> None:
    rows, labels = load_iris(return_X_y=True)
    rows = rows.astype(np.float32)
    estimator = LogisticRegression(max_iter=500).fit(rows, labels)

    version = here.register(estimator, name=name, example=rows)

    (kept,) = here.examples(name, 1)
    inputs = np.array(kept["inputs"]["x"], np.float32)
    assert (kept["name"], inputs.shape, version.document["examples"]) == ("registration", (64, 4), 1)
    assert kept["outputs"]["label"] == here.predict(version.reference, inputs)["label"].tolist()
    assert version.document == here.show(version.reference)


@pytest.mark.parametrize("form", ["a path", "bytes", "a ModelProto"])
def test_what_is_ready_made_keeps_its_example_too(here: Client, name: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(scaling_model(2), path)
    given: dict[str, Any] = {"a path": path, "bytes": scaling_bytes(2), "a ModelProto": scaling_model(2)}
    name = f"{name}-{form.replace(' ', '-').lower()}"

    version = here.register(given[form], name=name, example=ROW)

    assert here.examples(name, 1) == [DOUBLED]
    assert (version.document, version.is_new) == (here.show(f"{name}:1"), True)


def test_whoever_wants_nothing_kept_says_so(here: Client, name: str) -> None:
    version = here.register(scaling_bytes(2), name=name, example=ROW, keep_example=False)

    assert (here.examples(name, 1), version.document["examples"]) == ([], 0)


def test_registering_again_gives_an_example_to_a_version_without_and_changes_none(here: Client, name: str) -> None:
    here.register(scaling_bytes(2), name=name)
    here.register(scaling_bytes(2), name=name, example=ROW)
    here.register(scaling_bytes(2), name=name, example=[[5, 6, 7, 8]])

    assert here.examples(name, 1) == [DOUBLED]


def test_it_stands_beside_golden_examples(here: Client, name: str) -> None:
    golden = {"name": "zeros", "inputs": {"x": [[0, 0, 0, 0]]}, "outputs": {"y": [[0, 0, 0, 0]]}}

    here.register(scaling_bytes(2), name=name, example=ROW, golden=[golden])

    assert [example["name"] for example in here.examples(name, 1)] == ["zeros", "registration"]


def test_an_example_that_does_not_fit_is_told_of_and_the_registration_stands(here: Client, name: str) -> None:
    with pytest.warns(
        ExampleNotKept, match=f"{name}:1 is registered, but its example is not kept: .*dimension 1"
    ) as told:
        version = here.register(scaling_bytes(2), name=name, example=[[1, 2, 3]])

    (warning,) = (each.message for each in told)
    assert isinstance(warning, ExampleNotKept)
    assert (warning.version, isinstance(warning.reason, InputMismatch)) == (version, True)
    assert (version.reference, here.examples(name, 1)) == (f"{name}:1", [])
    assert here.keep_example(version, ROW).document["examples"] == 1


def test_a_model_that_answers_otherwise_each_time_keeps_no_example(here: Client, name: str) -> None:
    with pytest.warns(ExampleNotKept) as told:
        here.register(noise(), name=name, example=ROW)

    assert [getattr(each.message, "reason").code for each in told] == ["example_mismatch"]  # noqa: B009 - a warning's


def test_a_conversion_that_says_something_else_keeps_no_example(here: Client, name: str) -> None:
    rows, labels = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(rows, labels)
    honest = estimator.predict
    estimator.predict = lambda asked: honest(asked) + 1

    with pytest.raises(ConversionMismatch):
        here.register(estimator, name=name, example=rows[:10])

    assert here.examples(name, 1) == []


def test_the_command_line_keeps_what_a_file_says(
    here: Client, gateway: GatewayProcess, name: str, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(scaling_bytes(2))
    (tmp_path / "row.json").write_text(json.dumps({"inputs": ROW}))
    command = [
        SARDONYX,
        "register",
        "model.onnx",
        "--name",
        name,
        "--example",
        "row.json",
        "--json",
        "--url",
        gateway.url,
    ]

    runs = [subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True) for _ in range(2)]

    assert here.examples(name, 1) == [DOUBLED]
    assert [json.loads(run.stdout) for run in runs] == [here.show(f"{name}:1")] * 2
