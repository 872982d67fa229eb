"""Bodies of TensorFlow Serving's REST: rows and columns, text in base64, words without quotes, and every refusal."""

import json
from typing import Any

import numpy as np
import pytest

from gateway.codec import tensorflow_bodies
from gateway.codec.body import PredictBody
from gateway.codec.json_tensors import JsonCodec
from registry.errors import CallerError, SignatureMismatch, TooManyElements, Violation
from registry.signature import Signature
from tests.support.one_truth import canonical
from tests.support.signatures import IRIS, SHOP, signature, tensor

TEXT = signature(tensor("words", "string", ("n",)), outputs=(tensor("y", "string", ("n",)),))
FLOAT = signature(tensor("x", "float32", ("n",)), outputs=(tensor("y", "float32", ("n",)),))
INTEGER = signature(tensor("x", "int8", ("n",)), outputs=(tensor("y", "int8", ("n",)),))
SCALAR = signature(tensor("x", "float32", ("n",)), outputs=(tensor("mean", "float32", ()),))


def read(signature_: Signature, body: str | bytes) -> PredictBody:
    """Decode a body in both ways, which must agree."""
    codec = JsonCodec(model="m", version=1, signature=signature_)
    octets = body if isinstance(body, bytes) else body.encode()
    quick = tensorflow_bodies.decode_quickly(signature_, codec, octets)
    exact = tensorflow_bodies.decode(signature_, codec, octets)
    if quick is not None:
        assert quick.reply == exact.reply
        assert {name: canonical(array) for name, array in quick.feed.items()} == {
            name: canonical(array) for name, array in exact.feed.items()
        }
    assert (exact.outputs, exact.id) == (None, None)
    return exact


def values(request: PredictBody) -> dict[str, Any]:
    return {name: array.tolist() for name, array in request.feed.items()}


@pytest.mark.parametrize(
    ("model", "body", "feed", "rows"),
    [
        pytest.param(IRIS, '{"instances": [[1, 2, 3, 4]]}', {"x": [[1, 2, 3, 4]]}, 1, id="rows"),
        pytest.param(IRIS, '{"instances": [{"x": [1, 2, 3, 4]}]}', {"x": [[1, 2, 3, 4]]}, 1, id="named rows"),
        pytest.param(FLOAT, '{"instances": []}', {"x": []}, 0, id="no rows"),
        pytest.param(IRIS, '{"inputs": [[1, 2, 3, 4]]}', {"x": [[1, 2, 3, 4]]}, None, id="columns"),
        pytest.param(IRIS, '{"inputs": {"x": [[1, 2, 3, 4]]}}', {"x": [[1, 2, 3, 4]]}, None, id="named columns"),
        pytest.param(
            SHOP,
            '{"instances": [{"user": 1, "words": ["a", "b"]}, {"words": ["c", "d"], "user": 2}]}',
            {"user": [1, 2], "words": [["a", "b"], ["c", "d"]]},
            2,
            id="rows of several inputs",
        ),
        pytest.param(
            SHOP,
            '{"inputs": {"user": [1], "words": [["a", {"b64": "w6Q="}]], "discount": 0.5}}',
            {"user": [1], "words": [["a", "ä"]], "discount": 0.5},
            None,
            id="columns of several inputs",
        ),
        pytest.param(TEXT, '{"instances": [{"b64": "aGk="}, "b64"]}', {"words": ["hi", "b64"]}, 2, id="base64"),
        pytest.param(TEXT, '{"instances": [{"words": {"b64": ""}}]}', {"words": [""]}, 1, id="base64 in a named row"),
        pytest.param(TEXT, '{"inputs": {"words": [{"b64": "aGk="}]}}', {"words": ["hi"]}, None, id="base64 in columns"),
        pytest.param(
            signature(tensor("b64", "string", ("n",))),
            '{"inputs": {"b64": ["a"]}}',
            {"b64": ["a"]},
            None,
            id="b64 is a name",
        ),
        pytest.param(FLOAT, '{"signature_name": "serving_default", "inputs": [1]}', {"x": [1]}, None, id="signed"),
        pytest.param(
            FLOAT, '{"instances": [1], "signature_name": "serving_default"}', {"x": [1]}, 1, id="signed below"
        ),
        pytest.param(FLOAT, '{"signature_name": "", "inputs": [1]}', {"x": [1]}, None, id="signed by nobody"),
        pytest.param(FLOAT, '{"inputs": ["Infinity", -Infinity]}', {"x": [np.inf, -np.inf]}, None, id="infinities"),
        pytest.param(
            TEXT, '{"inputs": ["instances", "NaN"]}', {"words": ["instances", "NaN"]}, None, id="text is text"
        ),
        pytest.param(FLOAT, '{"\\u0069nputs": [1]}', {"x": [1]}, None, id="an escaped name"),
        pytest.param(FLOAT, '{"inputs": {"shape": [1], "data": [2]}}', {"x": [2]}, None, id="our own flat form"),
    ],
)
def test_a_body_is_read(model: Signature, body: str, feed: dict[str, Any], rows: int | None) -> None:
    request = read(model, body)
    assert (values(request), request.reply) == (feed, rows)


def test_not_a_number_may_stand_without_quotes() -> None:
    assert np.isnan(read(FLOAT, '{"inputs": [NaN, "NaN"]}').feed["x"]).tolist() == [True, True]


def test_a_signed_body_is_read_as_quickly_as_another() -> None:
    codec = JsonCodec(model="m", version=1, signature=FLOAT)
    request = tensorflow_bodies.decode_quickly(
        FLOAT, codec, b' { "signature_name" :"serving_default", "instances":[1]}'
    )
    assert request is not None
    assert (values(request), request.reply) == ({"x": [1]}, 1)


def fault(path: str, expected: str, received: str, code: str) -> Violation:
    return Violation(path=path, expected=expected, received=received, code=code)


FIELDS = "one of instances, inputs, signature_name"


@pytest.mark.parametrize(
    ("model", "body", "violations"),
    [
        ("float", "[]", [fault("", "an object", "a list of 0", "invalid_field")]),
        ("float", "{}", [fault("", "either inputs or instances", "neither", "invalid_field")]),
        (
            "float",
            '{"inputs": [1], "instances": [1]}',
            [fault("", "either inputs or instances", "both", "invalid_field")],
        ),
        ("float", '{"inputs": [1], "id": "7"}', [fault("/id", FIELDS, "id", "unknown_field")]),
        ("float", '{"inputs": [1], "outputs": ["y"]}', [fault("/outputs", FIELDS, "outputs", "unknown_field")]),
        (
            "float",
            '{"inputs": [1], "signature_name": "classify"}',
            [fault("/signature_name", '"serving_default", or nothing', "'classify'", "invalid_field")],
        ),
        (
            "float",
            '{"inputs": [1], "signature_name": NaN}',
            [fault("/signature_name", '"serving_default", or nothing', "'NaN'", "invalid_field")],
        ),
        ("integer", '{"inputs": [1.5]}', [fault("/inputs/0", "an element of int8", "1.5", "invalid_dtype")]),
        ("integer", '{"instances": [128]}', [fault("/instances/0", "int8 from -128 to 127", "128", "out_of_range")]),
        ("integer", '{"inputs": [NaN]}', [fault("/inputs/0", "an element of int8", "'NaN'", "invalid_dtype")]),
        ("text", '{"inputs": [Infinity]}', [fault("/inputs/0", "an element of string", "'Infinity'", "invalid_dtype")]),
        (
            "float",
            '{"inputs": [{"b64": "MQ=="}]}',
            [fault("/inputs/0", "an element of float32", "'MQ=='", "invalid_dtype")],
        ),
        (
            "text",
            '{"inputs": ["a", {"b64": "no base64"}, {"b64": "/w=="}, {"b64": "ä"}]}',
            [
                fault(f"/inputs/{place}/b64", "the base64 of text in UTF-8", received, "invalid_dtype")
                for place, received in ((1, "'no base64'"), (2, "'/w=='"), (3, r"'\xe4'"))
            ],
        ),
        (
            "float",
            '{"instances": [{"x": 1}, {"y": 2}, 3]}',
            [fault("/instances/2", "an object of rows by name", "3", "invalid_field")],
        ),
        (
            "float",
            '{"instances": [{"x": 1}, {"y": 2}]}',
            [
                fault("/instances/1/x", "a row of float32[n]", "nothing", "missing_input"),
                fault("/instances/1/y", "one of x", "y", "unknown_input"),
            ],
        ),
        (
            "iris",
            '{"instances": [{"x": [1]}]}',
            [fault("/instances/0/x", "float32[batch, 4]", "float32[1, 1]", "invalid_shape")],
        ),
        (
            "shop",
            '{"inputs": {"user": [true], "hat": 1}, "id": 1}',
            [
                fault("/id", FIELDS, "id", "unknown_field"),
                fault("/inputs/user/0", "an element of int64", "true", "invalid_dtype"),
                fault("/inputs/words", "string[n, 2]", "nothing", "missing_input"),
                fault("/inputs/hat", "one of user, words, discount", "hat", "unknown_input"),
            ],
        ),
        (
            "scalar",
            '{"instances": [1, 2]}',
            [
                fault(
                    "/instances",
                    "outputs with a row for each of the 2 instances (send inputs, and the answer is in columns)",
                    "mean: float32[]",
                    "outputs_not_rows",
                )
            ],
        ),
    ],
)
def test_every_fault_is_named(model: str, body: str, violations: list[Violation]) -> None:
    signatures = {"float": FLOAT, "integer": INTEGER, "text": TEXT, "iris": IRIS, "shop": SHOP, "scalar": SCALAR}
    with pytest.raises(SignatureMismatch) as caught:
        read(signatures[model], body)
    assert list(caught.value.violations) == violations


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b'{"inputs": [1]', "invalid_json"),
        (b'{"inputs": [nan]}', "invalid_json"),
        (b'{"inputs": [1], "inputs": [1]}', "duplicate_key"),
        (b'{"inputs": [{"b64": "aGk=", "b64": "aGk="}]}', "duplicate_key"),
        (b'{"inputs": %b1%b}' % (b"[" * 40, b"]" * 40), "json_too_deep"),
        (b'{"inputs": [%b]}' % (b"1" * 30), "invalid_number"),
    ],
)
def test_it_is_strict_json_but_for_those_words(body: bytes, code: str) -> None:
    with pytest.raises(CallerError) as caught:
        read(TEXT, body)
    assert caught.value.code == code


def test_too_many_elements_are_refused_before_they_are_converted() -> None:
    body = json.dumps({"instances": [{"x": [0] * 2_100_000}] * 2})
    with pytest.raises(TooManyElements):
        read(signature(tensor("x", "float32", (None, None))), body)
