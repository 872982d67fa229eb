"""Lending threads to sessions: within the worker's share, and given back."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.serving.spare_threads import SpareThreads
from registry.records import Version
from registry.threads import ALONE, ThreadRule
from tests.support.serving_models import make_version, threads_on, with_threads

LONG = with_threads(make_version("long"), threads_on())
SHORT = make_version("short")
SHAPES = frozenset(threads_on().shapes)
TWO, FOUR = (ThreadRule(threads=count, shapes=SHAPES) for count in (2, 4))


def spare(cpus: int, *, budget_bytes: int = 1000) -> SpareThreads:
    return SpareThreads(
        host="here", cpus=cpus, budget_bytes=budget_bytes, find_report=lambda version: version.inspection.threads
    )


@pytest.mark.parametrize(
    ("cpus", "version", "rule"),
    [(1, LONG, ALONE), (2, LONG, TWO), (3, LONG, TWO), (4, LONG, FOUR), (4, SHORT, ALONE)],
    ids=["one CPU", "two CPUs", "three CPUs", "four CPUs", "no report"],
)
def test_a_session_gets_what_pays_within_the_workers_share(cpus: int, version: Version, rule: ThreadRule) -> None:
    threads = spare(cpus)
    assert threads.borrow(version, 1).rule == rule
    assert threads.lent_count == rule.threads - 1


def test_who_comes_last_gets_what_is_left_and_then_one_thread() -> None:
    threads = spare(4)
    assert [threads.borrow(LONG, 1).rule for _ in range(5)] == [FOUR, FOUR, TWO, TWO, ALONE]
    assert threads.lent_count == 8


def test_what_is_given_back_is_lent_again() -> None:
    threads = spare(2)
    loans = [threads.borrow(LONG, 250) for _ in range(4)]
    assert threads.borrow(LONG, 1).rule is ALONE
    loans[2].give_back()
    assert (threads.lent_count, threads.borrow(LONG, 250).rule) == (3, TWO)


def test_who_has_borrowed_nothing_gives_nothing_back() -> None:
    threads = spare(2)
    threads.borrow(LONG, 1)
    threads.borrow(SHORT, 1).give_back()
    assert threads.lent_count == 1


def test_second_sessions_keep_to_their_part_of_the_memory() -> None:
    threads = spare(8, budget_bytes=100)
    assert threads.borrow(LONG, 101).rule is ALONE
    large = threads.borrow(LONG, 100)
    assert (large.rule, threads.borrow(LONG, 1).rule) == (ThreadRule(threads=8, shapes=SHAPES), ALONE)
    large.give_back()
    assert threads.borrow(LONG, 100).rule == large.rule


def test_lending_from_many_threads_comes_out_even() -> None:
    threads = spare(4)

    def lend(_: int) -> None:
        threads.borrow(LONG, 1).give_back()

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(lend, range(1000)))
    assert (threads.lent_count, threads.borrow(LONG, 1000).rule) == (0, FOUR)


def test_what_would_be_lent_is_told_beforehand() -> None:
    threads = spare(2, budget_bytes=100)
    assert [threads.would_lend(LONG, size) for size in (100, 101)] == [True, False]
    assert not threads.would_lend(SHORT, 1)
    threads.borrow(LONG, 100)
    assert not threads.would_lend(LONG, 1)
