from dataclasses import replace

import pytest

from registry.records import Inspection
from registry.threads import ALONE, ThreadReport, ThreadRule, one_thread, thread_rule_of
from tests.support.serving_models import make_version, report_on, threads_on

SHAPES = ((1, 4),)


@pytest.mark.parametrize(
    ("run_seconds", "cpus", "threads"),
    [
        ({1: 0.8, 2: 0.4, 4: 0.2, 8: 0.1}, 8, 8),
        ({1: 0.8, 2: 0.4, 4: 0.2, 8: 0.1}, 7, 4),
        ({1: 0.8, 2: 0.4, 4: 0.2, 8: 0.1}, 1, 1),
        ({1: 0.7, 2: 0.5}, 2, 2),
        ({1: 0.7, 2: 0.51}, 2, 1),
        ({1: 0.8, 2: 0.41, 4: 0.4}, 8, 2),
        ({1: 0.8, 2: 0.6, 4: 0.25}, 8, 4),
        ({1: 0.4, 2: 0.8}, 2, 1),
        ({}, 8, 1),
    ],
    ids=[
        "as many as pay",
        "within the CPUs at hand",
        "one CPU",
        "just enough gain",
        "not enough gain",
        "more bring little",
        "a gain that begins late",
        "slower",
        "not tried",
    ],
)
def test_a_run_has_as_many_threads_as_pay(run_seconds: dict[int, float], cpus: int, threads: int) -> None:
    rule = thread_rule_of(threads_on(run_seconds, shapes=(SHAPES,)), "here", cpus)
    assert rule == (ThreadRule(threads=threads, shapes=frozenset({SHAPES})) if threads > 1 else ALONE)


@pytest.mark.parametrize(
    "report",
    [None, one_thread("here", "its runs are short"), threads_on(host="elsewhere")],
    ids=["no report", "not tried", "another host's"],
)
def test_what_was_not_tried_here_has_one_thread(report: ThreadReport | None) -> None:
    assert thread_rule_of(report, "here", 64) is ALONE


@pytest.mark.parametrize("report", [threads_on(), one_thread("here", "its runs are short")])
def test_a_report_reads_back_as_it_was_written(report: ThreadReport) -> None:
    assert ThreadReport.from_json(report.as_json()) == report


def test_a_gain_is_told_for_what_is_usable() -> None:
    report = threads_on({1: 0.4, 2: 0.2})
    assert (report.gain(1), report.gain(2), report.gain(4)) == (1.0, 2.0, None)


INSPECTION = replace(make_version().inspection, batch=report_on(), threads=threads_on())


def test_an_inspection_has_its_reports() -> None:
    assert Inspection.from_json(INSPECTION.as_json()) == INSPECTION


def test_an_inspection_of_an_earlier_release_has_no_report_and_one_of_a_later_release_has_more_than_we_know() -> None:
    document = {name: value for name, value in INSPECTION.as_json().items() if name not in {"batch", "threads"}}
    assert Inspection.from_json({**document, "colour": "red"}) == replace(INSPECTION, batch=None, threads=None)
