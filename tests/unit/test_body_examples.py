"""The bodies that refusals show, in the words of each protocol."""

import orjson
import pytest

from gateway.codec.examples import (
    Body,
    native_example,
    open_inference_example,
    tensorflow_example,
    whole_example,
)
from gateway.codec.json_tensors import JsonCodec
from registry.signature import Signature
from registry.tensor import DTYPES, TensorSpec
from tests.support.signatures import IRIS, SHOP, signature, tensor

FLAT_ONLY = signature(tensor("x", "float32", (0, 3)))
DEEP = signature(tensor("x", "int8", (1,) * 31))
WIDE = signature(tensor("x", "float32", ("batch", 3, 224, 224)))
ENDLESS = signature(tensor("x", "float32", (10**12,)))
SEQUENCE = signature(TensorSpec(name="x", dtype=DTYPES["int64"], shape=(None,), containers=("sequence",)))


def test_the_native_body_is_the_one_of_the_document() -> None:
    assert native_example(IRIS) == {"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}}


def test_an_optional_is_given() -> None:
    perhaps = TensorSpec(name="p", dtype=DTYPES["float32"], shape=(2,), containers=("optional",))
    assert native_example(signature(perhaps)) == {"inputs": {"p": [0.5, 0.5]}}


def test_a_body_of_more_than_1024_elements_is_not_shown() -> None:
    assert (native_example(WIDE), open_inference_example(WIDE), tensorflow_example(WIDE)) == (None, None, None)


def test_a_body_of_1024_elements_is_shown() -> None:
    assert native_example(signature(tensor("x", "bool", ("n", 1024)))) == {"inputs": {"x": [[True] * 1024]}}


def test_a_body_that_nobody_may_send_is_never_made() -> None:
    assert whole_example(ENDLESS) is None


def test_lists_with_nothing_in_them_are_counted() -> None:
    assert whole_example(signature(tensor("x", "float32", (10**12, 0)))) is None


def test_no_body_is_shown_that_the_protocol_refuses_for_an_input_left_out() -> None:
    absent = TensorSpec(name="x", dtype=DTYPES["float32"], shape=(2,), containers=("optional",))
    assert open_inference_example(signature(absent)) is None


@pytest.mark.parametrize("what", [IRIS, SHOP, FLAT_ONLY, DEEP, signature()])
def test_the_native_body_is_one_that_is_taken(what: Signature) -> None:
    body = JsonCodec(model="m", version=1, signature=what).decode(orjson.dumps(native_example(what)))
    assert list(body.feed) == [spec.name for spec in what.inputs if not spec.optional]


@pytest.mark.parametrize(
    ("what", "example"),
    [
        (IRIS, {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.5, 0.5, 0.5, 0.5]}]}),
        (
            SHOP,
            {
                "inputs": [
                    {"name": "user", "shape": [1], "datatype": "INT64", "data": [1]},
                    {"name": "words", "shape": [1, 2], "datatype": "BYTES", "data": ["text", "text"]},
                ]
            },
        ),
        (FLAT_ONLY, {"inputs": [{"name": "x", "shape": [0, 3], "datatype": "FP32", "data": []}]}),
        (
            signature(tensor("x", "bool", ())),
            {"inputs": [{"name": "x", "shape": [], "datatype": "BOOL", "data": [True]}]},
        ),
        (signature(tensor("x", "float8_e5m2", (1,))), None),
        (SEQUENCE, None),
        (signature(tensor("x", "float32", (1,)), outputs=SEQUENCE.inputs), None),
    ],
)
def test_the_open_inference_body_names_shape_and_type_of_each_input(what: Signature, example: Body | None) -> None:
    assert open_inference_example(what) == example


@pytest.mark.parametrize(
    ("what", "example"),
    [
        (IRIS, {"instances": [[0.5, 0.5, 0.5, 0.5]]}),
        (SHOP, {"instances": [{"user": 1, "words": ["text", "text"]}]}),
        (signature(tensor("x", "int8", (2,))), {"inputs": {"x": [1, 1]}}),
        (signature(tensor("x", "float32", ())), {"inputs": {"x": 0.5}}),
        (signature(tensor("x", "uint8", None)), {"inputs": {"x": [1]}}),
        (signature(tensor("a", "int8", ("n",)), tensor("b", "int8", ())), {"inputs": {"a": [1], "b": 1}}),
        (FLAT_ONLY, None),
        (DEEP, None),
        (SEQUENCE, None),
    ],
)
def test_the_tensorflow_body_is_rows_where_every_input_has_them(what: Signature, example: Body | None) -> None:
    assert tensorflow_example(what) == example
