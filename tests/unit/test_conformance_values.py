"""The conformance run's own judgement: what it would overlook would be overlooked by all of it."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.conformance.reference import _packed, _unpacked
from tests.conformance.values import Value, difference, types_in

NAN = np.array([0x7FC00000], np.uint32).view(np.float32)
OTHER_NAN = np.array([0x7FC00001], np.uint32).view(np.float32)


@pytest.mark.parametrize(
    ("expected", "received"),
    [
        pytest.param(np.float32([0.0]), np.float32([-0.0]), id="the sign of zero"),
        pytest.param(NAN, OTHER_NAN, id="what a NaN carries"),
        pytest.param(np.int32([1]), np.int64([1]), id="the type"),
        pytest.param(np.zeros((2, 0)), np.zeros((0, 2)), id="a shape without elements"),
        pytest.param(np.zeros(()), np.zeros(1), id="the rank"),
        pytest.param([np.zeros(1)], [], id="the length of a sequence"),
        pytest.param([np.zeros(1)], np.zeros(1), id="the container"),
        pytest.param({1: np.zeros(1)}, {2: np.zeros(1)}, id="a key"),
        pytest.param(None, np.zeros(1), id="an optional that was absent"),
        pytest.param(np.array(["a"], object), np.array(["b"], object), id="text"),
        pytest.param(np.zeros(1, ml_dtypes.float8_e5m2), np.ones(1, ml_dtypes.float8_e5m2), id="a foreign number"),
    ],
)
def test_a_difference_is_seen(expected: Value, received: Value) -> None:
    assert difference(expected, received) is not None


def test_one_nan_may_stand_for_all() -> None:
    assert difference(NAN, OTHER_NAN, one_nan=True) is None


def test_bits_that_mean_nothing_make_no_difference() -> None:
    plain, extended = np.array([0x08], np.uint8).view(ml_dtypes.int4), np.array([0xF8], np.uint8).view(ml_dtypes.int4)
    assert difference(plain, extended) is None


@pytest.mark.parametrize("dtype", [ml_dtypes.int2, ml_dtypes.uint2, ml_dtypes.int4, ml_dtypes.uint4])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 3), (8,)])
def test_small_integers_come_back_from_their_packed_form(dtype: Any, shape: tuple[int, ...]) -> None:
    info = ml_dtypes.iinfo(dtype)
    count = int(np.prod(shape))
    array = np.resize(np.arange(int(info.min), int(info.max) + 1), count).astype(np.int8).astype(dtype).reshape(shape)
    packed_bytes = -(-count * info.bits // 8)
    assert difference(array, _unpacked(_packed(array).tobytes()[:packed_bytes], array.dtype, shape)) is None


def test_types_and_containers_are_named() -> None:
    assert types_in([np.zeros(1, np.float32)]) == {"sequence", "float32"}
