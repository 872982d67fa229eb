"""What the chaos takes for a failure, and what for the price of a kill or an outage."""

import time

import orjson
import pytest

from bench.chaos_load import BACK_SECONDS, Notes
from bench.http_connection import Answer, Connection


class Used(Connection):
    """A connection that has been open at a port."""

    def __init__(self, port: int | None) -> None:
        super().__init__(0)
        self._at = port

    @property
    def local_port(self) -> int | None:
        return self._at


def outage(*, ended_seconds_ago: float | None) -> Notes:
    notes = Notes()
    if ended_seconds_ago is not None:
        now = time.monotonic()
        notes.outages.begin(now - 60)
        notes.outages.end(now - ended_seconds_ago)
    return notes


def test_a_connection_may_break_if_its_worker_was_killed() -> None:
    notes = Notes(orphans={4711})
    notes.breaks(Used(4711), EOFError(), asked_at=0)
    assert (notes.broken, len(notes.failures)) == (1, 0)


@pytest.mark.parametrize(
    ("port", "error"), [(4712, EOFError()), (None, ConnectionRefusedError()), (4711, TimeoutError())]
)
def test_no_connection_breaks_otherwise_and_no_predict_waits_in_vain(port: int | None, error: Exception) -> None:
    notes = outage(ended_seconds_ago=0)
    notes.orphans.add(4711)
    notes.breaks(Used(port), error, asked_at=time.monotonic())
    assert (notes.broken, len(notes.failures)) == (0, 1)


REFUSED = Answer(503, {}, orjson.dumps({"code": "gone", "detail": "it is away", "instance": "1"}))


@pytest.mark.parametrize(
    ("ended_seconds_ago", "answer", "is_failure"),
    [
        (0.0, REFUSED, False),
        (BACK_SECONDS + 1, REFUSED, True),
        (None, REFUSED, True),
        (0.0, Answer(500, {}, b"{}"), True),
    ],
    ids=["in an outage", "long after it", "in no outage", "for another reason"],
)
def test_the_control_plane_refuses_only_while_the_database_is_away(
    ended_seconds_ago: float | None, answer: Answer, *, is_failure: bool
) -> None:
    notes = outage(ended_seconds_ago=ended_seconds_ago)
    notes.refuses(answer, asked_at=time.monotonic())
    expected: tuple[dict[str, int], int] = ({}, 1) if is_failure else ({"503 gone: it is away": 1}, 0)
    assert (dict(notes.refused), len(notes.failures)) == expected


def test_a_move_may_wait_in_vain_while_the_database_is_away() -> None:
    notes = outage(ended_seconds_ago=0)
    notes.breaks(Used(1), TimeoutError(), asked_at=time.monotonic(), is_control=True)
    assert (dict(notes.refused), len(notes.failures)) == ({"no answer": 1}, 0)
