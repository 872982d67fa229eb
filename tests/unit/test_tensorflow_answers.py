"""Answers of TensorFlow Serving's REST: rows and columns, of one output and of several."""

import json
from typing import Any

import numpy as np
import pytest

from gateway.codec.tensorflow_answers import write_columns, write_predictions
from registry.errors import OutputNotText, SignatureMismatch, Violation

FLOATS = np.array([[0.1, -0.0], [np.nan, np.inf]], np.float32)
TEXTS = np.array(["a, b", '"]['], object)


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        pytest.param({"y": FLOATS}, b'{"outputs":[[0.1,-0.0],["NaN","Infinity"]]}', id="one"),
        pytest.param({"y": np.array(2**63 - 1)}, b'{"outputs":9223372036854775807}', id="a scalar"),
        pytest.param(
            {"y": np.array([1, 2]), 'a"%b': TEXTS}, b'{"outputs":{"y":[1,2],"a\\"%b":["a, b","\\"]["]}}', id="several"
        ),
        pytest.param({"y": np.empty((2, 0, 3))}, b'{"outputs":[[],[]]}', id="nothing in it"),
        pytest.param({"y": np.empty((0, 3))}, b'{"outputs":[]}', id="no rows"),
    ],
)
def test_columns_are_written(outputs: dict[str, Any], answer: bytes) -> None:
    assert write_columns(outputs) == answer


@pytest.mark.parametrize(
    ("outputs", "rows", "answer"),
    [
        pytest.param({"y": FLOATS}, 2, b'{"predictions":[[0.1,-0.0],["NaN","Infinity"]]}', id="one"),
        pytest.param({"y": np.empty((0, 3))}, 0, b'{"predictions":[]}', id="no rows"),
        pytest.param({"y": np.empty((2, 0, 3))}, 2, b'{"predictions":[[],[]]}', id="empty rows"),
        pytest.param(
            {"label": np.array([3, 4]), "p%": FLOATS},
            2,
            b'{"predictions":[{"label":3,"p%":[0.1,-0.0]},{"label":4,"p%":["NaN","Infinity"]}]}',
            id="several",
        ),
        pytest.param(
            {"t": TEXTS, "e": np.empty((2, 0)), "c": np.arange(8).reshape(2, 2, 2), "b": np.array([True, False])},
            2,
            b'{"predictions":[{"t":"a, b","e":[],"c":[[0,1],[2,3]],"b":true},'
            b'{"t":"\\"][","e":[],"c":[[4,5],[6,7]],"b":false}]}',
            id="text, nothing, cubes and truth",
        ),
        pytest.param(
            {"a": np.array([["x"], ["y"]], object), "b": np.array([1, 2])},
            2,
            b'{"predictions":[{"a":["x"],"b":1},{"a":["y"],"b":2}]}',
            id="rows of text",
        ),
        pytest.param({"a": np.empty((0,)), "b": np.empty((0, 2))}, 0, b'{"predictions":[]}', id="no rows of several"),
    ],
)
def test_rows_are_written(outputs: dict[str, Any], rows: int, answer: bytes) -> None:
    assert write_predictions(outputs, rows) == answer


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda array: array[::-1], lambda array: np.repeat(array, 2, axis=1)[:, ::2]]
)
def test_rows_are_those_of_the_array_however_it_lies_in_memory(layout: Any) -> None:
    array = layout(np.arange(12, dtype=np.float64).reshape(4, 3))
    answer = json.loads(write_predictions({"a": array, "b": array}, 4))
    assert answer == {"predictions": [{"a": row, "b": row} for row in array.tolist()]}


def test_outputs_that_are_no_rows_are_named_with_what_helps() -> None:
    outputs = {"mean": np.array(1, np.float32), "top": np.zeros((3, 2), np.int64), "y": np.zeros(2)}
    expected = "outputs with a row for each of the 2 instances (send inputs, and the answer is in columns)"
    with pytest.raises(SignatureMismatch) as caught:
        write_predictions(outputs, 2)
    assert list(caught.value.violations) == [
        Violation(path="/instances", expected=expected, received=received, code="outputs_not_rows")
        for received in ("mean: float32[]", "top: int64[3, 2]")
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_text_that_is_none_is_refused(count: int) -> None:
    texts = np.array(["\ud800"], object)
    with pytest.raises(OutputNotText):
        write_predictions(dict.fromkeys(["a", "b"][:count], texts), 1)
