"""Laws of the gRPC codec: what goes in comes out with the same bits, and any bytes give a value or a caller's error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec.body import Array
from gateway.codec.open_inference.words import Words
from gateway.codec.raw_tensors import read_raw, write_raw
from gateway.codec.spellings import SPELLINGS
from gateway.metrics import Metrics
from gateway.rpc.infer_form import InferForm
from gateway.rpc.infer_request import read_request
from gateway.rpc.outline import read_outline
from gateway.rpc.schema import message_class
from gateway.web.endpoint import Endpoint, EndpointFactory
from registry.errors import CallerError
from registry.signature import Signature
from registry.tensor import DTYPES, DType, TensorSpec
from tests.support.serving_models import make_version

REQUEST = message_class("ModelInferRequest")
RESPONSE = message_class("ModelInferResponse")
SPELT = [name for name, spelling in SPELLINGS.items() if spelling.open_inference is not None]
TYPED = [name for name in SPELT if SPELLINGS[name].grpc_contents is not None]
UNSPELT = [name for name in SPELLINGS if name not in SPELT]
ENDPOINTS = EndpointFactory(Metrics())
SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)


def words_of(dtype: DType) -> Words:
    return Words(make_version(inputs=(TensorSpec(name="x", dtype=dtype, shape=None),)))


def arrays(dtype: DType) -> st.SearchStrategy[Array]:
    """Arrays of any bits."""
    return SHAPES.flatmap(lambda shape: _of_shape(dtype, shape))


def _of_shape(dtype: DType, shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    count = int(np.prod(shape, dtype=np.int64))
    if dtype.kind == "O":
        texts = st.lists(st.text(max_size=5), min_size=count, max_size=count)
        return texts.map(lambda found: np.array([*found, None], object)[:-1].reshape(shape))
    size = count * dtype.numpy.itemsize
    octets = st.binary(min_size=size, max_size=size)
    if dtype.kind == "b":
        octets = octets.map(lambda found: bytes(octet & 1 for octet in found))
    return octets.map(lambda found: read_raw(dtype, found, shape))


def raw_request(dtype: DType, array: Array) -> Any:
    request = REQUEST(model_name="iris", id="mine")
    request.inputs.add(name="x", datatype=SPELLINGS[dtype.name].open_inference, shape=array.shape)
    request.raw_input_contents.append(write_raw(array))
    return request


def typed_request(dtype: DType, array: Array) -> Any:
    request = REQUEST(model_name="iris")
    tensor = request.inputs.add(name="x", datatype=SPELLINGS[dtype.name].open_inference, shape=array.shape)
    elements = [element.encode() if isinstance(element, str) else element for element in array.ravel().tolist()]
    getattr(tensor.contents, str(SPELLINGS[dtype.name].grpc_contents)).extend(elements)
    return request


def decoded(dtype: DType, request: Any) -> Array:
    feed = read_request(words_of(dtype), read_outline(request.SerializeToString())).feed
    return feed["x"]


def bits(array: Array) -> tuple[object, ...]:
    return array.shape, str(array.dtype), write_raw(array)


@pytest.mark.parametrize("name", SPELT)
@given(data=st.data())
def test_raw_contents_keep_their_bits(name: str, data: st.DataObject) -> None:
    array = data.draw(arrays(DTYPES[name]))
    assert bits(decoded(DTYPES[name], raw_request(DTYPES[name], array))) == bits(array)


@pytest.mark.parametrize("name", TYPED)
@given(data=st.data())
def test_typed_contents_keep_their_values(name: str, data: st.DataObject) -> None:
    array = data.draw(arrays(DTYPES[name]))
    found = decoded(DTYPES[name], typed_request(DTYPES[name], array))
    quiet = DTYPES[name].kind == "f"  # Python's floats, not the wire, make a signalling NaN a quiet one
    assert np.array_equal(found, array, equal_nan=True) if quiet else bits(found) == bits(array), (
        f"{found!r} is not {array!r}"
    )


@pytest.mark.parametrize("name", SPELT)
@given(data=st.data())
def test_answers_keep_their_bits(name: str, data: st.DataObject) -> None:
    dtype = DTYPES[name]
    array = data.draw(arrays(dtype))
    endpoint = _endpoint(dtype)
    form = InferForm(read_outline(raw_request(dtype, array).SerializeToString()))
    request = form.decode(endpoint, b"")
    answer = RESPONSE.FromString(form.encode(endpoint, request, [array]).payload)
    expected = RESPONSE(model_name="iris", model_version="1", id="mine", raw_output_contents=[write_raw(array)])
    expected.outputs.add(name="y", datatype=SPELLINGS[name].open_inference, shape=array.shape)
    assert answer == expected


def _endpoint(dtype: DType) -> Endpoint:
    from dataclasses import replace

    version = make_version(inputs=(TensorSpec(name="x", dtype=dtype, shape=None),), outputs=())
    outputs = (TensorSpec(name="y", dtype=dtype, shape=None),)
    signature = Signature(inputs=version.signature.inputs, outputs=outputs)
    return ENDPOINTS(replace(version, inspection=replace(version.inspection, signature=signature)))


@pytest.mark.parametrize("name", UNSPELT)
def test_a_type_without_a_word_is_refused(name: str) -> None:
    request = REQUEST(model_name="iris")
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    with pytest.raises(CallerError) as refusal:
        read_request(words_of(DTYPES[name]), read_outline(request.SerializeToString()))
    assert [fault.code for fault in refusal.value.violations] == ["unsupported_on_this_wire"]


@pytest.mark.parametrize("name", ["float32", "int8", "string", "bool"])
@given(octets=st.binary(max_size=80))
def test_any_bytes_are_a_request_or_a_callers_error(name: str, octets: bytes) -> None:
    _survives(DTYPES[name], octets)


@pytest.mark.parametrize("name", ["float32", "uint16", "string", "bool"])
@given(data=st.data())
def test_a_damaged_request_is_a_request_or_a_callers_error(name: str, data: st.DataObject) -> None:
    dtype = DTYPES[name]
    make = data.draw(st.sampled_from([raw_request, typed_request]))
    message = bytearray(make(dtype, data.draw(arrays(dtype))).SerializeToString())
    message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    _survives(dtype, bytes(message))


def _survives(dtype: DType, message: bytes) -> None:
    try:
        body = read_request(words_of(dtype), read_outline(message))
    except CallerError:
        return
    assert set(body.feed) == {"x"}


def violations(dtype: DType, request: Any) -> list[tuple[str, str]]:
    with pytest.raises(CallerError) as refusal:
        read_request(words_of(dtype), read_outline(request.SerializeToString()))
    return [(fault.path, fault.code) for fault in refusal.value.violations]


def test_raw_and_typed_contents_are_never_mixed() -> None:
    request = raw_request(DTYPES["float32"], np.zeros(1, np.float32))
    request.inputs[0].contents.fp32_contents.append(0)
    assert violations(DTYPES["float32"], request) == [("/inputs/0/contents", "invalid_field")]


def test_half_floats_have_no_typed_contents() -> None:
    request = REQUEST(model_name="iris")
    request.inputs.add(name="x", datatype="FP16", shape=[1]).contents.fp32_contents.append(0)
    assert violations(DTYPES["float16"], request) == [("/inputs/0/contents", "unsupported_on_this_wire")]


def test_integers_beyond_their_type_are_named_one_by_one() -> None:
    request = typed_request(DTYPES["int8"], np.array([1, 128, -129], np.int32))
    assert violations(DTYPES["int8"], request) == [
        ("/inputs/0/contents/int_contents/1", "out_of_range"),
        ("/inputs/0/contents/int_contents/2", "out_of_range"),
    ]


def test_contents_of_another_type_are_refused() -> None:
    request = REQUEST(model_name="iris")
    request.inputs.add(name="x", datatype="INT8", shape=[1]).contents.int64_contents.append(1)
    assert violations(DTYPES["int8"], request) == [("/inputs/0/contents", "invalid_dtype")]


def test_there_is_a_raw_entry_for_each_input() -> None:
    request = raw_request(DTYPES["float32"], np.zeros(1, np.float32))
    request.raw_input_contents.append(b"")
    assert violations(DTYPES["float32"], request) == [("/raw_input_contents", "invalid_field")]


def test_a_shape_has_no_negative_size() -> None:
    request = raw_request(DTYPES["float32"], np.zeros(1, np.float32))
    request.inputs[0].shape[0] = -1
    assert violations(DTYPES["float32"], request) == [("/inputs/0/shape", "invalid_shape")]


def test_shared_memory_is_no_extension_of_this_server() -> None:
    request = raw_request(DTYPES["float32"], np.zeros(1, np.float32))
    request.inputs[0].parameters["shared_memory_region"].string_param = "mine"
    assert violations(DTYPES["float32"], request) == [
        ("/inputs/0/parameters/shared_memory_region", "invalid_field"),
    ]
