"""Raw tensors: what their bytes cannot be is said, whatever the shape."""

import pytest

from gateway.codec.raw_tensors import BytesDoNotFit, read_raw
from registry.tensor import DTYPES


@pytest.mark.parametrize("shape", [(2**62, 4, 0), (0, 2**63)], ids=str)
@pytest.mark.parametrize("name", ["string", "float32"])
def test_a_size_beside_a_zero_may_not_be_absurd(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(BytesDoNotFit, match="a shape of sane size"):
        read_raw(DTYPES[name], b"", shape)
