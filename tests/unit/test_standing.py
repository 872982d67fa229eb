"""Where a version runs after what it has done and what was asked of it."""

import json
from dataclasses import replace

import pytest

from registry.standing import (
    Death,
    Isolation,
    Stage,
    Standing,
    after_clearing,
    after_death,
    after_probation,
    after_quarantine,
    requested,
)

CRASH = Death(where=Isolation.IN_PROCESS, stage=Stage.RUN, cause="SIGFPE", is_certain=True, host="here")
SUSPICION = replace(CRASH, is_certain=False)
CRASH_OF_CHILD = replace(CRASH, where=Isolation.ISOLATED, stage=Stage.LOAD)
ENDED, MAY_HAVE = "SIGFPE ended a worker during a run", "SIGFPE may have ended a worker during a run"
ENDED_CHILD = "SIGFPE ended its child during a load"

ON_PROBATION = Standing(isolation=Isolation.ISOLATED, deaths=1, is_on_probation=True, reason=ENDED)
SUSPECT = Standing(isolation=Isolation.ISOLATED, is_on_probation=True, reason=MAY_HAVE)
FOR_GOOD = Standing(isolation=Isolation.ISOLATED, deaths=2, reason=ENDED_CHILD)
ASKED_FOR = Standing(isolation=Isolation.ISOLATED, is_requested=True)
BACK = Standing(deaths=1)
QUARANTINED = Standing(isolation=Isolation.QUARANTINED, deaths=9, reason="it ends every child")


@pytest.mark.parametrize(
    ("before", "death", "after"),
    [
        pytest.param(Standing(), CRASH, ON_PROBATION, id="the first death brings probation"),
        pytest.param(Standing(), SUSPICION, SUSPECT, id="a suspicion brings probation and does not count"),
        pytest.param(SUSPECT, SUSPICION, SUSPECT, id="another suspicion changes nothing"),
        pytest.param(
            SUSPECT, CRASH_OF_CHILD, replace(ON_PROBATION, reason=ENDED_CHILD), id="a suspect's first death counts"
        ),
        pytest.param(ON_PROBATION, SUSPICION, ON_PROBATION, id="a suspicion does not end a probation"),
        pytest.param(ON_PROBATION, CRASH_OF_CHILD, FOR_GOOD, id="the second death is for good"),
        pytest.param(BACK, CRASH_OF_CHILD, FOR_GOOD, id="a death is remembered after the probation"),
        pytest.param(BACK, SUSPICION, replace(SUSPECT, deaths=1), id="a suspicion after a probation begins another"),
        pytest.param(FOR_GOOD, SUSPICION, FOR_GOOD, id="a suspicion makes nothing worse"),
        pytest.param(FOR_GOOD, CRASH_OF_CHILD, replace(FOR_GOOD, deaths=3), id="every death counts"),
        pytest.param(QUARANTINED, CRASH, replace(QUARANTINED, deaths=10), id="a late death leaves a quarantine"),
        pytest.param(QUARANTINED, SUSPICION, QUARANTINED, id="a late suspicion leaves a quarantine"),
        pytest.param(ASKED_FOR, CRASH, replace(ON_PROBATION, is_requested=True), id="what was asked for is remembered"),
    ],
)
def test_deaths_move_a_version(before: Standing, death: Death, after: Standing) -> None:
    assert after_death(before, death) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(ON_PROBATION, BACK, id="back in process, with its death"),
        pytest.param(SUSPECT, Standing(), id="a suspect is as if nothing had been"),
        pytest.param(
            replace(ON_PROBATION, is_requested=True), replace(ASKED_FOR, deaths=1), id="where it was asked to be"
        ),
        pytest.param(FOR_GOOD, FOR_GOOD, id="for good is for good"),
        pytest.param(QUARANTINED, QUARANTINED, id="a quarantine stays"),
        pytest.param(Standing(), Standing(), id="nothing to end"),
    ],
)
def test_good_answers_end_a_probation_and_nothing_else(before: Standing, after: Standing) -> None:
    assert after_probation(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(FOR_GOOD, replace(QUARANTINED, deaths=2, reason="it kills everything"), id="one that is isolated"),
        pytest.param(
            replace(ON_PROBATION, is_requested=True),
            replace(QUARANTINED, deaths=1, is_requested=True, reason="it kills everything"),
            id="one on probation",
        ),
        pytest.param(QUARANTINED, QUARANTINED, id="one that is there keeps its first reason"),
    ],
)
def test_a_quarantine_ends_everything_else(before: Standing, after: Standing) -> None:
    assert after_quarantine(before, "it kills everything") == after


@pytest.mark.parametrize("before", [Standing(), BACK, SUSPECT, ON_PROBATION, FOR_GOOD, QUARANTINED])
def test_clearing_forgets_everything_but_what_was_asked_for(before: Standing) -> None:
    cleared = [after_clearing(replace(before, is_requested=is_requested)) for is_requested in (False, True)]
    assert cleared == [Standing(), ASKED_FOR]


@pytest.mark.parametrize(
    ("before", "isolated", "in_process"),
    [
        pytest.param(Standing(), ASKED_FOR, Standing(), id="nothing keeps it"),
        pytest.param(ASKED_FOR, ASKED_FOR, Standing(), id="it was asked for"),
        pytest.param(BACK, replace(ASKED_FOR, deaths=1), BACK, id="one death is behind it"),
        pytest.param(ON_PROBATION, replace(ON_PROBATION, is_requested=True), ON_PROBATION, id="probation"),
        pytest.param(FOR_GOOD, replace(FOR_GOOD, is_requested=True), FOR_GOOD, id="two deaths"),
        pytest.param(QUARANTINED, replace(QUARANTINED, is_requested=True), QUARANTINED, id="quarantine"),
    ],
)
def test_a_publisher_asks_for_a_child_and_takes_back_only_that(
    before: Standing, isolated: Standing, in_process: Standing
) -> None:
    assert requested(before, Isolation.ISOLATED) == isolated
    assert (requested(before, Isolation.IN_PROCESS), requested(isolated, Isolation.IN_PROCESS)) == (
        in_process,
        in_process,
    )


def test_a_quarantine_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="cannot be asked for"):
        requested(Standing(), Isolation.QUARANTINED)


@pytest.mark.parametrize("standing", [Standing(), SUSPECT, FOR_GOOD, ASKED_FOR, QUARANTINED])
def test_a_standing_survives_being_written_down(standing: Standing) -> None:
    assert Standing.from_json(json.loads(json.dumps(standing.as_json()))) == standing


def test_what_an_earlier_release_wrote_has_no_standing() -> None:
    assert Standing.from_json(None) == Standing()
