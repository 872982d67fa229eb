"""Who waits for an isolated version: callers take turns, and nobody keeps the others out."""

import asyncio
import threading
from unittest.mock import Mock

import pytest

from gateway.serving.isolated import IsolatedSession, Line, Work
from gateway.serving.predictor import _run_elsewhere
from gateway.serving.session_cache import Lease
from registry.errors import DeadlinePassed, Overloaded


def line(most: int = 100) -> Line:
    return Line(most, lambda: Overloaded("full"))


def work(caller: str) -> Work:
    return Work({}, ["y"], 0.0, caller)


def test_callers_take_turns_whoever_has_more_to_ask() -> None:
    waiting = line()
    for caller in "aaabac":
        waiting.add(work(caller))
    assert "".join(str(taken.caller) for _ in range(6) if (taken := waiting.next())) == "abcaaa"


def test_the_requests_of_one_caller_keep_their_order() -> None:
    waiting = line()
    first, second = work("a"), work("a")
    waiting.add(first)
    waiting.add(second)
    assert (waiting.next(), waiting.next()) == (first, second)


def test_whoever_has_most_in_a_full_line_gives_way_to_whoever_has_less() -> None:
    waiting = line(most=3)
    crowd = [work("a") for _ in range(3)]
    for one in crowd:
        waiting.add(one)
    late = work("b")
    waiting.add(late)
    with pytest.raises(Overloaded):
        crowd[2].answer.result(0)
    assert [waiting.next() for _ in range(3)] == [crowd[0], late, crowd[1]]


def test_whoever_fills_the_line_is_told_to_come_back() -> None:
    waiting = line(most=2)
    waiting.add(work("a"))
    waiting.add(work("a"))
    with pytest.raises(Overloaded):
        waiting.add(work("a"))


def test_a_line_that_closes_hands_back_what_waits_and_lets_nobody_in() -> None:
    waiting = line()
    left = work("a")
    waiting.add(left)
    assert waiting.close() == [left]
    assert waiting.next() is None
    with pytest.raises(Overloaded):
        waiting.add(work("a"))


def test_whoever_waits_for_the_next_hears_that_the_line_is_closed() -> None:
    waiting, heard = line(), []
    thread = threading.Thread(target=lambda: heard.append(waiting.next()))
    thread.start()
    waiting.close()
    thread.join(10)
    assert heard == [None]


def test_whoever_waits_for_a_turn_that_does_not_come_is_told_so_at_the_deadline() -> None:
    session, lease = Mock(IsolatedSession), Mock(Lease)
    work = Work({}, ("y",), 0.0, "caller")
    with pytest.raises(DeadlinePassed):
        asyncio.run(asyncio.wait_for(_run_elsewhere(session, lease, work, 0.1), 10))
    assert not work.is_wanted
    lease.release.assert_called_once_with()
