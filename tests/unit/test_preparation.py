"""Prepared forms of real and made-up models, made in the child as the gateway has them made."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, helper

from gateway.serving.runtime import Cancellation, Session
from registry.inspection.sandbox import SandboxedInspector
from registry.storage import PREPARED_GRAPH, PREPARED_WEIGHTS, Preparation
from tests.support import models
from tests.support.inspecting import lay_out
from tests.support.model_kinds import KINDS, OPTIONAL
from tests.support.real_models import RealModel, plain_session, published_models

PUBLISHED = published_models()


def prepare(folder: Path, files: dict[str, bytes]) -> tuple[Preparation, Path]:
    """Return what has become of it, and the folder."""
    source, into = folder / "source", folder / "into"
    source.mkdir()
    into.mkdir()
    inspector = SandboxedInspector()
    artifact = lay_out(source, files)
    return inspector.prepare(source, artifact, inspector.inspect(source, artifact), into), into


def feeds(session: onnxruntime.InferenceSession) -> Iterator[dict[str, Any]]:
    """Yield inputs for a model, first without those that are optional, then with one of them each time."""
    feed = {argument.name: made_up(argument) for argument in session.get_inputs()}
    yield feed
    for argument in session.get_overridable_initializers():
        yield feed | {argument.name: made_up(argument)}


def made_up(argument: Any) -> Any:
    if argument.type == "tensor(int64)":
        return np.array([2, 4])[: argument.shape[0] if isinstance(argument.shape[0], int) else 1]
    shape = [dim if isinstance(dim, int) else 1 for dim in argument.shape]
    floats = np.random.default_rng(7).normal(size=shape, scale=2)
    return np.array(floats > 0) if argument.type == "tensor(bool)" else np.array(floats, np.float32)


def content(arrays: list[Any]) -> list[object]:
    return [(array.dtype, array.shape, repr(array.tolist())) for array in arrays]


@pytest.mark.parametrize("real", PUBLISHED, ids=[real.name for real in PUBLISHED])
def test_a_prepared_real_model_answers_bit_for_bit(real: RealModel, tmp_path: Path) -> None:
    preparation, into = prepare(tmp_path, {"model.onnx": real.path.read_bytes()})
    assert preparation.reason == ""
    assert preparation.memory_bytes is not None
    session = plain_session(real.path)
    names = [output.name for output in session.get_outputs()]
    feed = real.make_feed()
    prepared = Session.load(into / PREPARED_GRAPH, prepared_bytes=preparation.memory_bytes)
    answer = prepared.run(names, feed, Cancellation())
    wanted = session.run(names, feed)
    assert [(a.dtype, a.shape, a.tobytes()) for a in answer] == [(w.dtype, w.shape, w.tobytes()) for w in wanted]


def test_a_model_of_two_files_is_prepared(tmp_path: Path) -> None:
    graph, weights = models.with_external_data(models.wide_linear(256, 3))
    preparation, into = prepare(tmp_path, {"model.onnx": graph, "model.onnx.data": weights})
    assert (preparation.reason, preparation.memory_bytes is not None) == ("", True)
    rows = np.random.default_rng(3).normal(size=(2, 256)).astype(np.float32)
    prepared = Session.load(into / PREPARED_GRAPH, prepared_bytes=preparation.memory_bytes)
    (answer,) = prepared.run(["y"], {"x": rows}, Cancellation())
    (wanted,) = plain_session(tmp_path / "source" / "model.onnx").run(["y"], {"x": rows})
    assert answer.tobytes() == wanted.tobytes()


def test_a_model_that_draws_lots_is_not_prepared(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    noisy = models.model(nodes, [models.value("x")], [models.value("y")])
    preparation, _ = prepare(tmp_path, {"model.onnx": noisy.SerializeToString()})
    assert preparation == Preparation(reason="the model itself answers differently each time")


@pytest.mark.parametrize("build", {**KINDS, **OPTIONAL}.values(), ids=[*KINDS, *OPTIONAL])
def test_a_model_of_any_kind_is_prepared(build: Callable[[], ModelProto], tmp_path: Path) -> None:
    preparation, into = prepare(tmp_path, {"model.onnx": build().SerializeToString()})
    assert (preparation.reason, preparation.memory_bytes is None) == ("", False)
    prepared = Session.load(into / PREPARED_GRAPH, prepared_bytes=preparation.memory_bytes)
    session = plain_session(tmp_path / "source" / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    for feed in feeds(session):
        assert content(prepared.run(names, feed, Cancellation())) == content(session.run(names, feed))


def test_nothing_but_the_prepared_form_is_left(tmp_path: Path) -> None:
    _, into = prepare(tmp_path, {"model.onnx": KINDS["sparse"]().SerializeToString()})
    assert sorted(path.name for path in into.iterdir()) == [PREPARED_GRAPH, PREPARED_WEIGHTS]


def test_a_model_that_kills_its_process_is_not_prepared(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "into"
    source.mkdir()
    into.mkdir()
    inspector = SandboxedInspector()
    kind = inspector.inspect(source, lay_out(source, {"model.onnx": models.linear().SerializeToString()}))
    deadly = lay_out(source, {"model.onnx": models.folded_division().SerializeToString()})
    preparation = inspector.prepare(source, deadly, kind, into)
    assert preparation == Preparation(reason="the model crashed its process (SIGFPE) while it was prepared")
