"""Laws of the JSON codec: round trips, one truth for both parses, and nothing but a value or a caller's error."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gateway.codec.json_tensors import JsonCodec
from gateway.codec.schemas import example_body
from registry.errors import CallerError
from registry.signature import Signature
from registry.tensor import DTYPES, OPTIONAL, SEQUENCE, DType, TensorSpec, map_of
from registry.values import Value, copy_of, layout, leaves, pack, unpack
from tests.support.one_truth import canonical, check_one_truth
from tests.support.signatures import IRIS, SHOP, signature, tensor

SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NARROW_FLOATS = ["float16", "float32"]


def arrays_of(dtype: DType) -> st.SearchStrategy[Any]:
    if dtype.kind == "O":
        return npst.arrays(object, SHAPES, elements=TEXT)
    if dtype.is_foreign:
        bits = npst.arrays(np.dtype(f"u{dtype.numpy.itemsize}"), SHAPES)
        return bits.map(lambda drawn: unpack(dtype, pack(dtype, drawn.view(dtype.numpy)).tobytes(), drawn.shape))
    return npst.arrays(dtype.numpy, SHAPES)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@given(data=st.data())
def test_what_is_written_reads_back_to_the_same_bits(dtype: DType, data: st.DataObject) -> None:
    array = data.draw(arrays_of(dtype))
    spec = TensorSpec(name="t", dtype=dtype, shape=tuple(f"d{axis}" for axis in range(array.ndim)))
    codec = JsonCodec(model="m", version=1, signature=signature(spec, outputs=(spec,)))
    answer = orjson.Fragment(codec.encode(["t"], [array], request_id=None))
    outputs = json.loads(orjson.dumps(answer))["outputs"]
    body = json.dumps({"inputs": outputs}).encode()
    assert canonical(codec.decode(body).feed["t"]) == canonical(array)


@given(array=npst.arrays(np.float32, SHAPES), text=TEXT)
def test_an_answer_is_strict_json_that_gives_the_id_back(array: Any, text: str) -> None:
    answer = JsonCodec(model="m", version=7, signature=IRIS).encode(["a", "b"], [array, array], request_id=text)
    document = orjson.loads(answer)
    assert (document["model"], document["version"], document["id"]) == ("m", 7, text)
    assert document["outputs"]["a"] == document["outputs"]["b"]


MAPS = {"int64": st.integers(-(2**63), 2**63 - 1), "string": TEXT}


@st.composite
def wrapped(draw: st.DrawFn) -> tuple[TensorSpec, Value]:
    """A specification of up to three containers, and a value of it."""
    dtype = draw(st.sampled_from([*DTYPES.values()]))
    containers = draw(
        st.lists(st.sampled_from([SEQUENCE, OPTIONAL, *(map_of(DTYPES[key]) for key in MAPS)]), max_size=3)
    )

    def value(rest: list[str]) -> Value:
        if not rest:
            return draw(arrays_of(dtype))  # type: ignore[no-any-return]
        if rest[0] == OPTIONAL:
            return value(rest[1:]) if draw(st.booleans()) else None
        if rest[0] == SEQUENCE:
            return [value(rest[1:]) for _ in range(draw(st.integers(0, 3)))]
        keys = draw(st.lists(MAPS[rest[0][4:-1]], unique=True, max_size=3))
        return {key: value(rest[1:]) for key in keys}

    spec = TensorSpec(name="t", dtype=dtype, shape=None, containers=tuple(containers))
    return spec, value(containers)


@given(drawn=wrapped())
def test_what_is_no_tensor_reads_back_to_the_same_values(drawn: tuple[TensorSpec, Value]) -> None:
    spec, value = drawn
    codec = JsonCodec(model="m", version=1, signature=signature(spec, outputs=(spec,)))
    outputs = json.loads(codec.encode(["t"], [copy_of(value)], request_id=None))["outputs"]
    back = codec.decode(json.dumps({"inputs": outputs}).encode()).feed["t"]
    assert layout(back) == layout(value)
    assert list(map(canonical, leaves(back))) == list(map(canonical, leaves(value)))


# --- rounding ---------------------------------------------------------------------------------------------------------


def nearest(exact: Fraction, dtype: np.dtype[Any]) -> Any:
    """The nearest float to an exact value, ties to even, by nothing but comparing exact values."""
    close = np.array(float(exact), np.float64).astype(dtype)  # at most one step off
    with np.errstate(over="ignore"):
        candidates = [np.nextafter(close, dtype.type(-np.inf)), close, np.nextafter(close, dtype.type(np.inf))]
    finite = [candidate for candidate in candidates if np.isfinite(candidate)]
    width = f"u{dtype.itemsize}"
    return min(finite, key=lambda value: (abs(Fraction(float(value)) - exact), int(np.array(value).view(width)) & 1))


def literal(exact: Fraction) -> str:
    """A decimal that spells a fraction with a power of two below it, to the last digit."""
    places = exact.denominator.bit_length() - 1
    sign = "-" if exact < 0 else ""
    digits = str(abs(exact.numerator) * 5**places).rjust(places + 1, "0")
    return f"{sign}{digits[: len(digits) - places]}.{digits[len(digits) - places :] or '0'}"


@st.composite
def halfway_literals(draw: st.DrawFn, name: str) -> str:
    """A point halfway between two floats, subnormal ones too, with nothing or a little added or taken away."""
    dtype = DTYPES[name].numpy
    low = draw(npst.from_dtype(dtype, allow_nan=False, allow_infinity=False))
    low = np.array(low, dtype)
    assume(low < np.finfo(dtype).max)
    high = np.nextafter(low, dtype.type(np.inf))
    middle = (Fraction(float(low)) + Fraction(float(high))) / 2
    tail = Fraction(draw(st.sampled_from([-1, 0, 1])), 2 ** draw(st.integers(200, 600)))
    return literal(middle + tail)


def read_one(name: str, text: str) -> Any:
    codec = JsonCodec(model="m", version=1, signature=signature(tensor("x", name, (1,))))
    return codec.decode(b'{"inputs": [%b]}' % text.encode()).feed["x"]


@pytest.mark.parametrize("name", NARROW_FLOATS)
@given(data=st.data())
def test_points_halfway_between_two_floats_and_their_neighbours_are_rounded_once(
    name: str, data: st.DataObject
) -> None:
    text = data.draw(halfway_literals(name))
    expected = nearest(Fraction(text), DTYPES[name].numpy)
    assert read_one(name, text).tolist() == [expected]


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
@given(
    digits=st.integers(-(10**25), 10**25),
    exponent=st.integers(-60, 20),
    letter=st.sampled_from(["e", "E", "e+", "E-0"]),
)
@example(digits=-1, exponent=-46, letter="e")
def test_any_decimal_becomes_the_nearest_float(name: str, digits: int, exponent: int, letter: str) -> None:
    text = f"{digits}.0{letter if exponent >= 0 else 'e'}{abs(exponent) if exponent >= 0 else exponent}"
    dtype = DTYPES[name].numpy
    exact = Fraction(Decimal(text))
    assume(abs(exact) < Fraction(float(np.finfo(dtype).max)))
    assert read_one(name, text).tolist() == [nearest(exact, dtype)]


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
@given(value=st.integers(-(10**20) + 1, 10**20 - 1))
def test_any_integer_becomes_the_nearest_float(name: str, value: int) -> None:
    dtype = DTYPES[name].numpy
    assume(abs(value) < float(np.finfo(dtype).max))
    assert read_one(name, str(value)).tolist() == [nearest(Fraction(value), dtype)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param(
            "float32", "340282356779733661637539395458142568447.999", 2.0**128 - 2.0**104, id="float32, below"
        ),
        pytest.param("float16", "65519.9999999999999999999999999999999999999", 65504.0, id="float16, below"),
        pytest.param("float64", "179769313486231580793728971405301e276", (2.0**53 - 1) * 2.0**971, id="float64, below"),
        pytest.param("float32", "340282356779733661637539395458142568448.0", None, id="float32, at"),
        pytest.param("float16", "65520", None, id="float16, at"),
        pytest.param("float64", "179769313486231580793728971405304e276", None, id="float64, above"),
    ],
)
def test_only_what_rounds_past_the_largest_float_is_refused(name: str, text: str, expected: float | None) -> None:
    if expected is None:
        with pytest.raises(CallerError) as caught:
            read_one(name, text)
        assert caught.value.code == "out_of_range"
    else:
        assert read_one(name, text).tolist() == [expected]


# --- any bytes --------------------------------------------------------------------------------------------------------

EVERYTHING = signature(
    *(
        tensor(name, name, ("n", None)[: 1 + (name in {"int8", "string"})], optional=True)
        for name, dtype in DTYPES.items()
        if not dtype.is_foreign
    ),
    outputs=(tensor("a", "int8", None), tensor("b", "int8", None)),
)
FOREIGN = signature(
    *(tensor(name, name, ("n",), optional=True) for name, dtype in DTYPES.items() if dtype.is_foreign),
    outputs=(tensor("a", "int8", None), tensor("b", "int8", None)),
)
SCALAR = signature(tensor("x", "float16", ()))
SIGNATURES = {"iris": IRIS, "shop": SHOP, "everything": EVERYTHING, "foreign": FOREIGN, "scalar": SCALAR}

PLAIN_NUMBERS = ["0", "-0", "-0.0", "1", "1.0", "1e2", "-1E+2", "0.1", "16777217", "2049", "1e-45", "255", "65519"]
TIES = ["16777217.0000000000000000001", "16777216.9999999999999999999", "2049.0000000000000000000001"]
STRANGE_NUMBERS = ["300", "65520", "9" * 20, "1e20", "1e39", "1e400", "1e-400", "01", "1.", "NaN", "-Infinity"]
LONG_NUMBERS = [str(2**63), str(-(2**63)), str(2**64), "1" * 21, "0." + "1" * 1_097, "0." + "1" * 1_099]
NUMBERS = st.sampled_from(PLAIN_NUMBERS + TIES) | st.sampled_from(STRANGE_NUMBERS + LONG_NUMBERS)
WORDS = st.sampled_from(['"NaN"', '"Infinity"', '"-Infinity"', '"a"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\""', '"1"'])
LEAVES = NUMBERS | WORDS | st.sampled_from(["true", "false", "null"])
KEYS = st.sampled_from(
    ["x", "user", "words", "discount", "inputs", "instances", "outputs", "id", "shape", "data", "\\u0078"]
)


def lists_of(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(items, max_size=4).map(lambda texts: "[" + ", ".join(texts) + "]")


def objects_of(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(KEYS | st.sampled_from(list(DTYPES)), items)
    return st.lists(pairs, max_size=4).map(
        lambda found: "{" + ",".join(f'"{key}":{value}' for key, value in found) + "}"
    )


TENSORS = st.one_of(
    LEAVES,
    lists_of(NUMBERS),
    lists_of(lists_of(NUMBERS)),
    lists_of(lists_of(WORDS)),
    lists_of(LEAVES),
    st.builds('{{"shape": {}, "data": {}}}'.format, lists_of(st.sampled_from("01234")), lists_of(LEAVES)),
)
DOCUMENTS = st.one_of(
    objects_of(TENSORS),
    objects_of(objects_of(TENSORS)),
    st.builds('{{"inputs": {}}}'.format, objects_of(TENSORS) | TENSORS),
    st.builds('{{"instances": {}, "id": {}}}'.format, TENSORS | lists_of(objects_of(TENSORS)), WORDS),
    st.builds('{{"inputs": {}, "outputs": {}}}'.format, objects_of(TENSORS), lists_of(st.sampled_from(['"a"', '"b"']))),
)


EXTRAS = st.sampled_from(
    [
        '"outputs": ["label"]',
        '"outputs": ["label", "label"]',
        '"id": "\\u0061"',
        '"id": "a\\"b"',
        '"inputs": {}',
        '"x": 1',
    ]
)


@st.composite
def flower_bodies(draw: st.DrawFn) -> bytes:
    """A right body for IRIS, with one thing about it that may be wrong."""
    numbers = draw(st.lists(st.sampled_from(PLAIN_NUMBERS), min_size=4, max_size=4))
    odd = draw(st.none() | NUMBERS | LEAVES | st.sampled_from(TIES + LONG_NUMBERS))
    if odd is not None:
        numbers[draw(st.integers(0, 3))] = odd
    row = ", ".join(numbers)
    form = draw(
        st.sampled_from(
            [
                f'"inputs": {{"x": [[{row}]]}}',
                f'"inputs": {{"x": [[{row}]], "x": [[{row}]]}}',
                f'"inputs": {{"x": {{"shape": [1, 4], "data": [{row}]}}}}',
                f'"inputs": {{"x": {{"shape": [4], "data": [{row}]}}}}',
                f'"inputs": [[{row}], [{row}]]',
                f'"instances": [[{row}]]',
            ]
        )
    )
    extras = draw(st.lists(EXTRAS, max_size=1))
    return ("{" + ", ".join([form, *extras]) + "}").encode()


@st.composite
def shop_bodies(draw: st.DrawFn) -> bytes:
    """A right body for SHOP, but for its sizes, one of its elements, or a key that comes twice."""
    users = [
        draw(st.sampled_from(["1", "-0", "1", "7", "1.0", "true", str(2**63)])) for _ in range(draw(st.integers(1, 2)))
    ]
    words = ['["a", "b"]'] * draw(st.integers(1, 2))
    twice = draw(st.sampled_from(["", "", ', "user": [1]', ', "discount": 0.5', ', "discount": "NaN"']))
    return f'{{"inputs": {{"user": [{", ".join(users)}], "words": [{", ".join(words)}]{twice}}}}}'.encode()


@st.composite
def mutated_bodies(draw: st.DrawFn, what: Signature) -> bytes:
    """A valid body with a few bytes changed, dropped or doubled."""
    body = bytearray(orjson.dumps(example_body(what)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b'"', b",", b"[", b"]", b"0", b"-", b"\\", b"\xff"])
        )
        assume(body)
    return bytes(body)


@pytest.mark.parametrize("what", SIGNATURES.values(), ids=SIGNATURES)
@given(data=st.data())
def test_bodies_that_look_right_have_one_meaning_or_a_callers_error(what: Signature, data: st.DataObject) -> None:
    check_one_truth(what, data.draw(DOCUMENTS).encode())


@pytest.mark.parametrize("what", SIGNATURES.values(), ids=SIGNATURES)
@given(data=st.data())
def test_damaged_bodies_have_one_meaning_or_a_callers_error(what: Signature, data: st.DataObject) -> None:
    check_one_truth(what, data.draw(mutated_bodies(what)))


@settings(max_examples=400)
@given(body=flower_bodies())
def test_nearly_right_bodies_of_one_input_have_one_meaning_or_a_callers_error(body: bytes) -> None:
    check_one_truth(IRIS, body)


@given(body=shop_bodies())
def test_nearly_right_bodies_of_several_inputs_have_one_meaning_or_a_callers_error(body: bytes) -> None:
    check_one_truth(SHOP, body)


@given(body=st.binary(max_size=64))
def test_any_bytes_have_one_meaning_or_a_callers_error(body: bytes) -> None:
    check_one_truth(IRIS, body)


@given(
    shape=st.lists(st.none() | st.sampled_from(["n", "m", 0, 1, 2, 5]), max_size=5), dtype=st.sampled_from(list(DTYPES))
)
def test_the_example_body_of_any_signature_is_taken(shape: list[Any], dtype: str) -> None:
    what = signature(
        tensor("x", dtype, tuple(shape)), tensor("y", dtype, None), tensor("z", dtype, ("n",), optional=True)
    )
    body = JsonCodec(model="m", version=1, signature=what).decode(orjson.dumps(example_body(what)))
    assert list(body.feed) == ["x", "y"]
