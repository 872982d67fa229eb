"""The life of one session, as data.

    NEW ──> LOADING ──> READY ──> DRAINING ──> CLOSED
     │         │          │           │
     └─────────┴──────────┴───────────┴──────> FAILED

NEW waits for room in memory; LOADING has its room and is being made; READY is leased out; DRAINING gives no new lease
and waits for its last one, then for its memory to be given back. CLOSED and FAILED are final: a version that is wanted
again begins as another NEW.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from registry.errors import InternalError


class State(StrEnum):
    """Where a session is in its life."""

    NEW = "new"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    CLOSED = "closed"
    FAILED = "failed"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.NEW: frozenset({State.LOADING, State.FAILED}),
        State.LOADING: frozenset({State.READY, State.FAILED}),
        State.READY: frozenset({State.DRAINING, State.FAILED}),
        State.DRAINING: frozenset({State.CLOSED, State.FAILED}),
        State.CLOSED: frozenset(),
        State.FAILED: frozenset(),
    }
)
"""Where each state may lead."""


def transition(state: State, to: State) -> State:
    """Return ``to``, if ``state`` may lead there.

    Raises:
        InternalError: it may not, so that the caller has a bug.
    """
    if to not in TRANSITIONS[state]:
        raise InternalError(f"a session cannot go from {state} to {to}")
    return to
