"""What the client writes, it reads back to the same bits."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gateway.client.tensors import decode_tensor, encode_tensor

NUMERIC = ["float16", "float32", "float64", "bool"] + [
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
]


def there_and_back(array: Any, dtype: str) -> Any:
    body = orjson.dumps(encode_tensor(array, dtype), option=orjson.OPT_SERIALIZE_NUMPY)
    return decode_tensor(orjson.loads(body), dtype)


@pytest.mark.parametrize("dtype", NUMERIC)
@given(data=st.data())
@settings(max_examples=40)
def test_numbers_come_back_to_the_bit(dtype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=4)))

    back = there_and_back(array, dtype)

    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    if array.dtype.kind == "f":
        # NaN comes back as NaN; which of the many NaNs it was, JSON does not say.
        both_nan = np.isnan(array) & np.isnan(back)
        assert np.all(both_nan | ((array == back) & (np.signbit(array) == np.signbit(back))))
    else:
        np.testing.assert_array_equal(back, array)


@given(texts=st.lists(st.text(), max_size=5))
def test_text_comes_back_whole(texts: list[str]) -> None:
    back = there_and_back(np.array(texts, dtype=object), "string")

    assert (back.dtype, back.tolist()) == (np.dtype(object), texts)
