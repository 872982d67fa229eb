"""Bodies that are read together say what each says by itself."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec.buffer_decode import long_rows_reader
from gateway.codec.fast_decode import short_rows_reader
from gateway.codec.joined_rows import JoinedRowsDecoder
from gateway.codec.json_tensors import JsonCodec
from registry.errors import CallerError
from registry.signature import Signature
from registry.tensor import DTYPES, TensorSpec
from tests.support.one_truth import canonical

NUMBERS = ("float32", "float16", "float64", "int64", "uint8")
KINDS = (*NUMBERS, "bool", *(f"long {name}" for name in NUMBERS))


def codec_of(kind: str) -> JsonCodec:
    """Return a codec; where its rows are to be read as long ones are, it is told so."""
    dtype = DTYPES[kind.removeprefix("long ")]
    signature = Signature(inputs=(TensorSpec(name="x", dtype=dtype, shape=("n", 2)),), outputs=())
    codec = JsonCodec(model="m", version=1, signature=signature)
    if kind.startswith("long "):
        codec.plain_rows = JoinedRowsDecoder(signature, long_rows_reader(dtype))
    return codec


CODECS = {kind: codec_of(kind) for kind in KINDS}


@pytest.mark.parametrize(
    ("name", "shape"),
    [("float32", ("n",)), ("float32", (1, 4)), ("float32", ("n", "m")), ("float32", ("n", 0)), ("string", ("n", 2))],
)
def test_rows_are_not_joined_where_more_than_their_number_is_free(name: str, shape: tuple[Any, ...]) -> None:
    signature = Signature(inputs=(TensorSpec(name="x", dtype=DTYPES[name], shape=shape),), outputs=())
    assert JsonCodec(model="m", version=1, signature=signature).plain_rows is None


elements = st.one_of(
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([16777217, 0.1, 1e39, -0.0, 2**64, True, None, "NaN", "1", [1]]),
)
rows = st.lists(st.one_of(st.lists(elements, min_size=2, max_size=2), st.lists(elements, max_size=3)), max_size=3)
frames: Any = st.sampled_from(["inputs", "instances", "named", "id", "outputs", "twice", "flat"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body that is plain as a rule, and right now and then."""
    value = draw(rows)
    text = json.dumps(value)
    frame = {
        "inputs": '{"inputs": %s}',
        "instances": '{"instances": %s}',
        "named": '{"inputs": {"x": %s}}',
        "id": '{"id": "q", "inputs": %s}',
        "outputs": '{"inputs": %s, "outputs": []}',
        "twice": '{"inputs": [[1, 2]], "inputs": %s}',
        "flat": '{"inputs": {"x": {"shape": [1, 2], "data": %s}}}',
    }[draw(frames)]
    return (frame % text).encode()


@given(st.sampled_from(KINDS), st.lists(bodies(), min_size=1, max_size=4))
def test_what_is_read_together_is_what_each_body_says_alone(kind: str, sent: list[bytes]) -> None:
    codec = CODECS[kind]
    assert codec.plain_rows is not None
    read = [codec.plain_rows.read(body) for body in sent]
    plain = [(body, found) for body, found in zip(sent, read, strict=True) if found is not None]
    feed = codec.plain_rows.join([found for _, found in plain]) if plain else None
    if feed is None:
        return
    alone = [codec.decode(body) for body, _ in plain]  # raises if one of them is no request at all
    joined = np.concatenate([request.feed["x"] for request in alone])
    assert canonical(feed["x"]) == canonical(joined)
    assert {request.id for request in alone} == {None}
    assert [found.rows for _, found in plain] == [len(request.feed["x"]) for request in alone]


@given(st.sampled_from(KINDS), bodies())
def test_what_is_refused_alone_is_never_joined(kind: str, body: bytes) -> None:
    codec = CODECS[kind]
    assert codec.plain_rows is not None
    try:
        codec.decode(body)
    except CallerError:
        found = codec.plain_rows.read(body)
        assert found is None or codec.plain_rows.join([found]) is None


INNER = ((1,), (16,), (2, 2), (2, 1, 3))
DEEP = {
    inner: Signature(inputs=(TensorSpec(name="x", dtype=DTYPES["float32"], shape=("n", *inner)),), outputs=())
    for inner in INNER
}


def nested(inner: tuple[int, ...]) -> Any:
    """Return a strategy of one row of this shape, or of one that is a size too large somewhere."""
    row: Any = st.integers(-9, 9)
    for size in reversed(inner):
        row = st.one_of(st.lists(row, min_size=size, max_size=size), st.lists(row, min_size=size, max_size=size + 1))
    return row


@given(st.data(), st.sampled_from(INNER), st.sampled_from(["short", "long"]))
def test_rows_of_any_inner_shape_are_read_together_as_alone(
    data: st.DataObject, inner: tuple[int, ...], way: str
) -> None:
    codec = JsonCodec(model="m", version=1, signature=DEEP[inner])
    spec = DEEP[inner].inputs[0]
    reader = long_rows_reader(spec.dtype) if way == "long" else short_rows_reader(spec)
    decoder = JoinedRowsDecoder(DEEP[inner], reader)
    values = data.draw(st.lists(st.lists(nested(inner), min_size=1, max_size=3), min_size=1, max_size=4))
    sent = [json.dumps({"inputs": value}).encode() for value in values]
    read = [decoder.read(body) for body in sent]
    feed = None if None in read else decoder.join([found for found in read if found is not None])
    if feed is None:
        with pytest.raises(CallerError):  # one of them, at least
            [codec.decode(body) for body in sent]
    else:
        alone = [codec.decode(body).feed["x"] for body in sent]
        assert [found and found.rows for found in read] == [len(array) for array in alone]
        assert canonical(feed["x"]) == canonical(np.concatenate(alone))


@pytest.mark.parametrize("kind", ["float32", "long float32"])
def test_plain_bodies_are_read_together(kind: str) -> None:
    codec = CODECS[kind]
    assert codec.plain_rows is not None
    sent = (b'{"inputs": [[1, 2.5]]}', b'{"instances":[[3, 4], [5, 6]]}', b'{"inputs": {"x": [[7, 8]]}}')
    read = [codec.plain_rows.read(body) for body in sent]
    feed = codec.plain_rows.join([found for found in read if found is not None])
    assert feed is not None
    assert feed["x"].tolist() == [[1, 2.5], [3, 4], [5, 6], [7, 8]]


def test_flags_are_read_together_too() -> None:
    codec = CODECS["bool"]
    assert codec.plain_rows is not None
    sent = (
        b'{"inputs": [[true, false]]}',
        b'{"instances": [[false, false]]}',
        b'{"inputs": [[true, true]], "id": "q"}',
    )
    read = [codec.plain_rows.read(body) for body in sent]
    assert [found and found.rows for found in read] == [1, 1, None]
    feed = codec.plain_rows.join([found for found in read if found is not None])
    assert feed is not None
    assert feed["x"].tolist() == [[True, False], [False, False]]


pieces = st.lists(
    st.sampled_from(["[[", "[", "]", "]]", ",", "],[", "[1,2]", "1", "2.5", " ", "[1,[2]]", "true", '"NaN"']),
    max_size=6,
)


@st.composite
def torn_bodies(draw: st.DrawFn) -> bytes:
    """Something that begins and ends like a plain body, whatever is in between."""
    return '{{"inputs":[[{}]]}}'.format("".join(draw(pieces))).encode()


@given(
    st.sampled_from(["float32", "bool", "long float32", "long int64"]), st.lists(torn_bodies(), min_size=1, max_size=3)
)
@settings(max_examples=1000)
def test_no_body_finds_what_it_lacks_in_its_neighbours(kind: str, sent: list[bytes]) -> None:
    codec = CODECS[kind]
    assert codec.plain_rows is not None
    read = [codec.plain_rows.read(body) for body in sent]
    if any(found is None for found in read):
        return
    feed = codec.plain_rows.join([found for found in read if found is not None])
    if feed is not None:
        alone = [codec.decode(body).feed["x"] for body in sent]  # raises if one of them is no request at all
        assert [found and found.rows for found in read] == [len(array) for array in alone]
        assert feed["x"].tolist() == np.concatenate(alone).tolist()


@pytest.mark.parametrize("kind", ["float32", "long float32"])
def test_a_row_that_is_torn_between_two_bodies_is_not_joined(kind: str) -> None:
    codec = CODECS[kind]
    assert codec.plain_rows is not None
    read = [codec.plain_rows.read(body) for body in (b'{"inputs":[[1,2],[3]]}', b'{"inputs":[[4],[5,6]]}')]
    assert codec.plain_rows.join([found for found in read if found is not None]) is None
