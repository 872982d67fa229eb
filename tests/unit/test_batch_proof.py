from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from registry.batching import MAX_ROWS, BatchReport, Level
from registry.inspection.batch_proof import prove
from registry.inspection.probes import Probe
from registry.signature import Signature
from registry.tensor import DTYPES, Dim, TensorSpec

Array = np.ndarray[Any, Any]
Model = Callable[[Array], Array]
PROBE = Probe(first=1, rest=2, value=1)


def signature(*shape: Dim, dtype: str = "float32", inputs: int = 1) -> Signature:
    return Signature(
        inputs=tuple(TensorSpec(name=f"x{place}", dtype=DTYPES[dtype], shape=shape) for place in range(inputs)),
        outputs=(TensorSpec(name="y", dtype=DTYPES[dtype], shape=None),),
    )


def try_model(model: Model, taken: Signature | None = None) -> BatchReport:
    def run(feed: Mapping[str, Array]) -> list[Any] | None:
        try:
            with np.errstate(all="ignore"):
                return [model(feed["x0"])]
        except IndexError:
            return None

    return prove(run, taken or signature("n", 4), PROBE, "here")


def padded_softmax(x: Array) -> Array:
    """Rows are independent, but a single one is summed in another order."""
    total = np.float32(0)
    for column in x.T if len(x) > 1 else x.T[::-1]:
        total = total + np.exp(-np.abs(column) / np.float32(3))
    return np.asarray(total / np.float32(7))[:, None]


def test_independent_rows_are_exact_in_every_number() -> None:
    report = try_model(lambda x: np.tanh(x) * np.float32(3))
    assert (report.level, report.reason, report.rows) == (Level.EXACT, "", MAX_ROWS)
    assert (report.host, report.shapes, report.largest_difference) == ("here", (((4,),),), 0.0)
    assert list(report.run_seconds) == [1, 2, 4, 8, 16, 32, 64]


def test_rows_that_have_other_bits_alone_than_in_any_company_are_stable() -> None:
    report = try_model(padded_softmax)
    assert (report.level, report.rows) == (Level.STABLE, MAX_ROWS)
    assert 0 < report.largest_difference < 1e-5
    assert report.reason.endswith("between running alone and in company, whatever the company")


def test_rows_whose_bits_depend_on_their_number_are_close() -> None:
    report = try_model(lambda x: np.nextafter(np.tanh(x), np.float32(len(x) % 3)))
    assert report.level is Level.CLOSE
    assert report.reason.endswith("with the number of rows in a run")


def softmax_over_rows(x: Array) -> Array:
    powers = np.exp(np.minimum(x, 5))
    return np.asarray(powers / powers.sum(axis=0))


MIXING: dict[str, Model] = {
    "a softmax over the rows": softmax_over_rows,
    "a sort over the rows": lambda x: np.sort(x, axis=0),
    "a running sum over the rows": lambda x: np.cumsum(x, axis=0, dtype=np.float32),
    "the mean of all rows is taken off": lambda x: x - x.mean(axis=0),
    "training-mode normalisation": lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + np.float32(1e-5)),
    "the largest of all rows, seldom seen": lambda x: np.where(np.isinf(x).any(), np.float32(1), x),
    "what is missing is taken from the others": lambda x: np.where(np.isnan(x), np.nan_to_num(x).sum(axis=0), x),
    "a mark of one element is replaced by the largest": lambda x: np.where(x == np.float32(-999), x.max(axis=0), x),
    "rows come back in another order": lambda x: x[::-1],
    "another answer from thirty rows on": lambda x: x + np.float32(len(x) > 29),
}


@pytest.mark.parametrize("name", MIXING)
def test_rows_that_influence_each_other_prove_nothing(name: str) -> None:
    report = try_model(MIXING[name])
    assert (report.level, report.rows, report.shapes) == (Level.NONE, 1, ())
    assert report.reason.startswith("rows influence each other")


UNPROVABLE: dict[str, tuple[Model, Signature, str]] = {
    "one sum of all rows": (
        lambda x: np.asarray(x.sum()),
        signature("n", 4),
        "an output has not one row for each row of the inputs",
    ),
    "an output without the axis": (
        lambda x: x[0],
        signature("n", 4),
        "an output has not one row for each row of the inputs",
    ),
    "a fixed number of rows": (lambda x: x, signature(1, 4), "the first dimension of the input x0 is fixed"),
    "no dimension": (lambda x: x, signature(), "the input x0 has no first dimension"),
    "two rows are refused": (
        lambda x: x if len(x) < 2 else x[5:][[9]],
        signature("n", 4),
        "the model does not take two rows",
    ),
}


@pytest.mark.parametrize("name", UNPROVABLE)
def test_what_cannot_be_proven_says_why(name: str) -> None:
    model, taken, reason = UNPROVABLE[name]
    report = try_model(model, taken)
    assert (report.level, report.reason) == (Level.NONE, reason)


def test_a_model_that_answers_differently_each_time_proves_nothing() -> None:
    random = np.random.default_rng(1)
    report = try_model(lambda x: random.standard_normal(x.shape).astype(np.float32))
    assert (report.level, report.reason) == (Level.NONE, "the model answers differently each time")


def test_a_model_that_takes_only_a_few_rows_is_proven_for_these() -> None:
    report = try_model(lambda x: x if len(x) <= 5 else x[99:][[0]])
    assert (report.level, report.rows) == (Level.EXACT, 5)


def test_indexes_are_tried_within_the_range_that_the_model_takes() -> None:
    table = np.linspace(0, 1, 20, dtype=np.float32)
    report = try_model(lambda x: table[x], signature("n", 4, dtype="int64"))
    assert report.level is Level.EXACT


def test_negative_integers_are_tried_where_the_model_takes_them() -> None:
    report = try_model(lambda x: np.where(x < 0, x.max(axis=0), x), signature("n", 4, dtype="int64"))
    assert report.level is Level.NONE


def test_text_and_booleans_are_tried() -> None:
    assert try_model(lambda x: x, signature("n", dtype="string")).level is Level.EXACT
    assert try_model(lambda x: ~x, signature("n", 2, dtype="bool")).level is Level.EXACT


def test_a_free_length_is_tried_in_several_sizes() -> None:
    report = try_model(lambda x: x * np.float32(2), signature("n", "length"))
    assert report.shapes == (((2,),), ((16,),), ((64,),))
