from dataclasses import replace

import pytest

from gateway.serving.batching import BatchRules
from registry.batching import NEVER, Batching, BatchReport, BatchRule, Level, rule_of, unproven
from tests.support.serving_models import make_version, report_on

LEVELS = (Level.EXACT, Level.STABLE, Level.CLOSE, Level.NONE)
ACCEPTED = {
    Batching.EXACT: LEVELS[:1],
    Batching.STABLE: LEVELS[:2],
    Batching.CLOSE: LEVELS[:3],
    Batching.OFF: (),
}


@pytest.mark.parametrize("batching", Batching)
@pytest.mark.parametrize("level", LEVELS)
def test_runs_are_shared_where_the_proof_is_as_strong_as_the_owner_wants_it(batching: Batching, level: Level) -> None:
    rule = rule_of(batching, report_on(level), "here")
    if level in ACCEPTED[batching]:
        assert rule == BatchRule(max_rows=32, level=level, shapes=frozenset({((4,),)}))
        assert rule.is_padded is (level is Level.STABLE)
    else:
        assert rule == NEVER


@pytest.mark.parametrize(
    "report",
    [None, unproven("here", "not tried"), report_on(host="elsewhere")],
    ids=["no report", "not tried", "another host's"],
)
def test_what_was_not_tried_here_is_not_shared(report: BatchReport | None) -> None:
    assert rule_of(Batching.CLOSE, report, "here") is NEVER


@pytest.mark.parametrize(
    ("run_seconds", "rows"),
    [
        ({1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0}, 1),
        ({1: 1.0, 2: 1.1, 4: 2.2, 8: 4.4}, 2),
        ({1: 1.0, 2: 2.0, 4: 2.0, 8: 2.0}, 8),
        ({1: 1.0, 2: 1.85, 4: 3.7, 8: 7.4}, 1),
        ({1: 1.0, 2: 1.7, 4: 3.4, 8: 6.8}, 2),
        ({1: 2e-4, 2: 4e-4, 4: 8e-4, 8: 1.6e-3}, 2),
        ({1: 1.0}, 1),
        ({}, 1),
        ({2: 1.0}, 1),
        ({1: 1e-5, 2: 2e-5, 4: 4e-5, 8: 8e-5}, 8),
        ({1: 1e-4, 2: 2e-4, 4: 4e-4, 8: 8e-4}, 8),
        ({1: 8e-5, 2: 8e-5, 16: 3e-4, 32: 6e-4, 64: 1.2e-3}, 32),
        ({1: 8e-5, 2: 8e-5, 16: 2e-4, 32: 4e-4, 64: 8e-4}, 64),
    ],
    ids=[
        "no gain",
        "a gain of two only",
        "a gain that begins late",
        "a gain that is not worth the wait",
        "a small gain, for a pair",
        "a small gain, for no more than a pair, though runs are short",
        "one row only",
        "not timed",
        "one row not timed",
        "what a run costs besides is shared",
        "as far as runs are short",
        "a small gain, as far as runs are short",
        "runs that are all short",
    ],
)
def test_a_batch_is_as_large_as_it_brings_something(run_seconds: dict[int, float], rows: int) -> None:
    report = BatchReport(
        level=Level.EXACT,
        reason="",
        host="here",
        rows=max(run_seconds, default=1),
        shapes=(((4,),),),
        largest_difference=0.0,
        run_seconds=run_seconds,
    )
    assert report.worthwhile_rows == rows


def test_where_a_row_alone_would_be_run_as_two_a_pair_has_to_bring_more() -> None:
    report = replace(report_on(Level.STABLE), run_seconds={1: 1.0, 2: 1.7})
    assert (report.worthwhile_rows, replace(report, level=Level.CLOSE).worthwhile_rows) == (1, 2)


def test_a_report_reads_back_as_it_was_written() -> None:
    report = report_on(Level.STABLE, shapes=((3, 224, 224), ()))
    assert BatchReport.from_json(report.as_json()) == report


def test_a_version_whose_shared_runs_differed_never_shares_again() -> None:
    rules = BatchRules("here", lambda version: version.inspection.batch)
    version, other = make_version(batch=report_on()), make_version("other", batch=report_on())
    assert not rules.of(version).is_off
    rules.break_(version)
    assert rules.of(version) is NEVER
    assert not rules.of(other).is_off
