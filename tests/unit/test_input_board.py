"""Sums of inputs on the boards of several workers: put together, kept over deaths, and never those of few requests."""

from gateway.input_board import HOUR_SECONDS, InputBoard, is_about_inputs, mark_of
from gateway.input_findings import ColumnFound, VersionFound, gather
from gateway.metrics import Metrics
from gateway.shared_counts import Board
from registry.input_statistics import Moments

SOME = Moments(requests=20, count=22, finite=20, mean=2.0, squares=40.0, nan=1, infinite=1)
MORE = Moments(requests=20, count=20, finite=20, mean=4.0, squares=40.0)
BOTH = Moments(requests=40, count=42, finite=40, mean=3.0, squares=120.0, nan=1, infinite=1)
NOW = 100_000 * HOUR_SECONDS + 10.0
OLD, NEW = "a" * 64, "b" * 64


class Host:
    """Some workers of one host, and what any of them reads."""

    def __init__(self, workers: int = 2, most: int = 100) -> None:
        self.boards = [Board.create() for _ in range(workers)]
        self.most = most
        self.workers = [self.worker(own) for own in range(workers)]

    def worker(self, own: int) -> InputBoard:
        """Start a worker on a board."""
        return InputBoard(Metrics(self.boards, own).counts, self.most)

    def read(self, now: float = NOW) -> dict[tuple[str, str], VersionFound]:
        return gather(Metrics(self.boards).find(is_about_inputs), now)

    def column(self, now: float = NOW) -> ColumnFound:
        return self.read(now)["iris", "1"].columns["x", 0]


def live(moments: Moments) -> ColumnFound:
    """A column of which all has come in this hour."""
    return ColumnFound(live=moments, recent=moments)


def test_requests_are_counted_over_all_workers_since_the_first_was_looked_at() -> None:
    host = Host()
    host.workers[0].count("iris", 1, looked_at=3, skipped=1, now=200.0)
    host.workers[0].count("iris", 1, looked_at=2, skipped=0, now=300.0)
    host.workers[1].count("iris", 1, looked_at=4, skipped=2, now=100.0)
    assert host.read() == {("iris", "1"): VersionFound(looked_at=9, skipped=3, since=100.0)}


def test_sums_are_put_together_over_time_and_over_workers() -> None:
    host = Host()
    host.workers[0].add("iris", 1, "x", [SOME, MORE], now=NOW)
    host.workers[0].add("iris", 1, "x", [MORE, MORE], now=NOW)
    host.workers[1].add("iris", 2, "x", [MORE], now=NOW)
    assert host.read() == {
        ("iris", "1"): VersionFound(columns={("x", 0): live(BOTH), ("x", 1): live(MORE.plus(MORE))}),
        ("iris", "2"): VersionFound(columns={("x", 0): live(MORE)}),
    }


def test_two_workers_add_up_to_what_one_would_have_seen() -> None:
    host = Host()
    host.workers[0].add("iris", 1, "x", [SOME], now=NOW)
    host.workers[1].add("iris", 1, "x", [MORE], now=NOW)
    assert host.column() == live(BOTH)


def test_the_next_worker_on_a_board_goes_on_where_the_one_before_stopped() -> None:
    host = Host()
    host.workers[0].add("iris", 1, "x", [SOME], now=NOW)
    host.worker(0).add("iris", 1, "x", [MORE], now=NOW)
    assert host.column() == live(BOTH)


def test_who_reads_while_somebody_writes_sees_what_was_there_before() -> None:
    host = Host(workers=1)
    host.workers[0].add("iris", 1, "x", [SOME], now=NOW)
    begin = host.workers[0]._counts.slot("inputs-column", "iris", "1", "x", "0")
    host.workers[0]._write(begin + 1, [7.0] * 20)  # the side that is not shown: half of an addition
    assert host.column() == live(SOME)


def test_of_several_references_the_last_one_counts() -> None:
    host = Host()
    host.workers[0].refer("iris", 1, "x", digest=OLD, moments=[SOME], now=5.0)
    host.workers[1].refer("iris", 1, "x", digest=NEW, moments=[MORE], now=6.0)
    assert host.column() == ColumnFound(reference=MORE, mark=mark_of(NEW))


def test_a_reference_to_nothing_is_none() -> None:
    host = Host()
    host.workers[0].refer("iris", 1, "x", digest=OLD, moments=[SOME], now=5.0)
    host.workers[0].refer("iris", 1, "x", digest="", moments=[Moments()], now=6.0)
    assert host.column() == ColumnFound()


def test_texts_are_unseen_in_the_reference_that_counts_now_and_none_is_forgotten() -> None:
    host = Host()
    for worker in host.workers:
        worker.add_unseen("iris", 1, "x", digest=OLD, unseen=[(20, 5)])
        worker.add_unseen("iris", 1, "x", digest=NEW, unseen=[(20, 1)])
        worker.refer("iris", 1, "x", digest=NEW, moments=[SOME], now=6.0)
    found = host.column()
    assert found == ColumnFound(reference=SOME, mark=mark_of(NEW), texts=40, unseen=2, ever_unseen=12)
    assert found.unseen_share == 0.05


def test_what_has_come_lately_is_that_of_this_hour_and_the_one_before() -> None:
    host = Host()
    seen = []
    for hours in (0, 1, 2, 3):
        if hours < 2:
            host.workers[0].add("iris", 1, "x", [SOME], now=NOW + hours * HOUR_SECONDS)
            host.workers[1].add("iris", 1, "x", [MORE], now=NOW)
        found = host.column(NOW + hours * HOUR_SECONDS)
        seen.append((found.live.requests, found.recent.requests))
    assert seen == [(40, 40), (80, 80), (80, 20), (80, 0)]


def test_after_a_pause_of_hours_only_what_is_new_is_recent() -> None:
    host = Host()
    for hours in (0, 1, 5):
        host.workers[0].add("iris", 1, "x", [SOME], now=NOW + hours * HOUR_SECONDS)
    assert host.column(NOW + 5 * HOUR_SECONDS) == ColumnFound(live=SOME.plus(SOME).plus(SOME), recent=SOME)


def test_a_shift_is_that_of_the_recent_mean_and_needs_enough_numbers_and_a_reference() -> None:
    few = Moments(requests=20, count=20, finite=19, mean=9.0)
    reference = Moments(requests=2, count=2, finite=2, mean=1.0, squares=8.0)
    found = [
        ColumnFound(live=SOME, recent=MORE, reference=reference).shift,
        ColumnFound(live=SOME, recent=few, reference=reference).shift,
        ColumnFound(live=MORE, reference=reference).shift,
        live(MORE).shift,
    ]
    assert found == [1.5, None, None, None]


def test_a_worker_has_room_for_so_many_columns_and_whoever_had_room_keeps_it() -> None:
    host = Host(workers=1, most=5)
    worker = host.workers[0]
    assert [worker.take_room("iris", 1, 4), worker.take_room("wine", 1, 2), worker.take_room("wine", 2, 1)] == [
        True,
        False,
        True,
    ]
    worker.count("iris", 1, looked_at=1, skipped=0, now=1.0)
    worker.add("iris", 1, "x", [SOME] * 4, now=NOW)
    successor = host.worker(0)
    assert [successor.take_room("iris", 1, 4), successor.take_room("wine", 1, 2)] == [True, False]


def test_a_board_that_is_full_loses_what_is_new_and_nothing_else() -> None:
    host = Host(workers=1)
    worker = host.workers[0]
    worker.add("iris", 1, "x", [SOME], now=NOW)
    worker._counts._next = len(worker._counts.numbers)
    worker.add("iris", 1, "y", [MORE], now=NOW)
    worker.count("iris", 1, looked_at=20, skipped=0, now=1.0)
    worker.refer("iris", 1, "y", digest=NEW, moments=[MORE], now=1.0)
    worker.add_unseen("iris", 1, "y", digest=NEW, unseen=[(1, 1)])
    assert host.read() == {("iris", "1"): VersionFound(columns={("x", 0): live(SOME)})}
