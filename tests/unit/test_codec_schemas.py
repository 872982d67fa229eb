"""The schemas of a predict route, and the body that stands beside them."""

import orjson
import pytest

from gateway.codec.json_tensors import JsonCodec
from gateway.codec.schemas import example_body, request_schema, response_schema
from registry.signature import Signature
from tests.support.signatures import IRIS, SHOP, signature, tensor

FLOAT = {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}
INT64 = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}


def flat(element: object) -> object:
    shape = {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 32}
    return {
        "type": "object",
        "properties": {"shape": shape, "data": {"type": "array", "items": element}},
        "additionalProperties": False,
        "required": ["shape", "data"],
    }


def test_the_schema_of_a_body_has_all_its_forms() -> None:
    rows = {"type": "array", "items": FLOAT, "minItems": 4, "maxItems": 4}
    x = {"description": "float32[batch, 4]", "anyOf": [{"type": "array", "items": rows}, flat(FLOAT)]}
    named = {"type": "object", "properties": {"x": x}, "additionalProperties": False, "required": ["x"]}
    assert request_schema(IRIS) == {
        "type": "object",
        "properties": {
            "inputs": {"anyOf": [named, x]},
            "instances": {"type": "array", "description": "Rows, stacked along a new first axis.", "items": rows},
            "id": {"type": "string", "maxLength": 128, "description": "Given back in the answer."},
            "outputs": {
                "type": "array",
                "items": {"type": "string", "enum": ["label", "probabilities"]},
                "minItems": 1,
                "uniqueItems": True,
            },
        },
        "additionalProperties": False,
        "oneOf": [{"required": ["inputs"]}, {"required": ["instances"]}],
    }


def test_rows_of_several_inputs_are_objects() -> None:
    words = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    assert request_schema(SHOP)["properties"]["instances"]["items"] == {
        "type": "object",
        "properties": {"user": INT64, "words": words},
        "additionalProperties": False,
        "required": ["user", "words"],
    }


def test_a_model_that_needs_a_scalar_takes_no_rows() -> None:
    schema = request_schema(signature(tensor("x", "bool", ()), tensor("y", "bool", (None,))))
    assert (list(schema["properties"]), schema["required"]) == (["inputs", "id"], ["inputs"])


def test_the_schema_of_an_answer_has_the_outputs() -> None:
    score = {"description": "float32[n]", "anyOf": [{"type": "array", "items": FLOAT}, flat(FLOAT)]}
    assert response_schema(SHOP) == {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "integer", "minimum": 1},
            "outputs": {"type": "object", "properties": {"score": score}, "additionalProperties": False},
            "id": {"type": "string"},
        },
        "additionalProperties": False,
        "required": ["model", "version", "outputs"],
    }


def test_the_example_brings_what_is_required_and_no_more() -> None:
    assert example_body(SHOP) == {"inputs": {"user": [1], "words": [["text", "text"]]}}


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(IRIS, id="one input"),
        pytest.param(SHOP, id="several inputs"),
        pytest.param(signature(), id="no inputs"),
        pytest.param(signature(tensor("x", "bool", None)), id="unknown rank"),
        pytest.param(signature(tensor("x", "uint8", (0, 3))), id="a fixed zero"),
        pytest.param(signature(tensor("data", "float16", (1,) * 32)), id="32 dimensions"),
        pytest.param(signature(tensor('a "b"', "int32", ())), id="a scalar of a strange name"),
    ],
)
def test_the_example_is_a_body_that_is_taken(what: Signature) -> None:
    body = JsonCodec(model="m", version=1, signature=what).decode(orjson.dumps(example_body(what)))
    assert list(body.feed) == [spec.name for spec in what.inputs if not spec.optional]
