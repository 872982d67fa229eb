"""Bodies of sequences and maps: what is refused before it costs anything, and what two readers could understand."""

import numpy as np
import orjson
import pytest

from gateway.codec.json_tensors import JsonCodec
from gateway.codec.limits import MAX_HELD
from registry.errors import SignatureMismatch, TooManyElements
from registry.signature import Signature
from registry.tensor import DTYPES, OPTIONAL, SEQUENCE, Shape, TensorSpec, map_of

OF_NUMBERS = map_of(DTYPES["int64"])


def codec_of(*containers: str, shape: Shape | None = None) -> JsonCodec:
    spec = TensorSpec(name="x", dtype=DTYPES["float32"], shape=shape, containers=containers)
    return JsonCodec(model="m", version=1, signature=Signature(inputs=(spec,), outputs=()))


@pytest.mark.parametrize("body", [b'{"inputs": [%b]}', b'{"inputs": {"x": [%b]}}'], ids=["alone", "by name"])
@pytest.mark.parametrize(
    ("containers", "item"),
    [((SEQUENCE,), b"0"), ((SEQUENCE,), b"[]"), ((SEQUENCE, OF_NUMBERS), b"{}"), ((OPTIONAL, SEQUENCE), b'""')],
)
def test_more_than_there_may_be_is_counted_before_it_is_taken_apart(
    containers: tuple[str, ...], item: bytes, body: bytes
) -> None:
    with pytest.raises(TooManyElements) as caught:
        codec_of(*containers).decode(body % b",".join([item] * (MAX_HELD + 1)))
    assert [(one.path, one.received) for one in caught.value.violations] == [
        ("/inputs/x" if b"x" in body else "/inputs", f"{MAX_HELD + 1} of them")
    ]


def test_a_tensor_in_an_optional_may_be_as_long_as_any() -> None:
    feed = codec_of(OPTIONAL).decode(b'{"inputs": {"x": [%b]}}' % b",".join([b"1"] * (MAX_HELD + 1))).feed
    assert feed["x"].shape == (MAX_HELD + 1,)


@pytest.mark.parametrize("key", ["-0", "00", "+1", " 1", "1.0", "9223372036854775808", "1" * 5000, "\u0661"])
def test_a_number_as_a_key_is_written_in_one_way(key: str) -> None:
    with pytest.raises(SignatureMismatch) as caught:
        codec_of(OF_NUMBERS, shape=()).decode(orjson.dumps({"inputs": {"x": {"0": 1, key: 2}}}))
    assert [(one.code, one.expected) for one in caught.value.violations] == [("invalid_dtype", "a key of int64")]


def test_each_fault_is_said_where_it_stands() -> None:
    with pytest.raises(SignatureMismatch) as caught:
        codec_of(SEQUENCE, shape=(None,)).decode(b'{"inputs": [[1, true], [], [2, [3]], 4, [5, 6, "x"]]}')
    assert [(one.path, one.code) for one in caught.value.violations] == [
        ("/inputs/0/1", "invalid_dtype"),
        ("/inputs/2/1", "invalid_shape"),
        ("/inputs/3", "invalid_shape"),
        ("/inputs/4/2", "invalid_dtype"),
    ]


def test_tensors_inside_share_no_memory() -> None:
    first, second = codec_of(SEQUENCE).decode(b'{"inputs": [[1, 2], [3]]}').feed["x"]
    assert (first.tolist(), second.tolist()) == ([1, 2], [3])
    assert first.base is None
    assert second.base is None
    assert not np.shares_memory(first, second)
