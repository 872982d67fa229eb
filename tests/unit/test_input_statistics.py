"""What inputs are like, in sums: by columns and as a whole, with what is no number, and held against examples."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from registry.examples import Example, Examples
from registry.input_statistics import (
    MOST_COLUMNS,
    MOST_INPUTS,
    MOST_TEXTS,
    InputPlan,
    LookedAt,
    Moments,
    Reference,
    greatest_shift,
    moments_of,
    shift_of,
    unseen_in,
)
from registry.tensor import DTYPES, TensorSpec
from tests.support.signatures import IRIS, SHOP, signature, tensor

NAN, INFINITE = math.nan, math.inf


def table(*rows: list[Any], dtype: Any = np.float64) -> Any:
    return np.array(rows, dtype)


def texts(*rows: list[str]) -> Any:
    return np.array(rows, object)


def moments_of_values(*values: float) -> Moments:
    (found,) = moments_of(np.array(values)[:, None], requests=1)
    return found


# --- moments ----------------------------------------------------------------------------------------------------------


def test_each_column_has_moments_of_its_own() -> None:
    assert moments_of(table([1, 10], [3, 10]), requests=2) == (
        Moments(requests=2, count=2, finite=2, mean=2.0, squares=2.0),
        Moments(requests=2, count=2, finite=2, mean=10.0, squares=0.0),
    )


def test_what_is_no_finite_number_is_counted_and_in_no_mean() -> None:
    assert moments_of(table([1.0], [NAN], [INFINITE], [-INFINITE], [5.0]), requests=1) == (
        Moments(requests=1, count=5, finite=2, mean=3.0, squares=8.0, nan=1, infinite=2),
    )


def test_shares_are_of_all_values() -> None:
    found = moments_of_values(1.0, NAN, INFINITE, 5.0)
    assert (found.nan_share, found.infinite_share, found.std) == (0.25, 0.25, 2.0)


def test_of_nothing_there_are_no_shares_and_no_deviation() -> None:
    nothing = Moments()
    assert (nothing.nan_share, nothing.infinite_share, nothing.std) == (None, None, None)


def test_an_empty_table_has_brought_nothing() -> None:
    assert moments_of(np.zeros((0, 2)), requests=1) == (Moments(requests=1),) * 2


def test_of_text_there_is_only_the_count() -> None:
    assert moments_of(texts(["a", "b"], ["a", "c"]), requests=1) == (Moments(requests=1, count=2),) * 2


@pytest.mark.parametrize(
    "dtype",
    [np.bool_, np.int8, np.uint64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.int4],
    ids=lambda dtype: np.dtype(dtype).name,
)
def test_every_type_of_numbers_counts_as_numbers(dtype: Any) -> None:
    column = np.array([[0], [1], [1], [0]]).astype(dtype)
    assert moments_of(column, requests=1) == (Moments(requests=1, count=4, finite=4, mean=0.5, squares=1.0),)


def test_the_largest_floats_have_a_mean_and_no_deviation_and_nobody_notices() -> None:
    found = moments_of_values(1.7e308, 1.7e308, -1.7e308, -1.7e308)
    both = found.plus(moments_of_values(1e300, -1e300))
    assert (found.mean, found.std, both.mean, both.std, both.finite) == (0.0, None, 0.0, None, 6)


def test_means_that_are_further_apart_than_a_float_can_say_are_merged_all_the_same() -> None:
    both = moments_of_values(1.5e308).plus(moments_of_values(-1.5e308))
    assert (both.mean, both.std, both.finite) == (0.0, None, 2)


def test_values_far_from_zero_keep_their_digits() -> None:
    far = np.arange(1000.0) + 1e12
    found = Moments()
    for part in np.split(far, 100):
        found = found.plus(moments_of_values(*part))
    assert found.std == pytest.approx(float(np.arange(1000.0).std()), rel=1e-6)


# --- what is looked at ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "columns"),
    [
        (("n", 4), 4),
        (("n", "m", 3), 3),
        ((1, MOST_COLUMNS), MOST_COLUMNS),
        (("n", MOST_COLUMNS + 1), None),
        (("n", "m"), None),
        (("n", None), None),
        (("n", 0), None),
        ((4,), None),
        ((), None),
        (None, None),
    ],
)
def test_an_input_has_columns_if_its_last_dimension_is_fixed_and_short(shape: Any, columns: int | None) -> None:
    plan = InputPlan.of(signature(tensor("x", "float32", shape)))
    assert plan.inputs == (LookedAt(name="x", dtype="float32", columns=columns),)


def test_what_is_no_tensor_is_left_out_and_said_to_be() -> None:
    listed = TensorSpec(name="many", dtype=DTYPES["float32"], shape=None, containers=("sequence",))
    plan = InputPlan.of(signature(listed, tensor("x", "int64", ())))
    assert (plan.inputs, plan.left_out) == ((LookedAt(name="x", dtype="int64", columns=None),), ("many",))


def test_no_more_than_the_first_inputs_are_looked_at() -> None:
    plan = InputPlan.of(signature(*(tensor(f"x{place}", "float32", ("n", 2)) for place in range(MOST_INPUTS + 2))))
    assert (len(plan.inputs), plan.width, plan.left_out) == (MOST_INPUTS, 2 * MOST_INPUTS, ("x16", "x17"))


def test_a_table_has_whole_rows() -> None:
    looked = LookedAt(name="x", dtype="float32", columns=3)
    assert looked.table(np.arange(12).reshape(2, 2, 3)).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


# --- examples ---------------------------------------------------------------------------------------------------------


def examples(*inputs: dict[str, Any]) -> Examples:
    outputs = {"score": np.zeros(1, np.float32)}
    return Examples(tuple(Example(name=str(n), inputs=each, outputs=outputs) for n, each in enumerate(inputs)))


def test_without_examples_there_is_no_reference() -> None:
    assert Reference.of(Examples(()), InputPlan.of(IRIS)) is None


def test_a_reference_is_all_examples_together_and_an_input_that_none_has_is_not_in_it() -> None:
    golden = examples(
        {"user": np.array([1, 3]), "words": texts(["a", "x"], ["b", "x"])},
        {"user": np.array([5]), "words": texts(["a", "y"])},
    )
    facts = golden.facts
    assert facts is not None
    assert Reference.of(golden, InputPlan.of(SHOP)) == Reference(
        digest=facts.digest,
        moments={
            "user": (Moments(requests=2, count=3, finite=3, mean=3.0, squares=8.0),),
            "words": (Moments(requests=2, count=3),) * 2,
        },
        texts={"words": (frozenset({"a", "b"}), frozenset({"x", "y"}))},
    )


def test_a_column_with_very_many_texts_is_no_set_of_categories() -> None:
    words = np.array([[str(n), "x"] for n in range(MOST_TEXTS + 1)], object)
    reference = Reference.of(examples({"words": words}), InputPlan.of(SHOP))
    assert reference is not None
    assert reference.texts == {"words": (None, frozenset({"x"}))}


def test_texts_that_are_in_no_example_are_unseen() -> None:
    assert unseen_in(np.array(["a", "c", "b", "c"], object), frozenset({"a", "b"})) == 2


# --- shifts -----------------------------------------------------------------------------------------------------------


def test_a_shift_is_how_many_deviations_of_the_reference_the_mean_lies_beside_it() -> None:
    assert shift_of(moments_of_values(7.0, 9.0), moments_of_values(1.0, 5.0)) == 2.5


@pytest.mark.parametrize(
    ("live", "reference"),
    [
        (Moments(), moments_of_values(1.0, 5.0)),
        (moments_of_values(NAN), moments_of_values(1.0, 5.0)),
        (moments_of_values(7.0), moments_of_values(1.0)),
        (moments_of_values(7.0), moments_of_values(0.1, 0.1, 0.1)),
        (moments_of_values(7.0), Moments(requests=1, count=3)),
        (moments_of_values(7.0), moments_of_values(1e300, -1e300)),
    ],
    ids=["nothing live", "no number live", "a single example", "all alike", "text", "no deviation"],
)
def test_where_a_shift_means_nothing_there_is_none(live: Moments, reference: Moments) -> None:
    assert shift_of(live, reference) is None


def test_of_several_shifts_the_greatest_that_is_known_counts() -> None:
    assert (greatest_shift([1.0, None, 3.0]), greatest_shift([None]), greatest_shift([])) == (3.0, None, None)
