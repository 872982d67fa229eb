import pytest

from gateway.serving.lifecycle import TRANSITIONS, State, transition
from registry.errors import InternalError

PAIRS = [(before, after) for before in State for after in State]


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=str)
def test_a_session_goes_only_where_the_table_leads(before: State, after: State) -> None:
    if after in TRANSITIONS[before]:
        assert transition(before, after) is after
    else:
        with pytest.raises(InternalError):
            transition(before, after)


def test_what_is_closed_or_failed_stays_so() -> None:
    assert {state for state, after in TRANSITIONS.items() if not after} == {State.CLOSED, State.FAILED}
