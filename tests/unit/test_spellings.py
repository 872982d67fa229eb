"""The table of how every element type is spelled on every wire."""

import numpy as np
import pytest

from gateway.codec.spellings import DTYPE_OF_OPEN_INFERENCE, DTYPE_OF_SAFETENSORS, DTYPE_OF_TENSORFLOW, SPELLINGS
from registry.tensor import DTYPES


def test_every_element_type_has_a_row() -> None:
    assert SPELLINGS.keys() == DTYPES.keys()


def test_npy_has_the_types_that_numpy_itself_has_but_no_text() -> None:
    own = {
        name: np.lib.format.dtype_to_descr(dtype.numpy)
        for name, dtype in DTYPES.items()
        if dtype.numpy.isbuiltin == 1 and dtype.kind != "O"
    }
    assert {name: row.npy for name, row in SPELLINGS.items() if row.npy is not None} == own


@pytest.mark.parametrize("column", ["open_inference", "tensorflow", "safetensors"])
def test_no_word_of_a_wire_means_two_types(column: str) -> None:
    words = [getattr(row, column) for row in SPELLINGS.values() if getattr(row, column) is not None]
    assert len(words) == len(set(words))


def test_words_lead_back_to_their_types() -> None:
    found = (DTYPE_OF_OPEN_INFERENCE["FP16"], DTYPE_OF_TENSORFLOW["DT_HALF"], DTYPE_OF_SAFETENSORS["F16"])
    assert found == (DTYPES["float16"],) * 3
