"""Parsers that are used for one body after another."""

import pytest

from gateway.codec import parsers
from gateway.codec.buffer_decode import BufferDecoder
from gateway.codec.fit import Doubt
from tests.support.signatures import signature, tensor


@pytest.fixture(autouse=True)
def _none_is_kept() -> None:
    parsers.drop_parsers()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint64"])
def test_what_a_body_said_stays_when_the_next_one_is_parsed(dtype: str) -> None:
    decoder = BufferDecoder(signature(tensor("x", dtype, ("n",))))
    first = decoder.decode(b'{"inputs": [1, 2, 3], "id": "first"}')
    second = decoder.decode(b'{"inputs": [7, 8, 9], "id": "second"}')
    assert (first.feed["x"].tolist(), first.id) == ([1, 2, 3], "first")
    assert (second.feed["x"].tolist(), second.id) == ([7, 8, 9], "second")


def test_one_parser_serves_many_bodies() -> None:
    decoder = BufferDecoder(signature(tensor("x", "float32", ("n",))))
    decoder.decode(b'{"inputs": [1]}')
    (kept,) = parsers._kept
    decoder.decode(b'{"inputs": [2]}')
    assert parsers._kept == [kept]


def test_a_parser_is_dropped_whose_parse_has_failed() -> None:
    decoder = BufferDecoder(signature(tensor("x", "float32", ("n",))))
    with pytest.raises(Doubt):
        decoder.decode(b'{"inputs": ["not a number"]}')
    assert parsers._kept == []
    assert decoder.decode(b'{"inputs": [3]}').feed["x"].tolist() == [3]
