"""The hostile requests are of every row that is about predictions, and can be sent."""

import pytest

from tests.hostile_set.request_models import ASKED
from tests.hostile_set.requests import Manner, RequestCase, request_cases

CASES = request_cases()


def test_every_row_about_predictions_has_a_request() -> None:
    assert {case.row for case in CASES} >= set(range(1, 32))


def test_no_two_have_one_name() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_has_outcomes_and_a_model_that_is_there(case: RequestCase) -> None:
    asked = case.path.split("/models/")[-1].split("/")[0]
    is_there = asked in ASKED or case.outcomes[0].startswith(("404 ", "422 invalid_name"))
    assert (case.outcomes != (), is_there) == (True, True)


def test_only_those_that_are_waited_for_say_more_than_they_send() -> None:
    stalling = [case for case in CASES if case.manner is Manner.STALLING]
    assert [len(case.body()) < (case.announced or 0) for case in stalling] == [True] * len(stalling)
