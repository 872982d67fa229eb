from typing import Any

import numpy as np
import pytest

from gateway.client import Conversion, ConversionMismatch, VersionInfo
from gateway.client.comparison import Original, compare


def version(*outputs: str) -> VersionInfo:
    specs = [{"name": name, "dtype": "float32", "shape": None} for name in outputs]
    return VersionInfo({"model": "iris", "version": 3, "signature": {"inputs": [], "outputs": specs}})


def said(*outputs: Any) -> Original:
    return Original(source="a model", inputs=[np.zeros((2, 3))], outputs=outputs)


def conversion(largest: float | None) -> Conversion:
    return Conversion(
        source="a model", rows=2, largest_difference=largest, absolute_tolerance=1e-5, relative_tolerance=1e-3
    )


@pytest.mark.parametrize(
    ("original", "converted", "largest"),
    [
        (np.array([0.5, np.nan]), np.array([0.5 + 2**-20, np.nan], np.float32), 2**-20),
        (np.array([1.0, np.inf]), np.array([[1.0], [np.inf]], np.float32), 0.0),
        (np.array(["a", "b"]), np.array(["a", "b"], object), None),
        (np.array([1, 2], np.int32), np.array([1, 2]), None),
        (np.array([True, False]), np.array([1, 0]), None),
    ],
    ids=["rounding and NaN", "a column for a row", "text", "another integer type", "truths as numbers"],
)
def test_the_same_in_another_form_is_the_same_but_for_so_much(original: Any, converted: Any, largest: Any) -> None:
    assert compare(version("y"), original=said(original), answer={"y": converted}) == conversion(largest)


def test_what_is_kept_says_how_far_apart_they_are_and_may_be() -> None:
    kept = conversion(1.25e-7).tags
    assert kept == {
        "converted-from": "a model",
        "conversion-difference": "1.25e-07 in 2 rows (1e-05 + 0.001 of the value allowed)",
    }
    assert conversion(None).tags["conversion-difference"].startswith("no floats in 2 rows")


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
        compare(version("same", "y"), original=said(np.ones(1), original), answer={"same": np.ones(1), "y": converted})

    error = caught.value
    assert (error.reference, error.output, error.largest_difference) == ("iris:3", "y", largest)
    assert str(error) == f"iris:3 does not answer as the original does: output y: {words}"


def test_a_number_that_became_nan_is_a_difference() -> None:
    with pytest.raises(ConversionMismatch):
        compare(version("y"), original=said(np.ones(2)), answer={"y": np.array([np.nan, np.nan])})


@pytest.mark.parametrize(
    ("original", "converted"),
    [([1e-6, 2e-6, -3e-6], [9e-6, 0, 5e-6]), ([0.002, 0.001], [0.002, 0.00100900])],
    ids=["millionths", "thousandths"],
)
def test_small_numbers_are_held_against_their_own_size(original: list[float], converted: list[float]) -> None:
    with pytest.raises(ConversionMismatch):
        compare(version("y"), original=said(np.array(original)), answer={"y": np.array(converted, np.float32)})


def test_zeros_have_no_size_of_their_own() -> None:
    found = compare(version("y"), original=said(np.zeros(2)), answer={"y": np.array([0, 1e-6])})

    assert (found.largest_difference, found.absolute_tolerance) == (1e-6, 1e-5)


def test_an_output_that_is_missing_is_a_difference() -> None:
    with pytest.raises(ConversionMismatch, match="number 2: it is missing"):
        compare(version("y"), original=said(np.ones(1), np.ones(1)), answer={"y": np.ones(1)})
