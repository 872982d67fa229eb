"""Prepared forms of real and made-up models, made in the child as the gateway has them made."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from gateway.serving.runtime import Cancellation, Session
from registry.inspection.sandbox import SandboxedInspector
from registry.storage import PREPARED_GRAPH, Preparation
from tests.support import models
from tests.support.inspecting import lay_out
from tests.support.real_models import RealModel, published_models

PUBLISHED = published_models()


def prepare(folder: Path, files: dict[str, bytes]) -> tuple[Preparation, Path]:
    """Return what has become of it, and the folder."""
    source, into = folder / "source", folder / "into"
    source.mkdir()
    into.mkdir()
    inspector = SandboxedInspector()
    artifact = lay_out(source, files)
    return inspector.prepare(source, artifact, inspector.inspect(source, artifact), into), into


def plain(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("real", PUBLISHED, ids=[real.name for real in PUBLISHED])
def test_a_prepared_real_model_answers_bit_for_bit(real: RealModel, tmp_path: Path) -> None:
    preparation, into = prepare(tmp_path, {"model.onnx": real.path.read_bytes()})
    assert preparation.reason == ""
    assert preparation.memory_bytes is not None
    session = plain(real.path)
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
    (wanted,) = plain(tmp_path / "source" / "model.onnx").run(["y"], {"x": rows})
    assert answer.tobytes() == wanted.tobytes()


def test_a_model_that_draws_lots_is_not_prepared(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    noisy = models.model(nodes, [models.value("x")], [models.value("y")])
    preparation, _ = prepare(tmp_path, {"model.onnx": noisy.SerializeToString()})
    assert preparation == Preparation(reason="the model itself answers differently each time")


def test_a_model_with_optional_inputs_is_not_prepared(tmp_path: Path) -> None:
    preparation, _ = prepare(tmp_path, {"model.onnx": models.optional_bias().SerializeToString()})
    reason = "it has optional inputs, whose defaults the optimised graph may have taken for granted"
    assert preparation == Preparation(reason=reason)


def test_a_model_that_kills_its_process_is_not_prepared(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "into"
    source.mkdir()
    into.mkdir()
    inspector = SandboxedInspector()
    kind = inspector.inspect(source, lay_out(source, {"model.onnx": models.linear().SerializeToString()}))
    deadly = lay_out(source, {"model.onnx": models.folded_division().SerializeToString()})
    preparation = inspector.prepare(source, deadly, kind, into)
    assert preparation == Preparation(reason="the model crashed its process (SIGFPE) while it was prepared")
