"""Which bodies are parsed straight into buffers, and which are left to a slower parse."""

import sys
from typing import Any

import numpy as np
import pytest

from gateway.codec.buffer_decode import BufferDecoder, can_read_buffers, shape_of
from gateway.codec.fit import Doubt
from gateway.codec.json_tensors import BUFFERS_FROM_BYTES, JsonCodec
from gateway.codec.limits import MAX_NUMBER_CHARS
from gateway.codec.long_numbers import may_hold_long_number
from registry.signature import Signature
from tests.support.signatures import IRIS, SHOP, signature, tensor

OUTPUTS = (tensor("label", "int64", None), tensor("score", "float32", None))
ROWS = signature(tensor("x", "float32", ("n", 2)), outputs=OUTPUTS)
PAIR = signature(tensor("a", "int16", ("n",)), tensor("b", "float64", ("n", None, 2), optional=True), outputs=OUTPUTS)


def feed_of(what: Signature, body: bytes) -> dict[str, tuple[str, tuple[int, ...], Any]]:
    feed = BufferDecoder(what).decode(body).feed
    return {name: (array.dtype.name, array.shape, array.tolist()) for name, array in feed.items()}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"inputs": {"x": [[1, 2.5], [-0.0, 1e-3]]}}', id="by name"),
        pytest.param(b'{"inputs": [[1.0, 25e-1], [-0e2, 0.001]]}', id="the only input itself"),
        pytest.param(b' {"instances" : [ [1,2.5]\n,[-0.0,\t1E-3]] } ', id="rows, white space"),
        pytest.param(b'{"inputs": {"x": {"shape": [2, 2], "data": [1, 2.5, -0.0, 1e-3]}}}', id="shape and data"),
        pytest.param(b'{"inputs": {"data": [1, 2.5, -0.0, 1e-3], "shape": [2, 2]}}', id="the only input, flat"),
        pytest.param(b'{"inputs": {"\\u0078": [[1, 2.5], [-0.0, 1e-3]]}}', id="escaped key"),
    ],
)
def test_each_form_of_numbers_goes_into_a_buffer(body: bytes) -> None:
    array = BufferDecoder(ROWS).decode(body).feed["x"]
    assert array.tobytes() == np.array([[1, 2.5], [-0.0, 1e-3]], np.float32).tobytes()
    assert (array.shape, array.flags.c_contiguous, array.flags.writeable) == ((2, 2), True, True)


def test_several_inputs_come_in_the_order_of_the_signature() -> None:
    body = b'{"inputs": {"b": [[[1, 2]], [[3, 4]]], "a": [-32768, 32767]}}'
    expected = {"a": ("int16", (2,), [-32768, 32767]), "b": ("float64", (2, 1, 2), [[[1.0, 2.0]], [[3.0, 4.0]]])}
    assert feed_of(PAIR, body) == expected
    assert list(feed_of(PAIR, body)) == ["a", "b"]


def test_an_optional_input_may_be_missing() -> None:
    assert feed_of(PAIR, b'{"inputs": {"a": [7]}}') == {"a": ("int16", (1,), [7])}


def test_outputs_and_id_are_given_on() -> None:
    decoded = BufferDecoder(ROWS).decode(b'{"id": "order 7", "outputs": ["score", "label"], "inputs": [[1, 2]]}')
    assert (decoded.outputs, decoded.id) == (("score", "label"), "order 7")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'\xef\xbb\xbf{"inputs": [[1, 2]]}', id="byte order mark"),
        pytest.param(b'{"inputs": [[1, 2]], "inputs": [[1, 2]]}', id="inputs twice"),
        pytest.param(b'{"inputs": {"x": [[1, 2]], "x": [[1, 2]]}}', id="a tensor twice"),
        pytest.param(b'{"inputs": {"x": {"shape": [1, 2], "shape": [1, 2], "data": [1, 2]}}}', id="shape twice"),
        pytest.param(b'{"inputs": [[1, 2]], "id": "a", "id": "a"}', id="id twice"),
        pytest.param(b'{"inputs": [[1, 2]], "instances": [[1, 2]]}', id="inputs and instances"),
        pytest.param(b'{"inputs": null, "instances": [[1, 2]]}', id="null inputs and instances"),
        pytest.param(b'{"instances": {"shape": [1, 2], "data": [1, 2]}}', id="shape and data of rows"),
        pytest.param(b'{"inputs": [[1, [2]], [3, 4]]}', id="a list among numbers"),
        pytest.param(b'{"inputs": [[[1, 2], []], [[3], [4]]]}', id="a rank more, sizes alike"),
        pytest.param(b'{"inputs": [[1, 2], [3]]}', id="ragged"),
        pytest.param(b'{"inputs": [[1, 2], 3, 4]}', id="numbers beside a list"),
        pytest.param(b'{"inputs": [[1, 2, 3]]}', id="another size"),
        pytest.param(b'{"inputs": {"x": {"shape": [1, 2], "data": [1, [2]]}}}', id="a list among flat data"),
        pytest.param(b'{"inputs": {"x": {"shape": [1, true], "data": [1]}}}', id="a size that is none"),
        pytest.param(b'{"inputs": {"x": {"shape": [0, 2], "data": []}}}', id="nothing, flat"),
        pytest.param(b'{"inputs": [[1, true]]}', id="bool"),
        pytest.param(b'{"inputs": [[1, NaN]]}', id="NaN"),
        pytest.param(b'{"inputs": [[1, 01]]}', id="leading zero"),
        pytest.param(b'{"inputs": [[1, 1e39]]}', id="past float32"),
        pytest.param(b'{"inputs": [[1, 1e400]]}', id="past float64"),
        pytest.param(b'{"inputs": [[1, 16777217]]}', id="halfway between two float32"),
        pytest.param(b'{"inputs": [[1, %b]]}' % (b"1" * 21), id="21 digits"),
        pytest.param(b'{"inputs": [[1, 0.%b]]}' % (b"1" * MAX_NUMBER_CHARS), id="too many characters"),
        pytest.param(b'{"inputs": [[1, 2]], "id": "\\ud800"}', id="half a pair"),
        pytest.param(b'{"inputs": [[1, 2]], "id": "[["}', id="brackets in the id"),
        pytest.param(b'{"inputs": [[1, 2]], "id": "%b"}' % (b"a" * 129), id="id too long"),
        pytest.param(b'{"inputs": [[1, 2]], "outputs": ["label", "label"]}', id="an output twice"),
        pytest.param(b'{"inputs": [[1, 2]], "outputs": ["lable"]}', id="unknown output"),
        pytest.param(b'{"inputs": [[1, 2]], "more": 1}', id="unknown field"),
        pytest.param(b'{"inputs": {"y": [[1, 2]]}}', id="unknown input"),
        pytest.param(b'{"inputs": [[1, 2]]} 1', id="something behind"),
        pytest.param(b"[[1, 2]]", id="no object"),
        pytest.param(b"", id="empty"),
    ],
)
def test_whatever_is_not_plain_is_left_to_a_slower_parse(body: bytes) -> None:
    with pytest.raises(Doubt):
        BufferDecoder(ROWS).decode(body)


@pytest.mark.parametrize(
    ("body"),
    [
        pytest.param(b'{"inputs": {"a": [32768]}}', id="above int16"),
        pytest.param(b'{"inputs": {"a": [-32769]}}', id="below int16"),
        pytest.param(b'{"inputs": {"a": [1.0]}}', id="a decimal for an integer"),
        pytest.param(b'{"inputs": {"a": [1], "b": [[[1, 2]], [[3, 4]]]}}', id="two sizes of one symbol"),
        pytest.param(b'{"inputs": [1]}', id="a list where names are needed"),
        pytest.param(b'{"inputs": {"b": []}}', id="a missing input"),
    ],
)
def test_integers_and_sizes_that_do_not_fit_are_left_to_a_slower_parse(body: bytes) -> None:
    with pytest.raises(Doubt):
        BufferDecoder(PAIR).decode(body)


def test_an_object_of_many_keys_is_given_up_at_once() -> None:
    keys = b",".join(b'"k%d": 1' % number for number in range(200_000))  # looking each up would take minutes
    with pytest.raises(Doubt):
        BufferDecoder(ROWS).decode(b'{"inputs": {%b}}' % keys)


def test_only_signatures_of_lists_of_numbers_are_read_this_way() -> None:
    others = [SHOP, signature(tensor("x", "float32", None)), signature(tensor("x", "int8", ()))]
    assert [can_read_buffers(what) for what in (IRIS, ROWS, PAIR, *others)] == [True] * 3 + [False] * 3


def test_without_a_wheel_of_simdjson_large_bodies_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(2 * BUFFERS_FROM_BYTES, dtype=np.float32).reshape(-1, 2)
    body = b'{"inputs": %b}' % str(array.tolist()).encode()
    monkeypatch.setitem(sys.modules, "simdjson", None)
    decoded = JsonCodec(model="m", version=1, signature=ROWS).decode(body)
    assert decoded.feed["x"].tobytes() == array.tobytes()


@pytest.mark.parametrize("size", [4_000, 60_000], ids=["short", "long"])
@pytest.mark.parametrize("start", [0, 1, 549, 550, 551, 1099, 1100, 1101, -1, -549, -550, -551])
def test_a_number_past_the_limit_is_seen_wherever_it_stands(size: int, start: int) -> None:
    body = bytearray(b"1.5," * (size // 4))
    at = start if start >= 0 else len(body) - MAX_NUMBER_CHARS - 1 + start + 1
    body[at : at + MAX_NUMBER_CHARS + 1] = b"1" * (MAX_NUMBER_CHARS + 1)
    assert may_hold_long_number(bytes(body))


@pytest.mark.parametrize("size", [4_000, 60_000], ids=["short", "long"])
def test_commas_close_together_leave_no_room_for_a_number_past_the_limit(size: int) -> None:
    number = b"0." + b"1" * 500 + b","
    assert not may_hold_long_number(number * (size // len(number)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_words_go_into_a_buffer_too(dtype: str) -> None:
    body = b'{"id": "a", "inputs": {"x": [["NaN", 1], ["-Infinity", "Infinity"], [-0.0, "NaN"]]}}'
    array = BufferDecoder(signature(tensor("x", dtype, ("n", 2)), outputs=OUTPUTS)).decode(body).feed["x"]
    assert array.dtype.name == dtype
    assert str(array.tolist()) == "[[nan, 1.0], [-inf, inf], [-0.0, nan]]"
    assert (array.flags.c_contiguous, array.flags.writeable) == (True, True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b'{"inputs": {"x": {"shape": [2, 1], "data": [7e-309, "NaN"]}}}', id="what stands for it is there"
        ),
        pytest.param(b'{"id": "NaN", "inputs": [["NaN"]]}', id="as an id"),
        pytest.param(b'{"NaN": 1, "inputs": [["NaN"]]}', id="as a key"),
        pytest.param(b'{"id": "\\\\"NaN"", "inputs": [[1]]}', id="within what is no JSON"),
        pytest.param(b'{"inputs": [[7e-309]], "id": "a"NaN"b"}', id="between strings, balanced by a number"),
        pytest.param(b'{"inputs": [[7e-309], [1"NaN"]]}', id="behind a number, balanced by one"),
        pytest.param(b'{"inputs": [[7e-309], ["NaN"]], "id": "[ "NaN" ]"}', id="in what would be a string then"),
        pytest.param(b'{"inputs": [["nan"]]}', id="another word"),
        pytest.param(b'{"inputs": [["NaN"], ["NaN", 1]]}', id="lists of different lengths"),
    ],
)
def test_words_that_are_no_elements_for_certain_are_left_to_a_slower_parse(body: bytes) -> None:
    what = signature(tensor("x", "float64", ("n", 1)), outputs=OUTPUTS)
    with pytest.raises(Doubt):
        BufferDecoder(what).decode(body)


@pytest.mark.parametrize("rank", [4, 9])
def test_a_string_is_no_list_of_its_characters(rank: int) -> None:
    with pytest.raises(TypeError):
        shape_of([["ab", "ab"]], rank)
