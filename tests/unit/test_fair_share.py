"""Who is told to go elsewhere when siblings have fewer connections."""

from dataclasses import dataclass, field
from math import isnan, nan

from gateway.web.fair_share import PAUSE_SECONDS, SETTLING_SECONDS, USED_SECONDS, FairShare

NOW = 100.0


@dataclass
class Transport:
    is_closed: bool = False

    def is_closing(self) -> bool:
        return self.is_closed


@dataclass
class Line:
    """A connection; ``waits_since`` is None while a request is at work."""

    waits_since: float | None = NOW
    transport: Transport = field(default_factory=Transport)
    client: tuple[str, int] | None = None
    is_passing: bool = False

    def pass_on(self) -> None:
        self.is_passing = True


class Worker:
    """A worker with some connections, beside siblings that have some."""

    def __init__(self, lines: list[Line], *siblings: float) -> None:
        self.lines, self.siblings, self.now = lines, list(siblings), NOW
        self.share = FairShare(lambda: lines, lambda: [self.share.in_use, *self.siblings], lambda: self.now)
        self.share.begin()
        self.siblings.append(nan)  # the place of nobody

    def told(self) -> int:
        """Look twice, and return how many the second look has told to go."""
        self.share.even_out()
        return self.share.even_out()

    def told_after(self, seconds: float) -> int:
        self.now += seconds
        for line in self.lines:
            line.waits_since = self.now
        return self.told()


def test_what_is_beyond_the_mean_goes_where_siblings_have_clearly_fewer() -> None:
    worker = Worker([Line() for _ in range(16)], 0)
    assert (worker.told(), worker.share.in_use) == (8, 8.0)


def test_who_has_come_to_all_at_once_goes_nowhere_though_siblings_have_not_said_it_yet() -> None:
    worker = Worker([Line() for _ in range(8)], 0)
    told = [worker.share.even_out()]
    worker.siblings = [8, nan]
    assert [*told, worker.share.even_out()] == [0, 0]


def test_too_many_at_one_look_are_forgotten_at_the_next() -> None:
    worker = Worker([Line() for _ in range(8)], 0)
    told = []
    for sibling in (0, 8, 0, 8):
        worker.siblings = [sibling, nan]
        told.append(worker.share.even_out())
    assert told == [0] * 4


def test_a_look_before_a_pause_says_nothing_of_after_it() -> None:
    worker = Worker([Line() for _ in range(64)], 0)
    worker.told()
    worker.now += SETTLING_SECONDS / 2
    worker.share.even_out()
    worker.siblings, worker.now = [8, nan], worker.now + SETTLING_SECONDS
    for line in worker.lines:
        line.waits_since = worker.now
    assert [worker.share.even_out(), worker.share.even_out()] == [0, 12]


def test_what_chance_brings_about_is_left_alone() -> None:
    assert Worker([Line() for _ in range(11)], 5).told() == 0


def test_who_has_fewest_tells_nobody() -> None:
    assert Worker([Line()], 15).told() == 0


def test_a_worker_without_siblings_keeps_all() -> None:
    assert Worker([Line() for _ in range(16)]).told() == 0


def test_connections_that_are_not_in_use_neither_count_nor_go() -> None:
    idle = [Line(NOW - USED_SECONDS - 1) for _ in range(100)]
    worker = Worker([*idle, Line(), Line(None)], 0)
    assert (worker.told(), worker.share.in_use) == (0, 2.0)


def test_connections_that_end_already_do_not_count() -> None:
    ending = [Line(transport=Transport(is_closed=True)) for _ in range(100)]
    assert Worker([*ending, Line()], 0).share.in_use == 1.0


def test_nobody_else_is_told_until_those_who_were_have_settled() -> None:
    worker = Worker([Line() for _ in range(16)], 0)
    assert [worker.told(), worker.told_after(SETTLING_SECONDS / 2)] == [8, 0]


def test_where_it_helped_it_goes_on() -> None:
    worker = Worker([Line() for _ in range(64)], 0)
    worker.told()
    worker.siblings = [8, nan]
    assert worker.told_after(SETTLING_SECONDS) == 12


def test_where_a_sibling_takes_none_it_is_not_tried_again_for_a_while() -> None:
    worker = Worker([Line() for _ in range(64)], 0)
    told = [worker.told(), worker.told_after(SETTLING_SECONDS), worker.told_after(PAUSE_SECONDS / 2)]
    assert [*told, worker.told_after(PAUSE_SECONDS / 2)] == [32, 0, 0, 16]


def test_a_sibling_that_has_died_meanwhile_proves_nothing() -> None:
    worker = Worker([Line() for _ in range(64)], 1)
    worker.told()
    worker.siblings = [nan, 0]
    assert worker.told_after(SETTLING_SECONDS) == 16


def test_where_that_is_so_again_it_takes_twice_as_long_until_it_is_tried_again() -> None:
    worker = Worker([Line() for _ in range(64)], 0)
    worker.told()
    told = [worker.told_after(seconds) for seconds in (SETTLING_SECONDS, PAUSE_SECONDS, SETTLING_SECONDS)]
    assert [*told, worker.told_after(PAUSE_SECONDS), worker.told_after(PAUSE_SECONDS)] == [0, 16, 0, 0, 8]


def test_a_worker_that_has_not_begun_counts_for_nothing_and_tells_nobody() -> None:
    share = FairShare(lambda: [Line()] * 9, lambda: [9.0, 0.0], lambda: NOW)
    assert (share.even_out(), share.even_out(), isnan(share.in_use)) == (0, 0, True)


def test_a_worker_that_takes_no_more_counts_for_nothing_and_tells_nobody() -> None:
    worker = Worker([Line() for _ in range(16)], 0)
    worker.share.end()
    assert (worker.told(), isnan(worker.share.in_use)) == (0, True)
