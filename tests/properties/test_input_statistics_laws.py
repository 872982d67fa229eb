"""Sums of what came in parts are those of all of it, whoever has seen which part."""

from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from registry.input_statistics import Moments, moments_of

numbers = st.floats(-1e6, 1e6) | st.just(float("nan")) | st.just(float("inf")) | st.just(float("-inf"))
offsets = st.sampled_from([0.0, 1e9, -1e12])
parts: Any = st.lists(arrays(np.float64, st.integers(0, 30), elements=numbers), min_size=1, max_size=8)
counts = st.integers(0, 2**40)
moments = st.builds(
    Moments,
    requests=counts,
    count=counts,
    finite=counts,
    mean=st.floats(allow_nan=False, allow_infinity=False),
    squares=st.floats(0, allow_infinity=False, allow_nan=False),
    nan=counts,
    infinite=counts,
)


def of(values: Any) -> Moments:
    (found,) = moments_of(values[:, None], requests=1)
    return found


@given(parts, offsets)
def test_parts_put_together_are_what_numpy_makes_of_the_whole(values: list[Any], offset: float) -> None:
    found = reduce(Moments.plus, [of(part + offset) for part in values])
    whole = np.concatenate(values) + offset
    finite = whole[np.isfinite(whole)]
    assert (found.requests, found.count, found.finite) == (len(values), whole.size, finite.size)
    assert (found.nan, found.infinite) == (int(np.isnan(whole).sum()), int(np.isinf(whole).sum()))
    if finite.size:
        spread = abs(offset) * 1e-12 + 1e-6
        assert found.mean == pytest.approx(float(finite.mean()), rel=1e-12, abs=1e-6)
        assert found.std == pytest.approx(float(finite.std()), rel=1e-6, abs=spread)


@given(moments)
def test_nothing_adds_nothing(some: Moments) -> None:
    expected = some if some.finite else Moments(requests=some.requests, count=some.count, nan=some.nan)
    both = [some.plus(Moments()), Moments().plus(some)]
    assert [(each.requests, each.count, each.finite, each.nan) for each in both] == [
        (expected.requests, expected.count, expected.finite, expected.nan)
    ] * 2
    if some.finite:
        assert both == [some, some]


@given(st.lists(moments, min_size=1, max_size=5))
def test_whatever_is_put_together_stays_a_number(some: list[Moments]) -> None:
    found = reduce(Moments.plus, some)
    assert np.isfinite([found.mean, found.squares]).all()
