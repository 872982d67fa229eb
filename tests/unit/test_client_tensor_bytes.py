"""Bytes that are tensors, held against the format's own library, and bytes that are none."""

import json
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from gateway.client import Fault
from gateway.client.tensor_bytes import SPELLINGS, has_spelling, is_cast, read_tensors, write_tensors

FEED = {
    "wide": np.array([[1.5, np.nan], [-np.inf, 0]], np.float64),
    "turned": np.arange(6, dtype=np.int16).reshape(2, 3).T,
    "big": np.arange(3, dtype=">i8"),
    "one": np.array(True),
    "none": np.zeros((0, 3), np.float16),
}


def spec(name: str, dtype: str) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": None}


SPECS = [spec(name, array.dtype.name) for name, array in FEED.items()]


def packed(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_what_is_written_is_read_by_the_formats_own_library() -> None:
    found = load(write_tensors(FEED, SPECS))

    assert found.keys() == FEED.keys()
    for name, array in FEED.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype.newbyteorder("="), array.shape)
        np.testing.assert_array_equal(found[name], array)


def test_what_the_formats_own_library_writes_is_read() -> None:
    whole = {name: np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))) for name, array in FEED.items()}

    found = read_tensors(save(whole, metadata={"made": "elsewhere"}))

    assert {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.items()} == {
        name: (array.dtype, array.shape, array.tobytes()) for name, array in whole.items()
    }
    assert all(array.flags.writeable for array in found.values())


def test_bfloat16_is_float32_on_this_side() -> None:
    array = np.array([1.5, -0.0, np.nan, np.inf], np.float32)
    back = read_tensors(write_tensors({"x": array}, [spec("x", "bfloat16")]))["x"]
    assert (back.dtype, back.tobytes()) == (np.float32, array.tobytes())


def test_every_tensor_begins_where_its_elements_can_be_read_in_place() -> None:
    body = write_tensors(FEED, SPECS)
    (size,) = struct.unpack_from("<Q", body)
    header = json.loads(body[8 : 8 + size])
    assert (8 + size) % 16 == 0
    assert all(header[name]["data_offsets"][0] % array.dtype.itemsize == 0 for name, array in FEED.items())


@pytest.mark.parametrize(
    ("given", "is_spelled"),
    [
        *((spec("x", dtype), True) for dtype in SPELLINGS),
        (spec("x", "string"), False),
        (spec("x", "int4"), False),
        (spec("__metadata__", "float32"), False),
        ({**spec("x", "float32"), "containers": ["sequence"]}, False),
    ],
    ids=str,
)
def test_what_has_a_spelling(given: Any, is_spelled: bool) -> None:  # noqa: FBT001 - the table's column
    assert has_spelling(given) is is_spelled


def test_only_arrays_of_the_very_dtype_are_ready_to_be_written() -> None:
    ready = [is_cast(value, spec("x", "int8")) for value in (np.int8([1]), np.int16([1]), [1], "a")]
    assert ready == [True, False, False, False]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"short",
        packed(b"no json"),
        packed([1]),
        packed({"x": 1}),
        packed({"x": {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}}),
        packed({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
        packed({"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"1234"),
        packed({"x": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, b"1234"),
        packed({"x": {"dtype": "F32", "shape": [0, 10**18, 10**18], "data_offsets": [0, 0]}}),
        packed({"x": {"dtype": "F32", "shape": ["a"], "data_offsets": [0, 4]}}, b"1234"),
    ],
)
def test_what_is_no_such_file_is_no_gateways(body: bytes) -> None:
    with pytest.raises(Fault) as caught:
        read_tensors(body)
    assert caught.value.code == "not_a_gateway"


@given(body=st.binary(max_size=64))
def test_any_bytes_are_tensors_or_refused(body: bytes) -> None:
    with suppress(Fault):
        assert all(isinstance(array, np.ndarray) for array in read_tensors(body).values())
