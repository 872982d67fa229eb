"""Tiny ONNX models, and records of versions that have them, for tests of the serving side."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper, save_model

from registry.artifact import Digest, make_artifact
from registry.batching import Batching, BatchReport, Level, Shapes
from registry.inspection.host import runtime_name
from registry.records import Inspection, Version
from registry.signature import Signature
from registry.standing import CLEAN, Standing
from registry.tensor import DTYPES, TensorSpec
from registry.threads import ThreadReport, WholeShapes

FLOAT_ROW = TensorSpec(name="x", dtype=DTYPES["float32"], shape=("n", 4))
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def make_version(  # noqa: PLR0913 - a version has many parts
    model: str = "iris",
    number: int = 1,
    *,
    inputs: Sequence[TensorSpec] = (FLOAT_ROW,),
    outputs: Sequence[str] = ("label", "probabilities"),
    memory_bytes: int = 1 << 20,
    run_seconds: float | None = 1e-5,
    is_bounded: bool = True,
    description: str = "",
    batch: BatchReport | None = None,
    batching: Batching = Batching.EXACT,
    standing: Standing = CLEAN,
) -> Version:
    """Return a version; only what serving looks at differs between two of them."""
    digest = Digest(hashlib.sha256(f"{model}:{number}".encode()).hexdigest())
    specs = tuple(TensorSpec(name=name, dtype=DTYPES["float32"], shape=None) for name in outputs)
    return Version(
        model=model,
        number=number,
        artifact=make_artifact({"model.onnx": (digest, 1)}),
        inspection=Inspection(
            signature=Signature(inputs=tuple(inputs), outputs=specs),
            opset_imports={"ai.onnx": 17},
            producer="tests",
            metadata={},
            runtime=runtime_name(),
            memory_bytes=memory_bytes,
            load_seconds=0.001,
            run_seconds=run_seconds,
            is_bounded=is_bounded,
            batch=batch,
        ),
        description=description,
        tags={},
        batching=batching,
        created_at=CREATED_AT,
        created_by="tests",
        retired_at=None,
        standing=standing,
    )


def report_on(
    level: Level = Level.EXACT,
    *,
    host: str = "here",
    shapes: Shapes = ((4,),),
    run_seconds: Mapping[int, float] | None = None,
) -> BatchReport:
    """Return a report; by default of rows that cost nothing beside the first."""
    if run_seconds is None:
        run_seconds = dict.fromkeys((1, 2, 4, 8, 16, 32), 0.5)
    return BatchReport(
        level=level,
        reason="" if level is Level.EXACT else "told so",
        host=host,
        rows=max(run_seconds),
        shapes=(shapes,),
        largest_difference=0.0,
        run_seconds=run_seconds,
    )


def version_of(signature: Signature, *, model: str = "m", number: int = 7) -> Version:
    """Return a version that takes and gives this."""
    plain = make_version(model, number)
    return replace(plain, inspection=replace(plain.inspection, signature=signature))


def with_threads(version: Version, report: ThreadReport | None) -> Version:
    """Return the version as if this had been found out about it."""
    return replace(version, inspection=replace(version.inspection, threads=report))


def threads_on(
    run_seconds: Mapping[int, float] | None = None,
    *,
    host: str = "here",
    shapes: Sequence[WholeShapes] = (((1, 4),), ((5, 4),)),
) -> ThreadReport:
    """Return a report; by default of runs that are divided among up to eight threads without any loss."""
    if run_seconds is None:
        run_seconds = {1: 0.8, 2: 0.4, 4: 0.2, 8: 0.1}
    return ThreadReport(host=host, reason="", shapes=tuple(shapes), run_seconds=run_seconds)


def classifier() -> ModelProto:
    """Return x float32 [n, 4] -> label int64 [n], probabilities float32 [n, 3]."""
    weights = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    nodes = [
        helper.make_node("Gemm", ["x", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"]),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [_float("probabilities", ["n", 3]), helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])]
    return _model(nodes, [_float("x", ["n", 4])], outputs, {"weights": weights})


def counting_loop() -> ModelProto:
    """Return trips int64 [] -> y float32 [1]: adds ``x`` to itself as often as the caller says, for ever if told so."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going_on"], ["go_on"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("going_on", TensorProto.BOOL, []),
            _float("before", [1]),
        ],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), _float("after", [1])],
    )
    nodes = [helper.make_node("Loop", ["trips", "always", "start"], ["y"], body=body)]
    values = {"always": np.array(True), "start": np.array([1.0], np.float32)}
    return _model(nodes, [helper.make_tensor_value_info("trips", TensorProto.INT64, [])], [_float("y", [1])], values)


def gather() -> ModelProto:
    """Return index int64 [n] -> y float32 [n], picked from three values: an index out of range fails the run."""
    nodes = [helper.make_node("Gather", ["values", "index"], ["y"])]
    index = helper.make_tensor_value_info("index", TensorProto.INT64, ["n"])
    return _model(nodes, [index], [_float("y", ["n"])], {"values": np.array([10, 20, 30], np.float32)})


def row_count() -> ModelProto:
    """Return x float32 [n, 4] -> y float32 [n]: how many rows there are, for each of them."""
    nodes = [
        helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
        helper.make_node("Cast", ["rows"], ["count"], to=TensorProto.FLOAT),
        helper.make_node("Expand", ["count", "rows"], ["y"]),
    ]
    return _model(nodes, [_float("x", ["n", 4])], [_float("y", ["n"])], {})


def mean_of_rows() -> ModelProto:
    """Return x float32 [n, 4] -> y float32 [1, 4]."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[0], keepdims=1)]
    return _model(nodes, [_float("x", ["n", 4])], [_float("y", [1, 4])], {})


def broken_text() -> ModelProto:
    """Return x float32 [n, 4] -> text string [1] that is not UTF-8."""
    tensor = helper.make_tensor("value", TensorProto.STRING, [1], [b"\xff\xfe"])
    nodes = [helper.make_node("Constant", [], ["text"], value=tensor)]
    text = helper.make_tensor_value_info("text", TensorProto.STRING, [1])
    return _model(nodes, [_float("x", ["n", 4])], [text], {})


def with_default() -> ModelProto:
    """Return x float32 [n], bias float32 [1] (0.5 where it is left out) -> y = x + bias."""
    bias = np.array([0.5], np.float32)
    nodes = [helper.make_node("Add", ["x", "bias"], ["y"])]
    return _model(nodes, [_float("x", ["n"]), _float("bias", [1])], [_float("y", ["n"])], {"bias": bias})


MODELS: Mapping[str, Callable[[], ModelProto]] = {
    "classifier": classifier,
    "counting_loop": counting_loop,
    "gather": gather,
    "broken_text": broken_text,
    "with_default": with_default,
    "row_count": row_count,
    "mean_of_rows": mean_of_rows,
}


def write_model(folder: Path, name: str) -> Path:
    """Write one of ``MODELS`` and return its path."""
    path = folder / f"{name}.onnx"
    save_model(MODELS[name](), path)
    return path


def _float(name: str, shape: Sequence[int | str]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: Sequence[Any],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    values: Mapping[str, np.ndarray[Any, Any]],
) -> ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph: GraphProto = helper.make_graph(nodes, "tests", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
