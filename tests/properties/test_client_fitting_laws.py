"""What the client refuses before it sends anything is what the gateway would refuse, in its words."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.faults import Violation
from gateway.client.fitting import fit
from registry.signature import Signature
from registry.tensor import DTYPES, TensorSpec

DIMS = st.sampled_from([1, 2, "batch", "features", None])
SHAPES = st.none() | st.lists(DIMS, max_size=3).map(tuple)
NAMES = ("x", "a/b", "h~")
X = {"name": "x", "dtype": "int8", "shape": [2], "optional": False}


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    inputs = tuple(
        TensorSpec(name=name, dtype=DTYPES["float32"], shape=draw(SHAPES), optional=draw(st.booleans()))
        for name in names
    )
    return Signature(inputs=inputs, outputs=())


FEEDS = st.dictionaries(st.sampled_from((*NAMES, "unknown")), st.lists(st.integers(1, 3), max_size=3).map(np.ones))


@given(signature=signatures(), feed=FEEDS)
def test_names_and_shapes_are_refused_as_the_gateway_refuses_them(signature: Signature, feed: dict[str, Any]) -> None:
    wanted = signature.check({name: array.shape for name, array in feed.items()})

    _, found = fit(feed, signature.as_json()["inputs"])

    # Of a shape the client says besides which dimension it is.
    plain = [dataclasses.replace(fault, received=fault.received.partition(" (")[0]) for fault in found]
    assert plain == [Violation(**dataclasses.asdict(fault)) for fault in wanted]


@pytest.mark.parametrize(
    ("dtype", "value", "faults"),
    [
        ("int8", [1, 300], [("/inputs/x/1", "int8, which has no room for it", "300", "out_of_range")]),
        ("uint64", [-1, 0], [("/inputs/x/0", "uint64, which has no room for it", "-1", "out_of_range")]),
        ("int64", [1.0, 2.0], [("/inputs/x", "int64[2]", "float64[2]", "invalid_dtype")]),
        ("float32", [True, False], [("/inputs/x", "float32[2]", "bool[2]", "invalid_dtype")]),
        ("bool", [1, 0], [("/inputs/x", "bool[2]", "int64[2]", "invalid_dtype")]),
        ("float32", [1e39, 1.0], [("/inputs/x/0", "float32, which has no room for it", "1e+39", "out_of_range")]),
        ("float64", [1j, 2], [("/inputs/x", "float64[2]", "complex128[2]", "invalid_dtype")]),
        (
            "float64",
            np.array(["2026-01-01"] * 2, "M8[D]"),
            [("/inputs/x", "float64[2]", "datetime64[D][2]", "invalid_dtype")],
        ),
        ("float32", [[1], [1, 2]], [("/inputs/x", "float32[2]", "lists of different lengths", "invalid_shape")]),
        ("string", ["a", None], [("/inputs/x/1", "an element of string", "None", "invalid_dtype")]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_dtype_cannot_hold_is_named(dtype: str, value: Any, faults: list[tuple[str, ...]]) -> None:
    _, found = fit({"x": value}, [{**X, "dtype": dtype}])
    assert [(fault.path, fault.expected, fault.received, fault.code) for fault in found] == faults


@pytest.mark.parametrize(
    ("dtype", "value", "array"),
    [
        ("float16", [1, 2**11 + 1], np.array([1, 2048], np.float16)),
        ("float32", np.array([0.1, np.inf]), np.array([0.1, np.inf], np.float32)),
        ("int8", np.array([1, -128], np.int64), np.array([1, -128], np.int8)),
        ("bfloat16", [1.00390625, np.nan], np.array([1.0, np.nan], np.float32)),
        ("int8", [], np.array([], np.int8)),
    ],
)
def test_what_fits_is_cast(dtype: str, value: Any, array: Any) -> None:
    fitted, found = fit({"x": value}, [{**X, "dtype": dtype, "shape": ["n"]}])

    assert (found, fitted["x"].dtype) == ([], array.dtype)
    np.testing.assert_array_equal(fitted["x"], array)


def test_words_among_numbers_go_as_they_are() -> None:
    fitted, found = fit({"x": ["NaN", "Infinity"]}, [{**X, "dtype": "float32"}])
    assert (fitted["x"].tolist(), found) == (["NaN", "Infinity"], [])


def test_of_many_wrong_elements_the_first_are_named() -> None:
    _, found = fit({"x": np.full(100, 1000)}, [{**X, "shape": ["n"]}])
    assert [fault.index for fault in found] == [(place,) for place in range(16)]


def test_an_optional_input_that_is_none_is_left_out() -> None:
    assert fit({"x": None}, [{**X, "optional": True}]) == ({}, [])
