"""The committed example models are what their scripts make."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from examples import make_blend, make_iris

EXAMPLES = Path(make_iris.__file__).parent
FLOWERS = np.array([[5.1, 3.5, 1.4, 0.2], [6.0, 2.7, 4.4, 1.3], [6.9, 3.1, 5.8, 2.1]], np.float32)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    make_iris.main(folder)
    make_blend.main(folder)
    return folder


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _interface(path: Path) -> list[list[tuple[str, str, list[object]]]]:
    session = _session(path)
    sides = (session.get_inputs(), session.get_overridable_initializers(), session.get_outputs())
    return [[(value.name, value.type, value.shape) for value in side] for side in sides]


@pytest.mark.parametrize("name", ["iris_logistic.onnx", "iris_forest.onnx"])
def test_the_classifiers_share_one_interface(name: str) -> None:
    assert _interface(EXAMPLES / name) == [
        [("x", "tensor(float)", ["batch", 4])],
        [],
        [("label", "tensor(int64)", ["batch"]), ("probabilities", "tensor(float)", ["batch", 3])],
    ]


def test_the_blend_has_an_optional_input() -> None:
    table = ("tensor(float)", ["batch", "features"])
    assert _interface(EXAMPLES / "blend.onnx") == [
        [("a", *table), ("b", *table)],
        [("share", "tensor(float)", [])],
        [("blended", *table)],
    ]


@pytest.mark.parametrize("name", ["iris_logistic.onnx", "iris_forest.onnx"])
def test_a_classifier_made_anew_answers_like_the_committed_one(written: Path, name: str) -> None:
    label, probabilities = _session(EXAMPLES / name).run(None, {"x": FLOWERS})
    new_label, new_probabilities = _session(written / name).run(None, {"x": FLOWERS})
    assert (label.tolist(), new_label.tolist()) == ([0, 1, 2], [0, 1, 2])
    # Training sums in another order on another processor, and stops at another step: the third digit may differ.
    np.testing.assert_allclose(new_probabilities, probabilities, rtol=0.05, atol=1e-3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_the_scripts_write_the_same_bytes_each_time(written: Path, tmp_path: Path) -> None:
    make_iris.main(tmp_path)
    make_blend.main(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in written.iterdir()
    }


def test_the_blend_is_written_byte_for_byte(written: Path) -> None:
    assert (written / "blend.onnx").read_bytes() == (EXAMPLES / "blend.onnx").read_bytes()


def test_the_blend_blends() -> None:
    session = _session(EXAMPLES / "blend.onnx")
    feed = {"a": np.array([[1, 2]], np.float32), "b": np.array([[3, 6]], np.float32)}
    assert session.run(None, feed)[0].tolist() == [[2, 4]]
    assert session.run(None, {**feed, "share": np.array(1, np.float32)})[0].tolist() == [[1, 2]]
