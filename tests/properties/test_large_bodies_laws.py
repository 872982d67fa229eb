"""Laws of the parse into buffers: plain numbers are taken, and whatever is taken means what the exact parse says."""

import json
from fractions import Fraction
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.codec.buffer_decode import BufferDecoder
from gateway.codec.exact_decode import decode_exactly
from gateway.codec.fit import Doubt
from registry.signature import Signature
from registry.tensor import DTYPES, DType, TensorSpec
from tests.support.one_truth import canonical, check_one_truth
from tests.support.signatures import signature, tensor

NUMBERS = [dtype for dtype in DTYPES.values() if dtype.kind in "fiu" and not dtype.is_foreign]


def spec_of(array: Any, dtype: DType) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=tuple(f"d{axis}" for axis in range(array.ndim)))


def arrays_of(dtype: DType) -> st.SearchStrategy[Any]:
    shapes = npst.array_shapes(max_dims=4, max_side=5)
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    arrays = npst.arrays(dtype.numpy, shapes, elements=elements)
    return arrays.filter(lambda array: not any(map(is_written_halfway, array.ravel()))) if dtype.kind == "f" else arrays


def is_written_halfway(value: Any) -> bool:
    """Whether the shortest text of a float lies right between it and a neighbour: only the exact parse may round it."""
    with np.errstate(over="ignore"):
        neighbours = np.nextafter(value, np.array([-np.inf, np.inf], value.dtype))
    text = orjson.dumps(np.array([value]), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1]
    return Fraction(text) in {
        (Fraction(float(value)) + Fraction(float(near))) / 2 for near in neighbours if np.isfinite(near)
    }


@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda dtype: dtype.name)
@given(data=st.data())
def test_what_python_and_orjson_write_of_an_array_is_taken_with_the_same_bits(
    dtype: DType, data: st.DataObject
) -> None:
    array = data.draw(arrays_of(dtype))
    tensor_of = {"shape": array.shape, "data": array.ravel()} if data.draw(st.booleans()) else array
    decoder = BufferDecoder(signature(spec_of(array, dtype)))
    by_orjson = orjson.dumps({"inputs": {"x": tensor_of}}, option=orjson.OPT_SERIALIZE_NUMPY)
    by_python = json.dumps({"inputs": {"x": tensor_of}}, default=lambda value: value.tolist()).encode()
    for body in (by_orjson, by_python):
        assert canonical(decoder.decode(body).feed["x"]) == canonical(array)


def test_a_text_halfway_between_two_floats_is_left_to_the_exact_parse() -> None:
    array = np.array([67108896], np.float32)
    what = signature(spec_of(array, DTYPES["float32"]))
    body = orjson.dumps({"inputs": {"x": array}}, option=orjson.OPT_SERIALIZE_NUMPY)
    with pytest.raises(Doubt):
        BufferDecoder(what).decode(body)
    assert body == b'{"inputs":{"x":[67108900.0]}}'
    assert canonical(decode_exactly(what, body).feed["x"]) == canonical(array)


# --- bodies that are nearly right -------------------------------------------------------------------------------------

OUTPUTS = (tensor("a", "float32", None), tensor("b", "float32", None))
SIGNATURES = {
    "float32": signature(tensor("x", "float32", ("n", 3)), outputs=OUTPUTS),
    "float16": signature(tensor("x", "float16", ("n", 2)), outputs=OUTPUTS),
    "float64": signature(tensor("x", "float64", (None,)), outputs=OUTPUTS),
    "int64": signature(tensor("x", "int64", (None, 2, "k")), outputs=OUTPUTS),
    "uint8": signature(tensor("x", "uint8", ("n", 2)), outputs=OUTPUTS),
    "uint64": signature(tensor("x", "uint64", (None,)), outputs=OUTPUTS),
    "several": signature(
        tensor("i", "int32", ("n", 2)), tensor("f", "float32", ("n",), optional=True), tensor("u", "uint16", ("n", "m"))
    ),
    "shape": signature(tensor("shape", "int64", ("n",)), outputs=OUTPUTS),
}

_EDGES = """
    0 -0 -0.0 1 -1 255 256 65535 65536 1.0 1e2 1E+2 0.1 5e-324 2.4703282292062327e-324 2.4703282292062328e-324 1e-45
    7.0064923216240853e-46 7.0064923216240854e-46 1e39 -1e400 1e-400 3.4028235677973362e38 3.4028235677973366e38
    1.7976931348623157e308 1.7976931348623159e308 16777217 16777217.0000000000000000001 16777216.9999999999999999999
    2049 2049.0000000000000000000001 65504 65519.99 65520 0.30000000000000004 123456789012345678901234567890.5
    9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615
    18446744073709551616 99999999999999999999 01 +1 .5 5. 1.e1 1e 0x1 NaN -Infinity "NaN" "1" true null [] [1] {}
    7e-309 0.8e-308 -9e-309 "Infinity" "-Infinity" "nan" "NaN"" ""NaN" "-NaN"
"""
EDGES = _EDGES.split()
WORDS = st.sampled_from(['"NaN"', '"Infinity"', '"-Infinity"'])
LENGTHS = ["1" * 20, "1" * 21, "0." + "1" * 1_098, "0." + "1" * 1_099, "1e" + "0" * 1_097 + "1", "1" * 1_101 + ".0"]
PIECES = st.sampled_from([*EDGES, *LENGTHS, "", ",", "[", "]", "{", "}", '"', "\\", "-", "e", ".", " ", "\x00", "\xff"])


def plain_numbers_of(dtype: DType) -> st.SearchStrategy[str]:
    if dtype.kind == "f":
        return st.floats(allow_nan=False, allow_infinity=False, width=16).map(repr) | st.integers(-99, 99).map(str)
    bounds = np.iinfo(dtype.numpy)
    return st.integers(int(bounds.min), int(bounds.max)).map(str)


@st.composite
def tensors_of(draw: st.DrawFn, spec: TensorSpec, sizes: dict[str, int]) -> str:
    """A tensor that fits, but for one element that may be odd, in either form."""
    shape = [
        dim if isinstance(dim, int) else sizes.setdefault(dim or spec.name, draw(st.integers(1, 3)))
        for dim in spec.shape or ()
    ]
    count = int(np.prod(shape))
    texts = draw(st.lists(plain_numbers_of(spec.dtype), min_size=count, max_size=count))
    if texts and draw(st.booleans()):
        texts[draw(st.integers(0, count - 1))] = draw(
            st.sampled_from(EDGES) | st.sampled_from(LENGTHS) | st.just("[1]")
        )
    if texts and draw(st.booleans()):
        texts[draw(st.integers(0, count - 1))] = draw(WORDS)
    if draw(st.booleans()):
        return f'{{"shape":{shape}, "data": [{", ".join(texts)}]}}'
    for size in reversed(shape):
        texts = ["[" + ",".join(texts[at : at + size]) + "]" for at in range(0, len(texts), size or 1)] or ["[]"]
    return texts[0]


@st.composite
def nearly_right_bodies(draw: st.DrawFn, what: Signature) -> bytes:
    """A body of numbers with a field too many or a few bytes changed, or neither."""
    sizes: dict[str, int] = {}
    tensors = {
        spec.name: draw(tensors_of(spec, sizes)) for spec in what.inputs if not spec.optional or draw(st.booleans())
    }
    named = "{" + ",".join(f'"{name}": {text}' for name, text in tensors.items()) + "}"
    value = draw(st.sampled_from([named] * 3 + list(tensors.values())))
    extras = [
        "",
        "",
        "",
        ', "id": "a[b"',
        ', "outputs": ["a"]',
        ', "id": "\\ud800"',
        ', "id": "NaN"',
        ', "id": "[\\"NaN"',
        ', "id": "\\\\"NaN""',
        ', "inputs": null',
        ', "id": null',
    ]
    field = draw(st.sampled_from(["inputs"] * 4 + ["instances"]))
    body = f'{{"{field}":{value}{draw(st.sampled_from(extras))}}}'
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(PIECES) + body[at + draw(st.integers(0, 2)) :]
    return body.encode("latin-1")


@pytest.mark.parametrize("what", SIGNATURES.values(), ids=SIGNATURES)
@settings(max_examples=300)
@given(data=st.data())
def test_nearly_right_bodies_of_numbers_have_one_meaning_or_a_callers_error(
    what: Signature, data: st.DataObject
) -> None:
    check_one_truth(what, data.draw(nearly_right_bodies(what)))
