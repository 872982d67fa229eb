"""The chaos is worth something only if it notices what was lost, and who answered too late."""

import math
from dataclasses import replace

import pytest

from bench.chaos_answers import Answers, Judgement, Outages, Timeline, judge, quantile
from bench.chaos_history import Attempt, Path, Row, history_faults


def row(id_: int, kind: str, before: int | None, after: int) -> Row:
    return Row(id=id_, kind=kind, from_version=before, to_version=after, reason=f"move {id_}", at="")


def attempt(told: Row, *, target: int | None, asked_at: float, known_at: float) -> Attempt:
    return Attempt(
        reason=told.reason,
        kind=told.kind,
        target=target,
        asked_at=asked_at,
        known_at=known_at,
        row=told,
        is_acknowledged=True,
    )


ROWS = [
    row(1, "promote", None, 1),
    row(5, "promote", 1, 2),
    row(6, "promote", 2, 3),
    row(9, "rollback", 3, 2),
    row(11, "promote", 2, 3),
]
ATTEMPTS = [
    attempt(ROWS[1], target=2, asked_at=10, known_at=11),
    attempt(ROWS[2], target=3, asked_at=20, known_at=21),
    attempt(ROWS[3], target=None, asked_at=30, known_at=31),
    attempt(ROWS[4], target=3, asked_at=40, known_at=41),
]


def not_acknowledged(found: Attempt, *, known_at: float = math.inf) -> Attempt:
    return replace(found, row=None, is_acknowledged=False, known_at=known_at)


# --- the history ------------------------------------------------------------------------------------------------------


def test_a_history_of_what_was_acknowledged_has_no_faults() -> None:
    assert history_faults(ROWS, ATTEMPTS) == []


def test_a_move_that_nobody_acknowledged_may_be_there_or_not() -> None:
    never = Attempt(reason="refused", kind="promote", target=2, asked_at=50)
    assert history_faults(ROWS, [*ATTEMPTS[:3], not_acknowledged(ATTEMPTS[3]), never]) == []


FAULTY = {
    "an acknowledged move is lost": (ROWS[:4], ATTEMPTS),
    "a move that was seen is lost": (ROWS[:4], [*ATTEMPTS[:3], replace(ATTEMPTS[3], is_acknowledged=False)]),
    "a move in the middle is lost": ([*ROWS[:2], *ROWS[3:]], ATTEMPTS),
    "a move is there twice": ([*ROWS, replace(ROWS[4], id=12, from_version=3, to_version=3)], ATTEMPTS),
    "a move was rewritten": ([*ROWS[:4], replace(ROWS[4], at="later")], ATTEMPTS),
    "a move that nobody asked for": ([*ROWS, row(12, "promote", 3, 1)], ATTEMPTS),
    "a move begins elsewhere than the last one led": ([*ROWS[:4], replace(ROWS[4], from_version=1)], ATTEMPTS),
    "moves stand in another order than they were acknowledged in": (ROWS, [*ATTEMPTS[:2], *ATTEMPTS[:1:-1]]),
    "a promotion to another version": (ROWS, [*ATTEMPTS[:3], replace(ATTEMPTS[3], target=1)]),
    "a rollback to another version than the last one": (
        [*ROWS[:3], row(9, "rollback", 3, 1)],
        [*ATTEMPTS[:2], attempt(row(9, "rollback", 3, 1), target=None, asked_at=30, known_at=31)],
    ),
    "a promotion in place of a rollback": (ROWS, [*ATTEMPTS[:2], replace(ATTEMPTS[2], kind="promote"), ATTEMPTS[3]]),
}


@pytest.mark.parametrize(("rows", "attempts"), FAULTY.values(), ids=FAULTY.keys())
def test_a_faulty_history_is_noticed(rows: list[Row], attempts: list[Attempt]) -> None:
    assert history_faults(rows, attempts) != []


def test_the_way_back_skips_what_was_taken_back() -> None:
    path = Path()
    for move in ROWS:
        path.take(move)
    assert (path.live, path.way_back) == (3, 2)
    path.take(row(12, "rollback", 3, 2))
    assert (path.live, path.way_back) == (2, 1)
    path.take(row(13, "rollback", 2, 3))  # no move that stands came from there: it stands itself
    assert (path.live, path.way_back) == (3, 2)
    path.take(row(14, "rollback", 3, 1))
    assert (path.live, path.way_back) == (1, None)


# --- the answers ------------------------------------------------------------------------------------------------------


def judged(version: int, sent_at: float, received_at: float, *, outages: Outages | None = None) -> Judgement:
    answers = Answers()
    answers.add(version, sent_at, received_at)
    return judge(answers, Timeline(ROWS, ATTEMPTS), outages or Outages())


RIGHT = {
    "before all moves": (1, 1.0, 2.0),
    "sent before a move was acknowledged": (1, 10.9, 15.0),
    "received after a move was asked for": (2, 9.0, 10.1),
    "between asking and acknowledgement, the one": (1, 10.4, 10.5),
    "between asking and acknowledgement, the other": (2, 10.4, 10.5),
    "after the last move": (3, 50.0, 51.0),
    "live a second time": (2, 35.0, 36.0),
    "live for a moment only while the answer was under way": (3, 15.0, 45.0),
}


@pytest.mark.parametrize(("version", "sent_at", "received_at"), RIGHT.values(), ids=RIGHT.keys())
def test_a_version_that_was_live_at_some_instant_is_right(version: int, sent_at: float, received_at: float) -> None:
    assert judged(version, sent_at, received_at) == Judgement(lateness=[0.0] * 4)


def test_an_old_answer_counts_from_the_acknowledgement_to_its_receipt() -> None:
    assert judged(1, 11.1, 11.5) == Judgement(lateness=[0.5, 0, 0, 0], old_count=1)
    assert judged(2, 21.5, 23.0) == Judgement(lateness=[0, 2.0, 0, 0], old_count=1)
    assert judged(1, 21.0, 21.0) == Judgement(lateness=[10.0, 0, 0, 0], old_count=1)


def test_an_answer_by_what_was_not_live_yet_or_long_ago_is_wrong() -> None:
    assert len(judged(2, 8.0, 9.9).wrong) == 1
    assert len(judged(3, 11.5, 19.9).wrong) == 1
    assert len(judged(1, 20.9, 21.5).wrong) == 1


def test_while_the_database_is_away_nobody_can_hear_of_a_move() -> None:
    outages = Outages()
    outages.begin(41.5)
    outages.end(71.5)
    found = judged(2, 72.0, 72.5, outages=outages)
    assert (found.lateness, found.wrong) == ([0, 0, 0, 31.5], [])
    assert len(judged(2, 82.0, 82.5, outages=outages).wrong) == 1


def test_a_move_that_was_seen_late_may_have_taken_place_long_before() -> None:
    seen = replace(ATTEMPTS[1], is_acknowledged=False, known_at=29.0)
    timeline = Timeline(ROWS, [ATTEMPTS[0], seen, *ATTEMPTS[2:]])
    assert (timeline.moved_away(2, 28.0, 28.5), timeline.moved_away(3, 20.0, 20.5)) == (None, None)
    assert timeline.moved_away(2, 29.5, 29.6) == 2


def test_no_move_took_place_before_the_one_above_it() -> None:
    unseen = attempt(ROWS[1], target=2, asked_at=10, known_at=40)
    told = attempt(ROWS[2], target=3, asked_at=20, known_at=21)
    timeline = Timeline(ROWS[:3], [unseen, told])
    assert (timeline.begins, timeline.known) == ([-math.inf, 10, 20], [-math.inf, 21, 21])


def test_a_move_that_was_asked_for_first_may_have_come_second() -> None:
    unseen = attempt(ROWS[2], target=3, asked_at=10, known_at=40)
    told = attempt(ROWS[1], target=2, asked_at=20, known_at=21)
    timeline = Timeline(ROWS[:3], [unseen, told])
    assert (timeline.begins, timeline.known) == ([-math.inf, 20, 20], [-math.inf, 21, 40])


def test_quantiles_are_values_that_there_were() -> None:
    assert (quantile([], 0.5), quantile([3.0], 0.99), quantile([4.0, 1.0, 3.0, 2.0], 0.5)) == (0.0, 3.0, 2.0)
    assert quantile([float(value) for value in range(1, 1001)], 0.99) == 990.0
