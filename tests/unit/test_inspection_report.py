"""What the parent makes of what a dying stranger has written, and the inputs that a trial makes up."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from registry.inspection.probes import MAX_ELEMENTS, Probe, larger_probes, small_probes
from registry.inspection.report import Report, Reporter, read_report
from registry.records import Inspection
from registry.signature import Signature
from registry.tensor import DTYPES, TensorSpec

X = TensorSpec(name="x", dtype=DTYPES["float32"], shape=("batch", None, 3))
N = TensorSpec(name="n", dtype=DTYPES["int64"], shape=("batch",))
S = TensorSpec(name="s", dtype=DTYPES["string"], shape=())
DEFAULT = TensorSpec(name="d", dtype=DTYPES["float32"], shape=(1,), optional=True)
OPEN = TensorSpec(name="o", dtype=DTYPES["bool"], shape=None)

INSPECTION = Inspection(
    signature=Signature(inputs=(X, DEFAULT), outputs=(N,)),
    opset_imports={"ai.onnx": 18},
    producer="tests",
    metadata={"k": "v"},
    runtime="onnxruntime 1",
    memory_bytes=1,
    load_seconds=0.5,
    run_seconds=None,
    is_bounded=True,
)


def test_a_report_is_read_as_it_was_written() -> None:
    reading, writing = os.pipe()
    reporter = Reporter(writing)
    reporter.stage("run")
    reporter.found(INSPECTION)
    later = replace(INSPECTION, run_seconds=0.25)
    reporter.found(later)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert read_report(pipe.read()) == Report(stage="run", inspection=later)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b'{"stage": "lo',
        b"\xff\xfe\n[1]\n7\nnull\n",
        json.dumps({"inspection": {"signature": 3}}).encode(),
        b'{"inspection": null}\n{"refused": {"code": 1}}\n',
    ],
    ids=["nothing", "half a line", "noise", "half an inspection", "the wrong kinds"],
)
def test_what_makes_no_sense_is_passed_over(octets: bytes) -> None:
    assert read_report(octets) == Report()


def shapes(probe: Probe, *inputs: TensorSpec) -> dict[str, tuple[int, ...]] | None:
    feed = probe.feed(Signature(inputs=inputs, outputs=()))
    return None if feed is None else {name: tensor.shape for name, tensor in feed.items()}


def test_a_probe_fits_the_signature_and_leaves_defaults_alone() -> None:
    probe = Probe(first=2, rest=5, value=1)
    assert shapes(probe, X, N, S, DEFAULT, OPEN) == {"x": (2, 5, 3), "n": (2,), "s": (), "o": (2, 5)}


def test_a_probe_has_the_dtypes_of_the_signature() -> None:
    feed = Probe(first=1, rest=1, value=1).feed(Signature(inputs=(X, N, S, OPEN), outputs=()))
    assert feed is not None
    assert [tensor.dtype for tensor in feed.values()] == [np.float32, np.int64, np.dtype(object), np.bool_]
    assert feed["s"].item() == "1"


def test_a_probe_that_would_be_huge_is_not_made() -> None:
    huge = TensorSpec(name="h", dtype=DTYPES["float32"], shape=(MAX_ELEMENTS + 1,))
    assert shapes(Probe(first=1, rest=1, value=1), huge) is None


def test_small_probes_begin_with_one_of_everything() -> None:
    fixed = Signature(inputs=(replace(X, shape=(1, 2)),), outputs=())
    assert [(probe.first, probe.rest, probe.value) for probe in small_probes(fixed)] == [(1, 1, 1), (1, 1, 0)]
    free = [(probe.first, probe.rest) for probe in small_probes(Signature(inputs=(X,), outputs=()))]
    assert free[:6] == [(1, 1), (1, 1), (1, 2), (1, 2), (2, 2), (2, 2)]


def test_larger_probes_grow() -> None:
    signature = Signature(inputs=(X,), outputs=())
    accepted = Probe(first=1, rest=4, value=0)
    sizes = [probe.elements(signature) for probe in (accepted, *larger_probes(accepted))]
    assert sizes == [1 * 4 * 3, 8 * 4 * 3, 8 * 32 * 3, 32 * 32 * 3]
