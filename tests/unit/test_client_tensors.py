from typing import Any

import numpy as np
import orjson
import pytest

from gateway.client.errors import UnusableArgument
from gateway.client.tensors import decode_outputs, decode_tensor, encode_inputs, encode_tensor, name_inputs
from registry.tensor import DTYPES

X = {"name": "x", "dtype": "float32", "shape": ["batch", 4]}
H = {"name": "h", "dtype": "float32", "shape": [2]}


def wire(value: Any, dtype: str | None) -> Any:
    """What the gateway reads."""
    return orjson.loads(orjson.dumps(encode_tensor(value, dtype), option=orjson.OPT_SERIALIZE_NUMPY))


@pytest.mark.parametrize(
    ("value", "dtype", "written"),
    [
        ([[0.1, 2]], "float32", [[0.1, 2.0]]),
        (np.float64(0.1), "float32", 0.10000000149011612),
        (np.array([1, 2], np.int32), "float32", [1.0, 2.0]),
        ([np.nan, np.inf, -np.inf, 0.5], "float64", ["NaN", "Infinity", "-Infinity", 0.5]),
        (np.array([300], np.int64), "uint8", [300]),
        ([1.5], "int64", [1.5]),
        ([True], "float32", [True]),
        (["1"], "float32", ["1"]),
        ([1e39], "float32", [1e39]),
        ([2**63], "int64", [2**63]),
        (np.array([2**64 - 1], np.uint64), "uint64", [2**64 - 1]),
        (["a", "ü"], "string", ["a", "ü"]),
        ("a", "string", "a"),
        (np.zeros((0, 3)), "float32", {"shape": [0, 3], "data": []}),
        ([], "int64", {"shape": [0], "data": []}),
        (np.arange(4, dtype=">i4").reshape(2, 2).T, "int32", [[0, 2], [1, 3]]),
        ([[1, 2]], None, [[1, 2]]),
    ],
    ids=[
        "decimals",
        "a scalar",
        "integers for floats",
        "what JSON has no numbers for",
        "an integer out of range",
        "a float for an integer",
        "a bool for a float",
        "text for a float",
        "a float that overflows",
        "an integer that overflows",
        "the largest integer",
        "strings",
        "one string",
        "no rows",
        "an empty list",
        "another memory layout",
        "a name that the model does not have",
    ],
)
def test_what_fits_is_cast_and_what_does_not_is_sent_as_it_is(value: Any, dtype: str | None, written: Any) -> None:
    assert wire(value, dtype) == written
    assert type(wire(value, dtype)) is type(written)


def test_rounding_to_a_smaller_float_is_to_nearest() -> None:
    assert np.float32(wire(np.array([1 / 3]), "float32")[0]) == np.float32(1 / 3)


def test_one_array_is_the_input_of_a_model_that_has_one() -> None:
    assert name_inputs([1, 2], [X]) == {"x": [1, 2]}
    assert name_inputs({"anything": 1}, [X]) == {"anything": 1}


@pytest.mark.parametrize("specs", [[], [X, H]], ids=["none", "two"])
def test_one_array_for_another_number_of_inputs_is_refused(specs: list[Any]) -> None:
    with pytest.raises(UnusableArgument):
        name_inputs([1, 2], specs)


def test_each_input_is_written_by_its_own_dtype() -> None:
    encoded = encode_inputs({"x": [[1]], "h": [2], "unknown": "?"}, [X, {**H, "dtype": "int8"}])

    body = orjson.loads(orjson.dumps(encoded, option=orjson.OPT_SERIALIZE_NUMPY))
    assert body == {"x": [[1.0]], "h": [2], "unknown": "?"}


@pytest.mark.parametrize(
    ("value", "dtype", "array"),
    [
        ([["NaN", "-Infinity", 0.1]], "float32", np.array([[np.nan, -np.inf, 0.1]], np.float32)),
        (2**63 - 1, "int64", np.array(2**63 - 1)),
        ([2**64 - 1], "uint64", np.array([2**64 - 1], np.uint64)),
        ([True, False], "bool", np.array([True, False])),
        (["a", "bc"], "string", np.array(["a", "bc"], object)),
        ({"shape": [2, 0, 3], "data": []}, "float16", np.zeros((2, 0, 3), np.float16)),
        ({"shape": [2, 1], "data": ["Infinity", 1]}, "float64", np.array([[np.inf], [1]])),
        ([[], []], "int32", np.zeros((2, 0), np.int32)),
    ],
    ids=["words", "a scalar", "unsigned", "bool", "strings", "no elements", "flat", "empty rows"],
)
def test_an_answer_has_the_signatures_dtype_and_its_own_shape(value: Any, dtype: str, array: Any) -> None:
    decoded = decode_tensor(value, dtype)

    assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(decoded, array)


def test_only_the_outputs_that_came_are_decoded() -> None:
    outputs = decode_outputs({"h": [1]}, [X, H])

    assert list(outputs) == ["h"]
    np.testing.assert_array_equal(outputs["h"], np.array([1], np.float32))


@pytest.mark.parametrize(
    ("dtype", "own", "values"),
    [("bfloat16", "float32", [1.5, -2.0]), ("float8_e5m2", "float32", [0.25]), ("int4", "int8", [-8, 7])],
)
def test_types_that_numpy_lacks_become_the_next_larger_ones(dtype: str, own: str, values: list[Any]) -> None:
    decoded = decode_tensor(values, dtype)
    assert (decoded.dtype.name, decoded.tolist()) == (own, values)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2", "int4"])
def test_arrays_of_types_that_numpy_lacks_are_sent_as_their_numbers(dtype: str) -> None:
    array = np.array([1, -2], DTYPES[dtype].numpy)
    assert encode_tensor(array, dtype).tolist() == [1, -2]


def test_what_is_no_tensor_goes_there_and_back() -> None:
    spec = {"name": "t", "dtype": "float32", "shape": [], "containers": ["sequence", "map[int64]"]}
    value = [{3: np.float32(0.5)}, {-1: np.float32(1.5)}]
    wire = encode_inputs({"t": value}, [spec])
    assert wire == {"t": [{"3": 0.5}, {"-1": 1.5}]}
    assert decode_outputs(wire, [spec]) == {"t": value}


def test_an_optional_that_is_absent_is_none() -> None:
    spec = {"name": "t", "dtype": "float32", "shape": None, "containers": ["optional"]}
    assert decode_outputs(encode_inputs({"t": None}, [spec]), [spec]) == {"t": None}
