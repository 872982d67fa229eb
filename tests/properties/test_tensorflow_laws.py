"""Laws of TensorFlow Serving's bodies: one truth with our own, and nothing but a value or a caller's error."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.codec import tensorflow_bodies
from gateway.codec.json_tensors import JsonCodec, PredictBody
from gateway.codec.tensorflow_answers import write_columns, write_predictions
from registry.errors import CallerError
from registry.signature import Signature
from registry.tensor import DTYPES, DType, TensorSpec
from tests.support.one_truth import canonical
from tests.support.signatures import IRIS, SHOP, signature, tensor
from tests.support.wire import array_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = {name: dtype for name, dtype in DTYPES.items() if dtype.numpy.isbuiltin == 1}
SIGNATURES = {
    "iris": IRIS,
    "shop": SHOP,
    "text": signature(tensor("x", "string", ("n",)), outputs=(tensor("y", "string", ("n",)),)),
    "scalar": signature(tensor("x", "float16", ())),
}


def arrays_of(dtype: DType, *, shortest: int = 0) -> st.SearchStrategy[Any]:
    shapes = npst.array_shapes(min_dims=1, max_dims=3, min_side=shortest, max_side=3)
    if dtype.kind == "O":
        return npst.arrays(object, shapes, elements=TEXT)
    return npst.arrays(dtype.numpy, shapes)


def decoded(signature_: Signature, body: bytes) -> PredictBody:
    codec = JsonCodec(model="m", version=1, signature=signature_)
    quick = tensorflow_bodies.decode_quickly(signature_, codec, body)
    return tensorflow_bodies.decode(signature_, codec, body) if quick is None else quick


@pytest.mark.parametrize("dtype", PLAIN.values(), ids=PLAIN)
@given(data=st.data())
def test_what_is_answered_in_columns_is_read_back_to_the_same_bits(dtype: DType, data: st.DataObject) -> None:
    array = data.draw(arrays_of(dtype, shortest=1))
    spec = TensorSpec(name="t", dtype=dtype, shape=tuple(f"d{axis}" for axis in range(array.ndim)))
    answer = orjson.loads(write_columns({"t": array, "u": array}))
    body = orjson.dumps({"inputs": {"t": answer["outputs"]["u"]}})
    assert canonical(decoded(signature(spec), body).feed["t"]) == canonical(array)


@pytest.mark.parametrize("dtype", PLAIN.values(), ids=PLAIN)
@given(data=st.data())
def test_what_is_answered_in_rows_is_read_back_to_the_same_bits(dtype: DType, data: st.DataObject) -> None:
    array = data.draw(arrays_of(dtype, shortest=1))
    shape = tuple(f"d{axis}" for axis in range(array.ndim))
    specs = [TensorSpec(name=name, dtype=dtype, shape=shape) for name in ("t", "u")]
    answer = orjson.loads(write_predictions({"t": array, "u": array}, len(array)))
    request = decoded(signature(*specs), orjson.dumps({"instances": answer["predictions"]}))
    assert request.reply == len(array)
    assert {name: canonical(value) for name, value in request.feed.items()} == {
        "t": canonical(array),
        "u": canonical(array),
    }


@given(array=arrays_of(DTYPES["float64"]))
def test_one_output_in_rows_is_the_tensor_itself(array: Any) -> None:
    value = orjson.loads(write_predictions({"t": array}, len(array)))["predictions"]
    seen = array if array.size else np.empty(array.shape[: array.shape.index(0) + 1])
    assert canonical(array_of(value, seen.dtype).reshape(seen.shape)) == canonical(seen)


WORDS = ["NaN", "-Infinity", '"NaN"', '"a"', '{"b64": "aGk="}', '{"b64": "*"}', "1", "2.5", "1e999", "true", "null"]
ROW = st.lists(st.sampled_from(WORDS), max_size=4).map(lambda texts: "[" + ", ".join(texts) + "]")
KEYS = st.sampled_from(
    ["x", "user", "words", "discount", "inputs", "instances", "signature_name", "b64", "shape", "id", "outputs"]
)


def objects_of(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(KEYS, items), max_size=3)
    return pairs.map(lambda found: "{" + ",".join(f'"{key}":{value}' for key, value in found) + "}")


TENSOR = st.sampled_from(WORDS) | ROW | st.lists(ROW, max_size=3).map(lambda rows: "[" + ",".join(rows) + "]")
ROWS = st.lists(TENSOR | objects_of(TENSOR), max_size=3).map(lambda rows: "[" + ",".join(rows) + "]")
DOCUMENTS = st.one_of(
    objects_of(TENSOR),
    st.builds('{{"instances": {}}}'.format, ROWS),
    st.builds('{{"inputs": {}}}'.format, TENSOR | objects_of(TENSOR)),
    st.builds('{{"signature_name": {}, "instances": {}}}'.format, st.sampled_from(['"serving_default"', "1"]), ROWS),
)


@pytest.mark.parametrize("name", SIGNATURES)
@given(body=DOCUMENTS.map(str.encode) | st.binary(max_size=40))
@example(body=b'{"signature_name":"serving_default",}')
@example(body=b'{"instances": [{}]}')
def test_any_bytes_give_a_value_or_a_callers_error(name: str, body: bytes) -> None:
    signature_ = SIGNATURES[name]
    codec = JsonCodec(model="m", version=1, signature=signature_)
    quick = tensorflow_bodies.decode_quickly(signature_, codec, body)
    try:
        exact = tensorflow_bodies.decode(signature_, codec, body)
    except CallerError:
        assert quick is None
        return
    shapes = {item: array.shape for item, array in exact.feed.items()}
    assert signature_.check(shapes) == []
    if quick is not None:
        assert quick.reply == exact.reply
        assert {item: canonical(array) for item, array in quick.feed.items()} == {
            item: canonical(array) for item, array in exact.feed.items()
        }


@pytest.mark.parametrize("name", SIGNATURES)
@given(body=st.one_of(st.builds('{{"instances": {}}}'.format, ROWS), st.builds('{{"inputs": {}}}'.format, TENSOR)))
def test_whatever_our_own_bodies_say_is_said_here_too(name: str, body: str) -> None:
    signature_, octets = SIGNATURES[name], body.encode()
    try:
        own = JsonCodec(model="m", version=1, signature=signature_).decode(octets).feed
    except CallerError:
        return
    found = decoded(signature_, octets).feed
    assert {item: canonical(array) for item, array in found.items()} == {
        item: canonical(array) for item, array in own.items()
    }
