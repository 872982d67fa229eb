"""Laws of the Open Inference Protocol's codec: round trips of random bits, one truth for both parses, no crash."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.codec.body import PredictBody
from gateway.codec.open_inference.codec import OpenInferenceCodec
from gateway.codec.open_inference.reply import BINARY, JSON
from gateway.codec.open_inference.request import decode_exactly
from gateway.codec.spellings import DTYPE_OF_OPEN_INFERENCE
from registry.errors import CallerError
from registry.signature import Signature
from registry.tensor import DType
from tests.support.open_inference import Array, arrays_of, body_of, doubles_of, in_bytes, in_json
from tests.support.serving_models import version_of
from tests.support.signatures import SHOP, signature, tensor

SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SPOKEN = list(DTYPE_OF_OPEN_INFERENCE.values())
SPOKEN_NAMES = list(DTYPE_OF_OPEN_INFERENCE)
SHOP_CODEC = OpenInferenceCodec(version_of(SHOP))


def codec_of(dtype: DType, rank: int) -> OpenInferenceCodec:
    spec = tensor("t", dtype.name, tuple(f"d{axis}" for axis in range(rank)))
    return OpenInferenceCodec(version_of(signature(spec, outputs=(spec,))))


@st.composite
def bits_of(draw: st.DrawFn, dtype: DType) -> Array:
    """Any bits at all: NaN of every kind, subnormal numbers, both zeros, both ends of the integers."""
    shape = draw(SHAPES)
    count = int(np.prod(shape))
    if dtype.kind == "O":
        array = np.empty(count, object)
        array[:] = draw(st.lists(TEXT, min_size=count, max_size=count))
        return array.reshape(shape)
    if dtype.kind == "b":
        return np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(shape)
    octets = draw(st.binary(min_size=count * dtype.numpy.itemsize, max_size=count * dtype.numpy.itemsize))
    return np.frombuffer(octets, dtype.numpy).reshape(shape)


def exact_bits(array: Array) -> tuple[Any, ...]:
    return array.dtype, array.shape, array.tolist() if array.dtype == object else array.tobytes()


def bits_but_nan(array: Array) -> tuple[Any, ...]:
    """The same with one NaN for all: JSON has no other."""
    if array.dtype.kind not in "fV":
        return exact_bits(array)
    numbers = doubles_of(array)
    return array.dtype, array.shape, [repr(number) for number in numbers.reshape(-1).tolist()]


@pytest.mark.parametrize("dtype", SPOKEN, ids=SPOKEN_NAMES)
@given(data=st.data())
def test_bytes_keep_every_bit_both_ways(dtype: DType, data: st.DataObject) -> None:
    array = data.draw(bits_of(dtype))
    codec = codec_of(dtype, array.ndim)
    request = codec.decode(*body_of({"inputs": [in_bytes("t", array)]}, array))
    answer = codec.encode(PredictBody(request.feed, None, None, BINARY), [request.feed["t"]])
    found = arrays_of(*answer)["t"]
    assert (exact_bits(request.feed["t"]), exact_bits(found)) == (exact_bits(array), exact_bits(array))


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("dtype", SPOKEN, ids=SPOKEN_NAMES)
@given(data=st.data())
def test_json_keeps_every_bit_but_those_of_nan_both_ways(dtype: DType, data: st.DataObject, *, nested: bool) -> None:
    array = data.draw(bits_of(dtype))
    codec = codec_of(dtype, array.ndim)
    body, _ = body_of({"inputs": [in_json("t", array, nested=nested and array.size > 0)]})
    request = codec.decode(body, None)
    found = arrays_of(*codec.encode(PredictBody(request.feed, None, None, JSON), [request.feed["t"]]))["t"]
    assert (bits_but_nan(request.feed["t"]), bits_but_nan(found)) == (bits_but_nan(array), bits_but_nan(array))


@pytest.mark.parametrize("dtype", SPOKEN, ids=SPOKEN_NAMES)
@given(data=st.data())
def test_raw_requests_keep_every_bit(dtype: DType, data: st.DataObject) -> None:
    array = data.draw(bits_of(dtype)).reshape(-1)
    codec = codec_of(dtype, 1)
    if dtype.kind == "O":
        text = data.draw(TEXT)
        assert codec.decode(text.encode(), 0).feed["t"].tolist() == [text]
        return
    assert exact_bits(codec.decode(array.tobytes(), 0).feed["t"]) == exact_bits(array)


# --- one truth --------------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.sampled_from(
        ["-0", "-0.0", "0", "1e400", "1e-400", "1.5", "18446744073709551616", "9223372036854775807", "0.1", "1e3",
         "65504", "65505", "65519.999", "65520", "3.4028235677973366e38", "1" * 21, "0." + "1" * 1200, "16777217.0",
         "1.00000005960464477539", "true", "null", '"NaN"', '"Infinity"', '"nan"', '"text"', "[1]", "{}"]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**65), 2**65).map(str),
)  # fmt: skip


@st.composite
def tensor_text(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["user", "words", "discount", "other", 'a\\"b']))
    count = draw(st.integers(0, 4))
    elements = draw(st.lists(NUMBERS, min_size=count, max_size=count))
    data = f"[{','.join(elements)}]" if draw(st.booleans()) else f"[[{','.join(elements)}]]"
    members = [
        f'"name": "{name}"',
        f'"datatype": "{draw(st.sampled_from(["INT64", "BYTES", "FP64", "FP32", "nonsense"]))}"',
        f'"shape": {json.dumps(draw(st.lists(st.integers(-1, 4), max_size=3)))}',
        f'"data": {data}',
    ]
    extra = ['"data": [1]', '"parameters": {}', '"parameters": {"binary_data_size": 8}', '"other": 1']
    members += draw(st.lists(st.sampled_from(extra), max_size=1))
    if draw(st.integers(0, 9)) == 0:
        members.pop(draw(st.integers(0, len(members) - 1)))
    return "{" + ",".join(members) + "}"


@st.composite
def request_text(draw: st.DrawFn) -> str:
    tensors = ",".join(draw(st.lists(tensor_text(), max_size=3)))
    frame = [
        '"id": "a"', '"id": 7', '"id": null', '"outputs": []', '"outputs": [{"name": "score"}]', '"inputs": []',
        '"outputs": [{"name": "score", "parameters": {"binary_data": true}}]', '"outputs": [{"name": "nope"}]',
        '"parameters": {"binary_data_output": true}', '"parameters": {"priority": 1}', '"model_name": "m"',
    ]  # fmt: skip
    return "{" + ",".join([f'"inputs": [{tensors}]', *draw(st.lists(st.sampled_from(frame), max_size=2))]) + "}"


def outcome(codec: OpenInferenceCodec, body: bytes, header_bytes: int | None) -> PredictBody | CallerError:
    try:
        return decode_exactly(codec.words, body, header_bytes)
    except CallerError as error:
        return error


def check_one_truth(codec: OpenInferenceCodec, body: bytes, header_bytes: int | None) -> None:
    exact = outcome(codec, body, header_bytes)
    quick = codec.decode_quickly(body, header_bytes)
    if quick is None:
        return
    assert isinstance(exact, PredictBody), exact
    assert (quick.outputs, quick.id, quick.reply) == (exact.outputs, exact.id, exact.reply)
    assert list(quick.feed) == list(exact.feed)
    for name, array in quick.feed.items():
        assert exact_bits(array) == exact_bits(exact.feed[name])


@settings(max_examples=500)
@given(text=request_text())
def test_what_is_read_quickly_is_read_exactly_so(text: str) -> None:
    check_one_truth(SHOP_CODEC, text.encode(), None)


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "bfloat16", "int8", "uint64", "bool"])
@given(elements=st.lists(NUMBERS, min_size=1, max_size=3))
def test_numbers_that_are_read_quickly_are_read_exactly_so(name: str, elements: list[str]) -> None:
    codec = OpenInferenceCodec(version_of(signature(tensor("t", name, (None,)))))
    (datatype,) = codec.words.datatypes.values()
    head = f'{{"inputs": [{{"name": "t", "datatype": "{datatype}", "shape": [{len(elements)}], '
    check_one_truth(codec, f'{head}"data": [{",".join(elements)}]}}]}}'.encode(), None)


@settings(max_examples=300)
@given(body=st.binary(max_size=64), header_bytes=st.one_of(st.none(), st.integers(0, 70)))
@example(body=b"[]", header_bytes=None)
@example(body=b"", header_bytes=None)
@example(body=b'{"inputs": 1}', header_bytes=5)
def test_any_bytes_give_a_value_or_a_callers_error(body: bytes, header_bytes: int | None) -> None:
    for what in (SHOP, signature(tensor("t", "string", (None,))), signature(tensor("t", "float32", (None, 3)))):
        assert outcome_of(what, body, header_bytes) in ("value", "error")


@given(tail=st.binary(max_size=40), size=st.integers(-1, 2**70), shape=st.lists(st.integers(0, 2**62), max_size=3))
def test_any_bytes_after_the_json_give_a_value_or_a_callers_error(tail: bytes, size: int, shape: list[int]) -> None:
    what = signature(tensor("t", "string", None))
    item = {"name": "t", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [item]}).encode()
    assert outcome_of(what, head + tail, len(head)) in ("value", "error")


def outcome_of(what: Signature, body: bytes, header_bytes: int | None) -> str:
    codec = OpenInferenceCodec(version_of(what))
    try:
        codec.decode(body, header_bytes)
    except CallerError:
        return "error"
    return "value"
