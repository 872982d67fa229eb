"""Laws of bodies that are parsed in pieces: whatever is cut where, they say what the exact parse reads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec.buffer_decode import long_rows_reader
from gateway.codec.exact_decode import decode_exactly
from gateway.codec.fit import Doubt
from gateway.codec.large_rows import LargeRowsDecoder
from gateway.codec.limits import MAX_ELEMENTS
from registry.errors import ServiceError
from registry.signature import Signature
from registry.tensor import Dim
from tests.support.signatures import signature, tensor

SHAPES: dict[str, tuple[Dim, ...]] = {"rank 2": ("n", 2), "rank 3": ("n", 2, 3), "a column": ("n", 1)}
NUMBERS = st.sampled_from(["0", "1", "-2.5", "1e-3", "0.1", "16777217", "1e39", '"NaN"', "true", "[1]", "", " 3 "])
SEAMS = st.sampled_from([","] * 12 + [", ", ",,", "", "]", "],[", "],["])


def decoder(what: Signature, piece_bytes: int) -> LargeRowsDecoder:
    return LargeRowsDecoder(what, long_rows_reader(what.inputs[0].dtype), piece_bytes=piece_bytes)


@st.composite
def rows_of(draw: st.DrawFn, shape: tuple[Dim, ...]) -> str:
    """Rows that fit, most often, of numbers that do."""
    if not shape:
        return draw(st.just("4") | NUMBERS)
    size = shape[0] if isinstance(shape[0], int) else draw(st.integers(0, 12))
    if draw(st.integers(0, 30)) == 0:
        size += 1
    text = ""
    for index in range(size):
        text += (draw(SEAMS) if index else "") + draw(rows_of(shape[1:]))
    return f"[{text}]"


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=400)
@given(data=st.data(), piece_bytes=st.integers(1, 40))
def test_what_is_read_in_pieces_is_what_the_exact_parse_reads(
    shape: tuple[Dim, ...], data: st.DataObject, piece_bytes: int
) -> None:
    what = signature(tensor("x", "float32", shape))
    body = f'{{"inputs":{data.draw(rows_of(shape))}}}'.encode()
    decoded = decoder(what, piece_bytes).decode(body)
    if decoded is None:
        return
    try:
        expected = decode_exactly(what, body)
    except ServiceError as error:
        raise AssertionError(f"read in pieces, and refused exactly: {body!r}") from error
    ours, theirs = decoded.feed["x"], expected.feed["x"]
    assert (ours.tobytes(), ours.shape, ours.dtype) == (theirs.tobytes(), theirs.shape, theirs.dtype)


@pytest.mark.parametrize("comma", [",", ", "])
@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 10**6])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_rows_are_read_in_pieces_of_any_size(shape: tuple[Dim, ...], piece_bytes: int, comma: str) -> None:
    what = signature(tensor("x", "float32", shape))
    array = np.arange(7 * 6, dtype=np.float32).reshape(-1, *(dim for dim in shape[1:] if isinstance(dim, int)))
    body = f'{{"inputs": {array.tolist()}}}'.replace(", ", comma).encode()
    decoded = decoder(what, piece_bytes).decode(body)
    assert decoded is not None
    found = decoded.feed["x"]
    assert (found.tolist(), found.dtype, found.flags.writeable) == (array.tolist(), array.dtype, True)


def test_more_elements_than_a_request_may_have_are_seen_before_anything_is_parsed() -> None:
    what = signature(tensor("x", "float32", ("n", 4)))
    body = b'{"inputs":[%b]}' % b",".join([b"[0,0,0,0]"] * (MAX_ELEMENTS // 4 + 1))
    with pytest.raises(Doubt):
        decoder(what, 1 << 17).decode(body)
