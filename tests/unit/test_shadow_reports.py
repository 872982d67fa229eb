"""What comparing one output of a shadow with the live one shows, and what is told of many."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from registry.shadow import OutputDifference, ShadowReport, compare_output

Array = NDArray[Any]


def floats(values: Any, dtype: str = "float32") -> Array:
    return np.array(values, dtype)


def texts(*values: str) -> Array:
    return np.array(values, object)


def difference(**counts: Any) -> OutputDifference:
    return OutputDifference(compared=1, **counts)


@pytest.mark.parametrize(
    ("array", "counts"),
    [
        (floats([1.5, -0.0, 2.0]), {"pairs": 3}),
        (floats(1.5), {"pairs": 1}),
        (floats([[0.25, 0.75], [1.0, 0.0]]), {"pairs": 4, "rows": 2}),
        (floats([[1.0], [2.0]], "float64"), {"pairs": 2}),
        (floats([[[1, 2], [3, 4], [5, 6]]], "float16"), {"pairs": 6, "rows": 3}),
        (floats([[np.nan, np.inf, 1.0]]), {"pairs": 1, "rows": 1}),
        (np.zeros((0, 3), np.float32), {}),
        (np.array([1, 2, 3]), {"rows": 3}),
        (np.array(1, np.uint8), {"rows": 1}),
        (np.array([[True, False]]), {"rows": 2}),
        (texts("a", "b"), {"rows": 2}),
        (np.array("a", object), {"rows": 1}),
        (np.zeros((0,), np.int64), {}),
    ],
    ids=[
        "floats of rank 1 have no rows",
        "nor has a float alone",
        "scores",
        "a score alone is none",
        "scores of rank 3",
        "floats without all numbers",
        "no rows of scores",
        "integers",
        "an integer alone",
        "booleans",
        "texts",
        "a text alone",
        "no integers",
    ],
)
def test_the_same_bits_are_the_same(array: Array, counts: dict[str, Any]) -> None:
    assert compare_output(array, array.copy()) == difference(same=1, **counts)


@pytest.mark.parametrize(
    ("live", "shadow", "wanted"),
    [
        (floats([1.0, 2.0, 4.0]), floats([1.5, 2.0, 3.0]), difference(largest=1.0, total=1.5, pairs=3)),
        (floats(1.0), floats(3.0), difference(largest=2.0, total=2.0, pairs=1)),
        (floats([0.0]), floats([-0.0]), difference(pairs=1)),
        (floats([1.0, 2.0], "float16"), floats([1.5, 2.0], "float16"), difference(largest=0.5, total=0.5, pairs=2)),
        (
            floats([[0.75, 0.25], [0.5, 0.5], [1.0, 3.0]]),
            floats([[0.25, 0.75], [0.5, 0.75], [2.0, 3.0]]),
            difference(largest=1.0, total=2.25, pairs=6, rows=3, changed=2),
        ),
        (
            floats([[[1, 0], [0, 1]], [[1, 0], [0, 1]]]),
            floats([[[1, 0], [1, 0]], [[1, 0], [0, 1]]]),
            difference(largest=1.0, total=2.0, pairs=8, rows=4, changed=1),
        ),
        (floats([[1.0], [2.0]]), floats([[1.0], [0.0]]), difference(largest=2.0, total=2.0, pairs=2)),
    ],
    ids=[
        "rank 1",
        "a scalar",
        "another zero",
        "half precision",
        "rows whose largest score lies elsewhere",
        "rows of rank 3",
        "one score a row decides nothing",
    ],
)
def test_floats_that_differ_are_told_by_how_much_and_which_rows_decide_otherwise(
    live: Array, shadow: Array, wanted: OutputDifference
) -> None:
    assert compare_output(live, shadow) == wanted


@pytest.mark.parametrize(
    ("live", "shadow", "wanted"),
    [
        ([np.nan, 1.0], [np.nan, 3.0], difference(largest=2.0, total=2.0, pairs=1)),
        ([np.inf, 1.0], [np.inf, 3.0], difference(largest=2.0, total=2.0, pairs=1)),
        ([np.nan, 1.0], [1.0, 1.0], difference(incomparable=1, pairs=1)),
        ([1.0, 1.0], [1.0, np.nan], difference(incomparable=1, pairs=1)),
        ([np.inf, 1.0], [-np.inf, 1.0], difference(incomparable=1, pairs=1)),
        ([np.inf, 1.0], [np.nan, 3.0], difference(incomparable=1, largest=2.0, total=2.0, pairs=1)),
        ([[np.nan, 1.0]], [[0.0, 1.0]], difference(incomparable=1, pairs=1, rows=1, changed=1)),
    ],
    ids=[
        "NaN in both",
        "the same infinity in both",
        "NaN in the live one",
        "NaN in the shadow",
        "another infinity",
        "NaN for an infinity",
        "NaN is the largest of its row",
    ],
)
def test_what_is_no_number_is_not_measured_and_incomparable_where_it_stands_in_one_only(
    live: Any, shadow: Any, wanted: OutputDifference
) -> None:
    assert compare_output(floats(live), floats(shadow)) == wanted


def test_one_nan_stands_for_all() -> None:
    other = np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)
    assert compare_output(floats([np.nan, np.nan]), other) == difference(same=1)


@pytest.mark.parametrize(
    ("live", "shadow", "wanted"),
    [
        (np.array([[1, 2], [3, 4]]), np.array([[1, 0], [0, 4]]), difference(rows=4, changed=2)),
        (np.array(1), np.array(2), difference(rows=1, changed=1)),
        (np.array([True, False]), np.array([True, True]), difference(rows=2, changed=1)),
        (texts("setosa", "virginica"), texts("setosa", "versicolor"), difference(rows=2, changed=1)),
        (np.array("a", object), np.array("b", object), difference(rows=1, changed=1)),
    ],
    ids=["integers", "an integer alone", "booleans", "texts", "a text alone"],
)
def test_of_all_else_the_values_that_differ_are_counted(live: Array, shadow: Array, wanted: OutputDifference) -> None:
    assert compare_output(live, shadow) == wanted


@pytest.mark.parametrize(
    ("live", "shadow"),
    [
        (floats([1.0]), floats([1.0, 2.0])),
        (floats([1.0]), floats([[1.0]])),
        (floats([1.0]), floats([1.0], "float64")),
        (np.array([1]), np.array([1], np.int32)),
        (texts("1"), np.array([1])),
    ],
    ids=["another shape", "another rank", "another precision", "another integer", "no text"],
)
def test_another_shape_or_dtype_is_incomparable(live: Array, shadow: Array) -> None:
    assert compare_output(live, shadow) == difference(incomparable=1)


def test_the_mean_is_over_all_pairs_and_nothing_where_there_are_none() -> None:
    assert (OutputDifference(total=3.0, pairs=4).mean, OutputDifference().mean) == (0.75, 0.0)


def test_reports_are_added_failure_by_failure_and_output_by_output() -> None:
    one = ShadowReport(
        compared=2,
        skipped=1,
        failures={"model_load_failed": 3, "predict_timeout": 1},
        outputs={
            "label": OutputDifference(compared=2, same=1, rows=2, changed=1),
            "scores": OutputDifference(compared=2, same=1, largest=0.5, total=0.75, pairs=6, rows=2),
        },
    )
    other = ShadowReport(
        compared=1,
        skipped=4,
        failures={"predict_timeout": 1, "model_execution_failed": 2},
        outputs={
            "scores": OutputDifference(
                compared=1, incomparable=1, largest=0.25, total=0.25, pairs=2, rows=1, changed=1
            ),
            "more": OutputDifference(compared=1, incomparable=1),
        },
    )
    assert one.plus(other) == ShadowReport(
        compared=3,
        skipped=5,
        failures={"model_load_failed": 3, "predict_timeout": 2, "model_execution_failed": 2},
        outputs={
            "label": OutputDifference(compared=2, same=1, rows=2, changed=1),
            "scores": OutputDifference(
                compared=3, same=1, incomparable=1, largest=0.5, total=1.0, pairs=8, rows=3, changed=1
            ),
            "more": OutputDifference(compared=1, incomparable=1),
        },
    )


def test_adding_changes_neither_report() -> None:
    one = ShadowReport(compared=1, failures={"predict_timeout": 1}, outputs={"y": OutputDifference(compared=1)})
    text = json.dumps(one.as_json())
    one.plus(one)
    assert json.dumps(one.as_json()) == text
