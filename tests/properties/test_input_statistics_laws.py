"""Sums of what came in parts are those of all of it, whoever has seen which part."""

from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gateway.input_board import ColumnSums
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


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12).map(sorted), st.integers(0, 3))
def test_what_is_recent_is_what_has_come_in_this_hour_and_the_one_before(hours: list[int], later: int) -> None:
    one = Moments(requests=20, count=20, finite=20, mean=1.0)
    sums = reduce(lambda some, hour: some.plus(one, hour), hours, ColumnSums())
    now = hours[-1] + later
    recent = [part.requests for part in sums.recent(now)]
    assert (recent, sums.whole.requests) == ([20 * hours.count(now), 20 * hours.count(now - 1)], 20 * len(hours))


@given(moments, moments, moments, st.integers(0, 10**6))
def test_sums_come_back_from_either_side_of_a_key_whole(
    one: Moments, other: Moments, third: Moments, hour: int
) -> None:
    sums = ColumnSums(whole=one, hour=hour, latest=other, before=third)
    nothing = ColumnSums().numbers()
    rows = [[0.0, *sums.numbers(), *nothing], [1.0, *nothing, *sums.numbers()]]
    assert [ColumnSums.read(list(map(float, row))) for row in rows] == [sums, sums]
