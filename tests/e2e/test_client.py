"""The Python client against a running gateway, with numpy arrays on both ends."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from gateway import client
from gateway.client import Client, InputMismatch, UnusableArgument
from tests.support import models
from tests.support.scaling import scaling_bytes, scaling_model, string_model, write_two_files

ROWS = np.array([[0.1, -2.5, 3e-40, 1e38], [1, 2, 3, 4]], np.float32)


def texts_of_numbers() -> bytes:
    """Return a model with the input ``x`` of a scaling model, and as its output ``y`` the numbers as text."""
    cast = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)
    inputs, outputs = [models.value("x", shape=("batch", 4))], [models.value("y", "string", ("batch", 4))]
    return models.model([cast], inputs, outputs).SerializeToString()


@pytest.fixture
def here(gateway: Any) -> Any:
    with Client(gateway.url) as connected:
        yield connected


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "client-" + request.node.originalname.removeprefix("test_").replace("_", "-")[:100]


def test_what_is_registered_predicts_to_the_bit(here: Client, name: str) -> None:
    version = here.register(scaling_bytes(2), name=name, description="doubles", tags={"team": "vision"})

    answer = here.predict(version.reference, ROWS)

    assert (version.reference, version.is_new) == (f"{name}:1", True)
    assert str(version) == f"{name}:1 (x: float32[batch, 4]) -> (y: float32[batch, 4])"
    assert (version.document["description"], version.document["tags"]) == ("doubles", {"team": "vision"})
    assert (list(answer), answer["y"].dtype) == (["y"], np.float32)
    np.testing.assert_array_equal(answer["y"], ROWS * np.float32(2))


def test_a_version_that_is_to_run_apart_is_listed_until_it_is_no_more(here: Client, name: str) -> None:
    golden = [{"inputs": {"x": [[1, 2, 3, 4]]}, "outputs": {"y": [[2, 4, 6, 8]]}}]
    first = here.register(scaling_bytes(2), name=name, is_isolated=True)
    second = here.register(scaling_bytes(3), name=name, golden=[], is_isolated=True)
    third = here.register(scaling_bytes(2), name=f"{name}-x", golden=golden, is_isolated=True)

    versions = (first, second, third)
    assert [version.document["isolation"] for version in versions] == ["isolated"] * 3
    found = [(each["model"], each["version"]) for each in here.quarantine() if each["model"].startswith(name)]
    assert found == [(name, 1), (name, 2), (f"{name}-x", 1)]
    assert here.clear(name, 1)["isolation"] == "isolated", "that was asked for, and nothing else keeps it there"


def test_the_same_bytes_in_another_form_are_the_same_version(here: Client, name: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(scaling_bytes(2))

    versions = [
        here.register(form, name=name)
        for form in (scaling_bytes(2), tmp_path / "model.onnx", str(tmp_path / "model.onnx"), scaling_model(2))
    ]

    assert [(version.version, version.is_new) for version in versions] == [
        (1, True),
        (1, False),
        (1, False),
        (1, False),
    ]


def test_a_model_in_two_files_is_sent_whole_and_the_bytes_are_counted(here: Client, name: str, tmp_path: Path) -> None:
    graph, weights = write_two_files(tmp_path, 2)
    steps: list[tuple[int, int]] = []

    here.register(graph, name=name, progress=lambda sent_bytes, all_bytes: steps.append((sent_bytes, all_bytes)))

    size_bytes = graph.stat().st_size + weights.stat().st_size
    assert steps == [(graph.stat().st_size, size_bytes), (size_bytes, size_bytes)]
    np.testing.assert_array_equal(here.predict(f"{name}:1", np.ones((1, 512)))["y"], np.full((1, 512), 2, np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint64"])
def test_every_number_keeps_its_dtype(here: Client, name: str, dtype: str) -> None:
    reference = here.register(scaling_bytes(1, dtype=dtype), name=f"{name}-{dtype}").reference
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    array = np.array([[limits.min, limits.max, 0, 1]], dtype)

    answer = here.predict(reference, {"x": array})["y"]

    assert answer.dtype == array.dtype
    np.testing.assert_array_equal(answer, array)


def test_nan_and_the_infinities_travel(here: Client, name: str) -> None:
    reference = here.register(scaling_bytes(1), name=name).reference
    array = np.array([[np.nan, np.inf, -np.inf, -0.0]], np.float32)

    answer = here.predict(reference, array)["y"]

    np.testing.assert_array_equal(answer, array)
    assert np.signbit(answer[0, 3])


def test_no_rows_are_answered_with_no_rows(here: Client, name: str) -> None:
    reference = here.register(scaling_bytes(1), name=name).reference

    assert here.predict(reference, np.zeros((0, 4)))["y"].shape == (0, 4)


def test_text_travels(here: Client, name: str) -> None:
    reference = here.register(string_model(), name=name).reference

    assert here.predict(reference, ["a", "ü\n"])["same"].tolist() == ["a", "ü\n"]


def test_every_fault_of_the_inputs_is_named(here: Client, name: str) -> None:
    reference = here.register(scaling_bytes(1), name=name).reference

    with pytest.raises(InputMismatch) as caught:
        here.predict(reference, {"x": np.ones((1, 3)), "z": [1]}, outputs=["w"])

    error = caught.value
    assert (error.status, error.code, error.request_id) == (422, "invalid_shape", None)
    assert [str(violation) for violation in error.violations] == [
        "/inputs/x: expected float32[batch, 4], received float32[1, 3] (dimension 1 is 3, not 4)",
        "/inputs/z: expected one of x, received z",
        "/outputs/0: expected one of y, received w",
    ]


def test_an_array_that_has_no_json_is_refused_here(here: Client, name: str) -> None:
    reference = here.register(scaling_bytes(1), name=name).reference

    with pytest.raises(InputMismatch):
        here.predict(reference, np.ones((1, 4), np.complex64))


def test_an_alias_is_followed_to_another_signature(here: Client, name: str) -> None:
    here.register(scaling_bytes(2), name=name)
    here.register(scaling_bytes(3, dtype="int64"), name=name)
    here.wait(here.promote(name, 1))
    before = here.predict(name, [[1.0, 2, 3, 4]])["y"]

    here.wait(here.promote(name, 2, allow_breaking=True))
    after = here.predict(name, np.array([[1, 2, 3, 4]]))["y"]

    assert (before.dtype, before.tolist()) == (np.float32, [[2.0, 4.0, 6.0, 8.0]])
    assert (after.dtype, after.tolist()) == (np.int64, [[3, 6, 9, 12]])


def test_moves_are_made_listed_and_followed(here: Client, name: str) -> None:
    for factor in (2, 3):
        here.register(scaling_bytes(factor), name=name)
    here.promote(name, 1)
    moved = here.promote(name, 2, expected=1, reason="better")
    here.canary(name, 1, 50)
    here.canary(name, None)
    back = here.rollback(name, reason="worse")
    here.retire(name, 2)

    assert (moved["version"], back["version"], here.alias(name)["version"]) == (2, 1, 1)
    assert [(move["from"], move["to"]) for move in here.history(name)] == [(None, 1), (1, 2), (2, 1)]
    assert [(version["version"], version["state"]) for version in here.versions(name)] == [(2, "retired"), (1, "ready")]
    assert [model["name"] for model in here.models(name)] == [name]
    assert (here.show(name)["latest_version"], here.show(f"{name}@production")["version"]) == (1, 1)
    assert [event["model"] for event in here.events(limit=1000)].count(name) >= 6
    assert all(worker["pid"] > 0 for worker in here.workers())


def test_the_module_talks_to_the_gateway_of_the_environment(
    gateway: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SARDONYX_URL", gateway.url)

    reference = client.register(scaling_bytes(2), name=name).reference

    assert client.predict(reference, [[1, 2, 3, 4]], outputs=["y"])["y"].tolist() == [[2.0, 4.0, 6.0, 8.0]]


def test_what_does_not_fit_what_an_alias_last_meant_is_held_against_what_it_means_now(here: Client, name: str) -> None:
    for width in (4, 5):
        here.register(scaling_bytes(2, width=width), name=name)
    here.wait(here.promote(name, 1))
    here.predict(name, np.ones((1, 4)))

    with Client(here._address) as somebody_else:
        somebody_else.wait(somebody_else.promote(name, 2, allow_breaking=True))

    assert here.predict(name, np.ones((1, 5)))["y"].tolist() == [[2.0] * 5]


def test_a_canary_whose_answers_have_no_bytes_answers_in_json(here: Client, name: str) -> None:
    here.register(scaling_bytes(2), name=name)
    here.register(texts_of_numbers(), name=name)
    here.wait(here.promote(name, 1))
    here.wait(here.canary(name, 2, 100, allow_breaking=True))

    answer = here.predict(name, np.ones((1, 4)), is_binary=True, routing_key="somebody")

    assert (answer.version, answer["y"].tolist()) == (2, [["1"] * 4])


@pytest.mark.parametrize("odd", ["", "a\nb", "\u00fc", "x" * 129])
def test_what_cannot_stand_in_a_header_is_refused(here: Client, name: str, odd: str) -> None:
    reference = here.register(scaling_bytes(2), name=f"{name}-{len(odd)}").reference
    with pytest.raises(UnusableArgument):
        here.predict(reference, np.ones((1, 4)), request_id=odd)
