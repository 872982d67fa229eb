"""Reports of a shadow add up to the same whoever has seen what, and in whichever order it is put together."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry.shadow import OutputDifference, ShadowReport

counts = st.integers(0, 2**40)
lengths: Any = st.integers(0, 2**30).map(lambda quarters: quarters / 4)
"""Floats whose sums are exact: how a sum is rounded is no law of ours."""

differences = st.builds(
    OutputDifference,
    compared=counts,
    same=counts,
    incomparable=counts,
    largest=lengths,
    total=lengths,
    pairs=counts,
    rows=counts,
    changed=counts,
)
reports = st.builds(
    ShadowReport,
    compared=counts,
    skipped=counts,
    failures=st.dictionaries(st.sampled_from(["model_load_failed", "predict_timeout", "overloaded"]), counts),
    outputs=st.dictionaries(st.sampled_from(["label", "scores", "\u2713"]), differences),
)


@given(reports, reports)
def test_it_does_not_matter_who_is_first(one: ShadowReport, other: ShadowReport) -> None:
    assert one.plus(other) == other.plus(one)


@given(reports, reports, reports)
def test_it_does_not_matter_which_two_are_added_first(
    one: ShadowReport, other: ShadowReport, third: ShadowReport
) -> None:
    assert one.plus(other).plus(third) == one.plus(other.plus(third))


@given(reports)
def test_nothing_adds_nothing(report: ShadowReport) -> None:
    assert (report.plus(ShadowReport()), ShadowReport().plus(report)) == (report, report)


@given(differences)
def test_no_difference_adds_none(difference: OutputDifference) -> None:
    none = OutputDifference()
    assert (difference.plus(none), none.plus(difference)) == (difference, difference)


@given(reports)
def test_a_report_comes_back_from_json_whole(report: ShadowReport) -> None:
    assert ShadowReport.from_json(json.loads(json.dumps(report.as_json()))) == report
