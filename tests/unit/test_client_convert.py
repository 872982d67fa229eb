"""What is sent for each kind of thing that a data scientist has."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gateway.client import UnusableArgument, VersionInfo
from gateway.client.comparison import compare
from gateway.client.convert import CHUNK_BYTES, Submission, prepare
from gateway.client.convert_torch import flatten_answer, free_batch

ROWS, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])


def sent(submission: Submission) -> dict[str, bytes]:
    """Read every file as the wire would get it, and let go of it."""
    contents = {file.name: b"".join(file.chunks()) for file in submission.files}
    for file in submission.files:
        assert (file.size_bytes, file.sha256_hex) == (
            len(contents[file.name]),
            hashlib.sha256(contents[file.name]).hexdigest(),
        )
    submission.close()
    return contents


def two_files(folder: Path) -> tuple[Path, Path]:
    weights = numpy_helper.from_array(np.ones(1000, np.float32), "w")
    model = helper.make_model(helper.make_graph([], "g", [], [], initializer=[weights]))
    onnx.save(model, folder / "net.onnx", save_as_external_data=True, location="net.data")
    return folder / "net.onnx", folder / "net.data"


def test_bytes_are_one_file_called_model() -> None:
    assert sent(prepare(b"graph")) == {"model.onnx": b"graph"}


def test_a_model_proto_is_its_bytes() -> None:
    model = helper.make_model(helper.make_graph([], "g", [], []))

    assert sent(prepare(model)) == {"model.onnx": model.SerializeToString()}


def test_a_big_file_is_read_in_chunks_as_often_as_needed() -> None:
    submission = prepare(b"x" * (2 * CHUNK_BYTES + 1))

    assert [len(chunk) for chunk in submission.files[0].chunks()] == [CHUNK_BYTES, CHUNK_BYTES, 1]
    assert submission.size_bytes == len(sent(submission)["model.onnx"])


def test_a_path_brings_the_files_that_its_graph_names(tmp_path: Path) -> None:
    graph, weights = two_files(tmp_path)

    submission = prepare(str(graph))

    assert list(sent(submission).items()) == [
        ("net.onnx", graph.read_bytes()),
        ("net.data", weights.read_bytes()),
    ]


def test_a_data_file_may_lie_elsewhere_if_its_path_is_given(tmp_path: Path) -> None:
    graph, weights = two_files(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    weights.rename(elsewhere / weights.name)

    assert list(sent(prepare([elsewhere / weights.name, graph]))) == ["net.onnx", "net.data"]


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    graph, weights = two_files(tmp_path)
    weights.unlink()

    with pytest.raises(UnusableArgument) as caught:
        prepare(graph)
    assert str(caught.value) == f"{graph} keeps weights in net.data, which is not beside it: give its path too"


@pytest.mark.parametrize("names", [[], ["w.data"], ["a.onnx", "b.onnx"]], ids=["nothing", "no graph", "two graphs"])
def test_one_graph_makes_a_version(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UnusableArgument):
        prepare([tmp_path / name for name in names])


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    graph, weights = two_files(tmp_path)

    with pytest.raises(UnusableArgument):
        prepare([graph, weights, tmp_path / "elsewhere" / weights.name])


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        prepare(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("thing", [3, None, io.BytesIO(b"x"), {"a": 1}], ids=["number", "none", "stream", "mapping"])
def test_what_cannot_be_a_model_is_refused_by_its_type(thing: Any) -> None:
    with pytest.raises(UnusableArgument) as caught:
        prepare(thing)
    assert str(caught.value).startswith(f"a {type(thing).__name__} cannot be registered: give a path")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("estimator", "labels"),
    [
        (LogisticRegression(max_iter=500), LABELS),
        (LogisticRegression(max_iter=500), NAMES[LABELS]),
        (RandomForestClassifier(5, random_state=0), LABELS),
        (make_pipeline(StandardScaler(), LogisticRegression()), LABELS),
        (LinearRegression(), ROWS[:, 0]),
        (StandardScaler(), None),
    ],
    ids=["logistic", "logistic with names", "forest", "pipeline", "regressor", "transformer"],
)
def test_an_estimator_says_the_same_as_a_graph(estimator: BaseEstimator, labels: Any, dtype: type[Any]) -> None:
    rows = ROWS.astype(dtype)
    estimator.fit(rows, labels)

    submission = prepare(estimator, example=rows[:20])
    session = onnxruntime.InferenceSession(sent(submission)["model.onnx"])

    assert [(spec.name, spec.shape) for spec in session.get_inputs()] == [("x", [None, 4])]
    assert submission.original is not None
    (example,) = submission.original.inputs
    names = [spec.name for spec in session.get_outputs()]
    assert names == (["label", "probabilities"] if hasattr(estimator, "predict_proba") else ["variable"])
    answer = dict(zip(names, session.run(None, {"x": example}), strict=True))
    outputs = [{"name": name, "dtype": "float32", "shape": None} for name in names]
    version = VersionInfo({"model": "m", "version": 1, "signature": {"inputs": [], "outputs": outputs}})
    assert compare(version, original=submission.original, answer=answer).rows == 20


def test_an_estimator_needs_an_example() -> None:
    with pytest.raises(UnusableArgument) as caught:
        prepare(StandardScaler().fit(ROWS))
    assert "register(..., example=X_train[:10])" in str(caught.value)


@pytest.mark.parametrize(
    "example", [ROWS[0], ROWS[:0], np.array([["a", "b"]])], ids=["one row as a list", "no row", "text"]
)
def test_an_example_is_a_table_of_numbers(example: Any) -> None:
    with pytest.raises(UnusableArgument):
        prepare(StandardScaler().fit(ROWS), example=example)


@pytest.mark.parametrize(
    ("shapes", "dynamic"),
    [
        ([(2, 3)], ({0: "batch"},)),
        ([(2, 3), (2,)], ({0: "batch"}, {0: "batch"})),
        ([(2, 3), (1, 2, 64)], None),
        ([(2, 3), ()], None),
        ([], None),
    ],
    ids=["one", "two that agree", "a state of another length", "a scalar", "none"],
)
def test_the_batch_is_free_where_all_tensors_agree_about_it(shapes: list[tuple[int, ...]], dynamic: Any) -> None:
    assert free_batch(shapes) == dynamic


def test_a_modules_answer_is_flattened_in_its_order() -> None:
    assert flatten_answer((1, [2, {"a": 3, "b": (4,)}], None)) == [1, 2, 3, 4]
