from typing import Any

import numpy as np
import pytest

from registry.same_answers import SAME, Match, compare

INCOMPARABLE = Match(is_same=False, is_close=False, difference=float("inf"))


def floats(*values: float, dtype: str = "float32") -> Any:
    return np.array(values, dtype)


@pytest.mark.parametrize(
    "array",
    [floats(1.5, -0.0, np.inf), np.array([1, 2]), np.array(["a", "b"], object), np.array([True])],
    ids=["floats", "integers", "text", "booleans"],
)
def test_the_same_bits_are_the_same(array: Any) -> None:
    assert compare([array], [array.copy()]) is SAME


def test_one_nan_stands_for_all() -> None:
    other = np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)
    assert compare([floats(np.nan, np.nan)], [other]) is SAME


@pytest.mark.parametrize(
    ("one", "other", "match"),
    [
        (floats(1.0), floats(1.00001), Match(is_same=False, is_close=True, difference=pytest.approx(1e-5, rel=1e-2))),
        (floats(1.0), floats(1.5), Match(is_same=False, is_close=False, difference=0.5)),
        (floats(0.0), floats(-0.0), Match(is_same=False, is_close=True, difference=0.0)),
        (floats(np.inf), floats(1.0), INCOMPARABLE),
        (floats(1.0), floats(np.nan), INCOMPARABLE),
        (floats(1.0), floats(1.0, 1.0), INCOMPARABLE),
        (floats(1.0), floats(1.0, dtype="float64"), INCOMPARABLE),
        (np.array([1]), np.array([2]), INCOMPARABLE),
        (np.array(["a"], object), np.array(["b"], object), INCOMPARABLE),
    ],
    ids=[
        "close",
        "not close",
        "another zero",
        "infinite",
        "no number",
        "another shape",
        "another dtype",
        "a label",
        "text",
    ],
)
def test_other_bits_are_close_at_best(one: Any, other: Any, match: Match) -> None:
    assert compare([one], [other]) == match


def test_the_worst_of_several_outputs_counts() -> None:
    found = compare([floats(1.0), floats(0.0), floats(2.0)], [floats(1.0), floats(-0.0), floats(3.0)])
    assert found == Match(is_same=False, is_close=False, difference=1.0)


def test_another_number_of_outputs_cannot_be_compared() -> None:
    assert compare([floats(1.0)], []) == INCOMPARABLE
