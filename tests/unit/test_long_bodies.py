"""Bodies that are short for bytes of numbers, but take long to read element by element: the event loop leaves them."""

import json

import numpy as np
import pytest

from gateway.codec.raw_tensors import write_raw
from gateway.metrics import Metrics
from gateway.rpc.infer_form import InferForm
from gateway.rpc.outline import read_outline
from gateway.rpc.schema import message_class
from gateway.web.endpoint import Endpoint, EndpointFactory
from gateway.web.open_inference import HEADER_BYTES, OpenInferenceWire
from gateway.web.predict import takes_long_to_write
from registry.tensor import DTYPES, TensorSpec
from tests.support.serving_models import make_version

MANY = 64 * 1024


def endpoint(dtype: str) -> Endpoint:
    return EndpointFactory(Metrics())(
        make_version(inputs=[TensorSpec(name="x", dtype=DTYPES[dtype], shape=("n",))], outputs=["y"])
    )


def is_quick_over_rest(dtype: str, head: dict[str, object], tail: bytes) -> bool:
    text = json.dumps({"inputs": [{"name": "x", **head}]}).encode()
    form = OpenInferenceWire().form({HEADER_BYTES: str(len(text)).encode()})
    return form.decode_quickly(endpoint(dtype), text + tail) is not None


@pytest.mark.parametrize(("count", "is_quick"), [(1, True), (MANY, False)])
def test_many_texts_in_bytes_are_not_read_at_once(count: int, is_quick: bool) -> None:  # noqa: FBT001 - a parameter
    tail = write_raw(np.array([""] * count, object))
    head = {"datatype": "BYTES", "shape": [count], "parameters": {"binary_data_size": len(tail)}}
    assert is_quick_over_rest("string", head, tail) is is_quick


@pytest.mark.parametrize(("count", "is_quick"), [(1, True), (MANY, False)])
def test_much_json_before_bytes_is_not_read_at_once(count: int, is_quick: bool) -> None:  # noqa: FBT001 - as above
    head = {"datatype": "INT64", "shape": [count], "data": [1] * count}
    assert is_quick_over_rest("int64", head, b"") is is_quick


def test_as_many_bytes_of_numbers_are() -> None:
    tail = bytes(8 * MANY)
    head = {"datatype": "INT64", "shape": [MANY], "parameters": {"binary_data_size": len(tail)}}
    assert is_quick_over_rest("int64", head, tail)


@pytest.mark.parametrize(
    ("dtype", "datatype", "field"), [("int64", "INT64", "int64_contents"), ("string", "BYTES", "bytes_contents")]
)
@pytest.mark.parametrize(("count", "is_quick"), [(1, True), (MANY, False)])
def test_many_typed_contents_are_not_read_at_once(
    dtype: str,
    datatype: str,
    field: str,
    count: int,
    is_quick: bool,  # noqa: FBT001 - as above
) -> None:
    request = message_class("ModelInferRequest")(model_name="iris")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=[count])
    getattr(tensor.contents, field).extend([b"" if dtype == "string" else 1] * count)
    message = request.SerializeToString()
    form = InferForm(read_outline(message))
    assert (form.decode_quickly(endpoint(dtype), message) is not None) is is_quick
    assert form.decode(endpoint(dtype), message).feed["x"].shape == (count,)


def test_many_texts_are_not_written_at_once() -> None:
    texts, numbers = np.array([""] * MANY, object), np.zeros(MANY)
    answers = [[texts], [texts[:100]], [numbers], [numbers, [texts]]]
    assert [takes_long_to_write(arrays) for arrays in answers] == [True, False, False, False]
