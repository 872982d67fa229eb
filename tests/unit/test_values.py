"""Values that are more than arrays."""

import numpy as np
import pytest

from registry.values import Value, hold_many

ONE = np.zeros((), np.float32)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros(5000, np.float32), False),
        (None, False),
        ([ONE] * 1000, False),
        ([ONE] * 1001, True),
        ([{1: ONE, 2: ONE}] * 400, True),
        ([{1: ONE, 2: ONE}] * 300, False),
        (dict.fromkeys(range(1001), ONE), True),
    ],
)
def test_what_is_of_many_pieces_is_told_from_what_is_large(value: Value, *, expected: bool) -> None:
    assert hold_many([ONE, value]) is expected
