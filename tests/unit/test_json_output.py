"""Answers, byte for byte."""

from typing import Any

import numpy as np
import pytest

from gateway.codec.json_tensors import JsonCodec
from gateway.serving.batching import split
from registry.errors import OutputNotText
from registry.signature import Signature
from registry.tensor import DTYPES, TensorSpec
from tests.support.signatures import IRIS

CODEC = JsonCodec(model="iris", version=3, signature=IRIS)


def written(array: Any) -> str:
    """What stands for an array in an answer."""
    answer = CODEC.encode(["y"], [array], request_id=None).decode()
    head, tail = '{"model":"iris","version":3,"outputs":{"y":', "}}"
    assert (answer[: len(head)], answer[-len(tail) :]) == (head, tail)
    return answer[len(head) : -len(tail)]


def test_an_answer_names_model_version_outputs_and_id() -> None:
    arrays = [np.array([0]), np.array([[0.98, 0.01, 0.01]], dtype=np.float32)]
    assert CODEC.encode(["label", "probabilities"], arrays, request_id='a "quoted" id') == (
        b'{"model":"iris","version":3,"outputs":{"label":[0],"probabilities":[[0.98,0.01,0.01]]},'
        b'"id":"a \\"quoted\\" id"}'
    )


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param(np.array([0.1, 1e-45, 3.4028235e38, -0.0], np.float32), "[0.1,1e-45,3.4028235e+38,-0.0]", id="f4"),
        pytest.param(np.array([5e-324, 1e22], np.float64), "[5e-324,1e+22]", id="float64"),
        pytest.param(np.array([65504, 0.5], np.float16), "[65504.0,0.5]", id="float16"),
        pytest.param(np.array([-(2**63), 2**63 - 1]), "[-9223372036854775808,9223372036854775807]", id="int64"),
        pytest.param(np.array([2**64 - 1], np.uint64), "[18446744073709551615]", id="uint64"),
        pytest.param(np.array([-128], np.int8), "[-128]", id="int8"),
        pytest.param(np.array([[True], [False]]), "[[true],[false]]", id="bool"),
        pytest.param(np.array(["a", '"', "\N{SNOWMAN}"], object), '["a","\\"","\N{SNOWMAN}"]', id="string"),
        pytest.param(np.array(["null", "[]"], object), '["null","[]"]', id="text like what is looked for"),
        pytest.param(
            np.array([b"caf\xc3\xa9"], object), '["caf\N{LATIN SMALL LETTER E WITH ACUTE}"]', id="UTF-8 bytes"
        ),
        pytest.param(np.array(0.1, np.float32), "0.1", id="float scalar"),
        pytest.param(np.array(7), "7", id="integer scalar"),
        pytest.param(np.array(True), "true", id="bool scalar"),
        pytest.param(np.array("a", object), '"a"', id="text scalar"),
        pytest.param(np.array(np.nan, np.float16), '"NaN"', id="NaN scalar"),
        pytest.param(
            np.array([1, np.nan, np.inf, -np.inf], np.float32), '[1.0,"NaN","Infinity","-Infinity"]', id="words"
        ),
        pytest.param(np.array([[np.inf], [0.1]]), '[["Infinity"],[0.1]]', id="words in rows"),
        pytest.param(np.zeros(0, np.int64), "[]", id="nothing"),
        pytest.param(np.zeros((2, 0), np.float32), "[[],[]]", id="zero in the last place"),
        pytest.param(np.zeros((0, 3), np.float32), '{"shape":[0,3],"data":[]}', id="zero in the first place"),
        pytest.param(np.zeros((2, 0, 3), bool), '{"shape":[2,0,3],"data":[]}', id="zero in the middle"),
        pytest.param(np.zeros((0, 2), object), '{"shape":[0,2],"data":[]}', id="no text"),
        pytest.param(np.arange(6).reshape(2, 3).T, "[[0,3],[1,4],[2,5]]", id="transposed"),
        pytest.param(np.array([1, 9, np.nan, 9], np.float32)[::2], '[1.0,"NaN"]', id="every other one"),
    ],
)
def test_every_array_has_its_json(array: Any, expected: str) -> None:
    assert written(array) == expected


def test_a_single_nan_in_a_long_answer_is_written_as_a_word() -> None:
    array = np.ones((300, 10), np.float32)
    array[299, 9] = np.nan
    assert written(array) == "[" + "[1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0]," * 299 + "[" + "1.0," * 9 + '"NaN"]]'


@pytest.mark.parametrize("element", ["\ud800", b"\xff", b"\xed\xa0\x80"])
def test_text_that_is_not_utf8_is_refused_and_the_next_answer_is_fine(element: object) -> None:
    with pytest.raises(OutputNotText) as caught:
        CODEC.encode(["label"], [np.array(["fine", element], object)], request_id=None)
    assert caught.value.code == "model_output_not_text"
    assert written(np.array([0])) == "[0]"


@pytest.mark.parametrize("counts", [[1, 1, 1, 1, 1], [2, 1, 2], [5]])
def test_answers_that_are_written_together_are_those_written_one_by_one(counts: list[int]) -> None:
    names = ["label", "probabilities", "a %s of [boxes]"]
    label, scores = np.arange(5), np.arange(15, dtype=np.float32).reshape(5, 3) * -1e-45
    arrays = [label, scores, np.arange(60, dtype=np.float64).reshape(5, 2, 3, 2)[:, :, ::-1] / 7]
    one_by_one = [CODEC.encode(names, share, request_id=None) for share in split(arrays, counts)]
    assert CODEC.encode_rows(names, arrays, counts) == one_by_one


@pytest.mark.parametrize(
    "special",
    [np.array([[np.nan, 1, 2], [3, 4, 5]], np.float32), np.empty((2, 0), np.float32), np.empty((2, 0, 3), np.float32)],
    ids=["no number", "no columns", "a zero in the middle"],
)
def test_what_needs_a_second_look_is_not_written_together(special: Any) -> None:
    assert CODEC.encode_rows(["label", "probabilities"], [np.array([1, 2]), special], [1, 1]) is None


@pytest.mark.parametrize("counts", [[1, 1], [2, 2], [2]])
def test_rows_that_are_not_as_many_as_was_asked_for_are_not_written_together(counts: list[int]) -> None:
    assert CODEC.encode_rows(["label"], [np.arange(3)], counts) is None


def test_text_is_not_written_together() -> None:
    text = TensorSpec(name="y", dtype=DTYPES["string"], shape=("n",))
    codec = JsonCodec(model="m", version=1, signature=Signature(inputs=IRIS.inputs, outputs=(text,)))
    assert codec.encode_rows(["y"], [np.array([",", "],["], object)], [1, 1]) is None
