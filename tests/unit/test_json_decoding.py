"""Bodies that are taken, and the arrays that they mean."""

import json
from typing import Any

import numpy as np
import pytest

from gateway.codec.exact_decode import decode_exactly
from gateway.codec.json_tensors import JsonCodec, PredictBody
from registry.signature import Signature
from registry.tensor import TensorSpec
from tests.support.signatures import IRIS, SHOP, signature, tensor

FLOWER = np.array([[5.1, 3.5, 1.4, 0.2]], dtype=np.float32)


def decode(what: Signature, body: bytes) -> PredictBody:
    return JsonCodec(model="m", version=1, signature=what).decode(body)


def feed_of(body: PredictBody) -> dict[str, tuple[str, tuple[int, ...], Any]]:
    """Everything about the arrays, comparable as a whole."""
    return {name: (array.dtype.name, array.shape, array.tolist()) for name, array in body.feed.items()}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"inputs": {"x": [[5.1, 3.5, 1.4, 0.2]]}}', id="by name"),
        pytest.param(b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}', id="the only input itself"),
        pytest.param(b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}', id="rows"),
        pytest.param(b'{"inputs": {"x": {"shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}}}', id="shape and data"),
        pytest.param(b'{"inputs": {"shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}}', id="the only input, flat"),
        pytest.param(b'{"inputs": {"\\u0078": [[5.1, 35e-1, 0.14E+1, 20e-2]]}}', id="escaped key, exponents"),
        pytest.param(b' {\n"inputs" :\t{"x":[ [5.1,3.5,1.4,0.2]\r]} } ', id="white space"),
    ],
)
def test_each_form_of_one_tensor_means_the_same_array(body: bytes) -> None:
    decoded = decode(IRIS, body)
    assert decoded.feed["x"].tobytes() == FLOWER.tobytes()
    assert feed_of(decoded) == {"x": ("float32", (1, 4), FLOWER.tolist())}


def test_outputs_and_id_are_given_on() -> None:
    body = b'{"inputs": [[1, 2, 3, 4]], "outputs": ["probabilities", "label"], "id": "order \\u2116 7"}'
    decoded = decode(IRIS, body)
    assert (decoded.outputs, decoded.id) == (("probabilities", "label"), "order \N{NUMERO SIGN} 7")


def test_without_outputs_and_id_both_are_none() -> None:
    decoded = decode(IRIS, b'{"inputs": [[1, 2, 3, 4]]}')
    assert (decoded.outputs, decoded.id) == (None, None)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"inputs": {"words": [["a", "b"], ["c", "d"]], "user": [7, 8]}}', id="by name, in any order"),
        pytest.param(
            b'{"instances": [{"user": 7, "words": ["a", "b"]}, {"words": ["c", "d"], "user": 8}]}', id="rows of objects"
        ),
        pytest.param(
            b'{"inputs": {"user": {"data": [7, 8], "shape": [2]},'
            b' "words": {"shape": [2, 2], "data": ["a", "b", "c", "d"]}}}',
            id="shape and data",
        ),
    ],
)
def test_each_form_of_several_tensors_means_the_same_arrays_in_the_order_of_the_signature(body: bytes) -> None:
    decoded = decode(SHOP, body)
    assert list(decoded.feed) == ["user", "words"]
    assert feed_of(decoded) == {"user": ("int64", (2,), [7, 8]), "words": ("object", (2, 2), [["a", "b"], ["c", "d"]])}


def test_an_optional_input_may_come() -> None:
    decoded = decode(SHOP, b'{"inputs": {"user": [7], "words": [["a", "b"]], "discount": 0.1}}')
    assert feed_of(decoded)["discount"] == ("float64", (), 0.1)


@pytest.mark.parametrize(
    ("spec", "written", "expected"),
    [
        pytest.param(
            tensor("x", "float64", (None,)), b"[5e-324, 1e20, 99999999999999999999]", [5e-324, 1e20, 1e20], id="float64"
        ),
        pytest.param(
            tensor("x", "float32", (None,)),
            b"[16777217, 3.4028235e38, 1e-45]",
            [2.0**24, 2.0**128 - 2.0**104, 2.0**-149],
            id="float32",
        ),
        pytest.param(
            tensor("x", "float16", (None,)), b"[2049, 65519.99, 6e-8]", [2048.0, 65504.0, 2**-24], id="float16"
        ),
        pytest.param(tensor("x", "uint8", (None,)), b"[0, 255, -0]", [0, 255, 0], id="uint8"),
        pytest.param(
            tensor("x", "int64", (2,)),
            b"[-9223372036854775808, 9223372036854775807]",
            [-(2**63), 2**63 - 1],
            id="int64",
        ),
        pytest.param(tensor("x", "uint64", (1,)), b"[18446744073709551615]", [2**64 - 1], id="uint64"),
        pytest.param(tensor("x", "bool", (1, 2)), b"[[true, false]]", [[True, False]], id="bool"),
        pytest.param(
            tensor("x", "string", (3,)),
            b'["", "\\ud83d\\ude00", "a\\"\\\\b"]',
            ["", "\N{GRINNING FACE}", 'a"\\b'],
            id="string",
        ),
        pytest.param(tensor("x", "string", (0,)), b"[]", [], id="empty"),
        pytest.param(tensor("x", "int32", (3, 0)), b"[[], [], []]", [[], [], []], id="zero in the last place"),
        pytest.param(
            tensor("x", "int32", (0, 3)), b'{"shape": [0, 3], "data": []}', [], id="zero before the last place"
        ),
        pytest.param(tensor("x", "int32", ()), b"5", 5, id="scalar"),
        pytest.param(tensor("x", "string", ()), b'{"shape": [], "data": ["a"]}', "a", id="flat scalar"),
        pytest.param(tensor("x", "float32", None), b"[[[1.5]]]", [[[1.5]]], id="unknown rank"),
        pytest.param(tensor("x", "float32", None), b"1.5", 1.5, id="unknown rank, scalar"),
    ],
)
def test_every_dtype_and_shape_is_read(spec: TensorSpec, written: bytes, expected: Any) -> None:
    for body in (b'{"inputs": {"x": %b}}' % written, b'{"inputs": %b}' % written):
        array = decode(signature(spec), body).feed["x"]
        assert (array.dtype, array.tolist()) == (spec.dtype.numpy, expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_zeros_keep_the_sign_that_a_decimal_gives_them(dtype: str) -> None:
    what = signature(tensor("x", dtype, (None,)))
    for parse in (decode, decode_exactly):
        array = parse(what, b'{"inputs": [-0.0, 0.0, -0, -1e-400]}').feed["x"]
        assert np.signbit(array).tolist() == [True, False, False, True]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_and_the_infinities_come_as_words(dtype: str) -> None:
    array = decode(signature(tensor("x", dtype, (4,))), b'{"inputs": ["NaN", "Infinity", "-Infinity", 1]}').feed["x"]
    assert str(array.tolist()) == "[nan, inf, -inf, 1.0]"


def test_as_many_elements_as_a_request_may_bring_are_taken() -> None:
    body = b'{"inputs": {"x": {"shape": [4194304], "data": [' + b"0," * 4_194_303 + b"7]}}}"
    array = decode(signature(tensor("x", "uint8", ("n",))), body).feed["x"]
    assert (array.size, int(array.sum())) == (4_194_304, 7)


def test_an_input_called_shape_is_not_taken_for_the_flat_form() -> None:
    what = signature(tensor("shape", "int64", (None,)))
    assert feed_of(decode(what, b'{"inputs": {"shape": [3]}}')) == {"shape": ("int64", (1,), [3])}


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a/b~c", "", "tab\there", "\N{SNOWMAN}"])
def test_inputs_may_have_any_name(name: str) -> None:
    body = json.dumps({"inputs": {name: [3]}}).encode()
    assert feed_of(decode(signature(tensor(name, "int8", (1,))), body)) == {name: ("int8", (1,), [3])}


def test_a_tensor_may_have_as_many_dimensions_as_numbers_can_be_nested() -> None:
    what = signature(tensor("x", "int8", (1,) * 30))
    body = b'{"inputs": {"x": ' + b"[" * 30 + b"3" + b"]" * 30 + b"}}"
    assert decode(what, body).feed["x"].shape == (1,) * 30


def test_a_tensor_of_more_dimensions_comes_as_shape_and_data() -> None:
    what = signature(tensor("x", "int8", (1,) * 32))
    body = json.dumps({"inputs": {"x": {"shape": [1] * 32, "data": [3]}}}).encode()
    assert decode(what, body).feed["x"].shape == (1,) * 32


def test_a_model_without_inputs_takes_an_empty_object() -> None:
    assert decode(signature(), b'{"inputs": {}}') == PredictBody({}, None, None)


def test_many_rows_of_many_inputs_by_name_are_taken() -> None:
    names = [f"c{index}" for index in range(20)]
    what = signature(*(tensor(name, "float32", ("n", 1)) for name in names))
    row = "{" + ",".join(f'"{name}":[1]' for name in names) + "}"
    decoded = decode(what, b'{"instances":[%b]}' % ",".join([row] * 14_000).encode())
    assert {array.shape for array in decoded.feed.values()} == {(14_000, 1)}
