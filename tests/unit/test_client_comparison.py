from typing import Any

import numpy as np
import pytest

from gateway.client import ConversionMismatch, VersionInfo
from gateway.client.comparison import compare


def version(*outputs: str) -> VersionInfo:
    specs = [{"name": name, "dtype": "float32", "shape": None} for name in outputs]
    return VersionInfo({"model": "iris", "version": 3, "signature": {"inputs": [], "outputs": specs}})


@pytest.mark.parametrize(
    ("original", "converted"),
    [
        (np.array([0.1, np.nan]), np.array([0.1, np.nan], np.float32)),
        (np.array([1.0, 2.0]), np.array([[1.0], [2.0]], np.float32)),
        (np.array(["a", "b"]), np.array(["a", "b"], object)),
        (np.array([1, 2], np.int32), np.array([1, 2])),
    ],
    ids=["rounding and NaN", "a column for a row", "text", "another integer type"],
)
def test_the_same_in_another_form_is_the_same(original: Any, converted: Any) -> None:
    compare(version("y"), expected=[original], answer={"y": converted})


@pytest.mark.parametrize(
    ("original", "converted", "largest", "words"),
    [
        (np.array([0.5, 0.5]), np.array([0.5, 0.25], np.float32), 0.25, "the largest difference is 0.25"),
        (np.array(["a", "b"]), np.array(["a", "c"], object), None, "1 of 2 values are others"),
        (np.array([1, 2]), np.array([1, 2, 3]), None, "shape [3] for [2]"),
    ],
    ids=["floats", "labels", "shapes"],
)
def test_a_difference_names_the_output_and_its_size(
    original: Any, converted: Any, largest: float | None, words: str
) -> None:
    with pytest.raises(ConversionMismatch) as caught:
        compare(version("same", "y"), expected=[np.ones(1), original], answer={"same": np.ones(1), "y": converted})

    error = caught.value
    assert (error.reference, error.output, error.largest_difference) == ("iris:3", "y", largest)
    assert str(error) == f"iris:3 does not answer as the original does: output y: {words}"


def test_a_number_that_became_nan_is_a_difference() -> None:
    with pytest.raises(ConversionMismatch):
        compare(version("y"), expected=[np.ones(2)], answer={"y": np.array([np.nan, np.nan])})
