"""Counts of several workers, as one scrape shows them."""

import os
from math import isnan, nan

from gateway.metrics import CONNECTIONS, Merge, Metrics, Reading
from gateway.shared_counts import Board, BoardReader, Counts


def lines_of(metrics: Metrics) -> list[str]:
    metrics.publish()
    return metrics.render().decode().splitlines()


def test_metrics_count_outcomes_and_times_by_version() -> None:
    metrics = Metrics()
    metrics.of_version("iris", 3).add("ok", 0.002)
    metrics.of_version("iris", 3).add("ok", 0.3)
    metrics.of_version("iris", 3).add("invalid_shape", 0.0001)
    metrics.watch(lambda: [Reading("sardonyx_resident_bytes", "Bytes", 42)])
    lines = lines_of(metrics)
    assert 'sardonyx_predict_requests_total{code="ok",model="iris",version="3"} 2.0' in lines
    assert 'sardonyx_predict_requests_total{code="invalid_shape",model="iris",version="3"} 1.0' in lines
    assert 'sardonyx_predict_seconds_bucket{le="0.0025",model="iris",version="3"} 2.0' in lines
    assert 'sardonyx_predict_seconds_bucket{le="+Inf",model="iris",version="3"} 3.0' in lines
    assert 'sardonyx_predict_seconds_count{model="iris",version="3"} 3.0' in lines
    assert "sardonyx_resident_bytes 42.0" in lines


def test_every_worker_shows_the_sum_of_all() -> None:
    boards = [Board.create() for _ in range(3)]
    workers = [Metrics(boards, own) for own in range(3)]
    for number, worker in enumerate(workers):
        for _ in range(number + 1):
            worker.of_version("iris", 1).add("ok", 0.002)
    workers[2].of_version("wine", 1).add("ok", 0.002)
    workers[0].control.add("invalid_name", 0.1)
    shown = [lines_of(worker) for worker in workers]
    assert shown[0] == shown[1] == shown[2]
    assert 'sardonyx_predict_requests_total{code="ok",model="iris",version="1"} 6.0' in shown[0]
    assert 'sardonyx_predict_seconds_bucket{le="0.0025",model="iris",version="1"} 6.0' in shown[0]
    assert 'sardonyx_predict_requests_total{code="ok",model="wine",version="1"} 1.0' in shown[0]
    assert 'sardonyx_control_requests_total{code="invalid_name"} 1.0' in shown[0]


def test_states_are_added_up_or_the_least_or_greatest_is_shown() -> None:
    boards = [Board.create() for _ in range(2)]
    workers = [Metrics(boards, own, lambda: 10.0) for own in range(2)]
    for worker, value in zip(workers, (3.0, 5.0), strict=True):
        worker.watch(lambda value=value: [Reading(str(merge), "words", value, merge) for merge in Merge])  # type: ignore[misc]
        worker.publish()
    shown = [line for line in lines_of(workers[1]) if line.startswith(tuple(Merge))]
    assert shown == ["count_total 8.0", "sum 8.0", "least 3.0", "greatest 5.0", "oldest 7.0"]


def test_a_worker_that_takes_the_place_of_a_dead_one_counts_on() -> None:
    boards = [Board.create()]
    for _ in range(3):
        metrics = Metrics(boards)
        metrics.watch(lambda: [Reading("loads", "words", 2, Merge.COUNT), Reading("resident", "words", 2)])
        metrics.of_version("iris", 1).add("ok", 0.002)
        metrics.publish()
        metrics.publish()
    lines = lines_of(metrics)
    assert 'sardonyx_predict_requests_total{code="ok",model="iris",version="1"} 3.0' in lines
    assert "loads_total 6.0" in lines
    assert "resident 2.0" in lines


def test_the_state_of_a_worker_that_has_ended_is_shown_no_more_and_its_counts_are() -> None:
    boards = [Board.create() for _ in range(2)]
    workers = [Metrics(boards, own, lambda: 10.0) for own in range(2)]
    for worker, value in zip(workers, (3.0, 5.0), strict=True):
        worker.watch(lambda value=value: [Reading(str(merge), "words", value, merge) for merge in Merge])  # type: ignore[misc]
        worker.publish()
    boards[0].end_states()
    shown = [line for line in lines_of(workers[1]) if line.startswith(tuple(Merge))]
    assert shown == ["count_total 8.0", "sum 5.0", "least 5.0", "greatest 5.0", "oldest 5.0"]


def test_what_a_worker_has_written_grows_old_where_it_writes_no_more() -> None:
    boards = [Board.create() for _ in range(2)]
    now = 100.0
    stuck, well = (Metrics(boards, own, lambda: now) for own in range(2))
    for worker in (stuck, well):
        worker.watch(lambda: [Reading("age", "words", now, Merge.OLDEST)])
        worker.publish()
    now = 160.0
    well.publish()
    assert "age 60.0" in well.render().decode().splitlines()
    assert well.totals() == {"age": 60.0}


def test_each_worker_knows_how_many_connections_those_that_live_and_take_any_have_in_use() -> None:
    boards = [Board.create() for _ in range(5)]  # the last is nobody's yet
    workers = [Metrics(boards, own) for own in range(4)]

    def said() -> list[float | None]:
        return [None if isnan(value) else value for value in workers[0].connections_of_all()]

    known = [said()]
    for worker, value in zip(workers, (3.0, 5.0, 7.0, nan), strict=True):
        worker.watch(lambda value=value: [Reading(CONNECTIONS, "words", value)])  # type: ignore[misc]
        worker.publish()
        known.append(said())
    boards[1].end_states()
    known.append(said())
    none = [None] * 5
    three = [3.0, 5.0, 7.0, None, None]
    assert known == [none, [3.0, *none[1:]], [3.0, 5.0, *none[2:]], three, three, [3.0, None, 7.0, None, None]]


def test_a_key_that_its_writer_did_not_live_to_finish_is_written_again() -> None:
    board = Board.create()
    first = Counts(board)
    first.numbers[first.slot("whole")] = 1.0
    os.pwrite(board.keys, b'[65,1,"ha', os.fstat(board.keys).st_size)
    second = Counts(board)
    second.numbers[second.slot("another")] = 2.0
    assert dict(BoardReader(board).read()) == {("whole",): [1.0], ("another",): [2.0]}


def test_a_board_that_is_full_keeps_what_it_has() -> None:
    board = Board.create()
    counts = Counts(board)
    counts.numbers[counts.slot("first")] = 1.0
    assert counts.slot("large", width=len(counts.numbers) - 66) > 0
    assert counts.slot("last", "one") > 0
    counts.numbers[counts.slot("too", "many")] += 5.0
    assert [key for key, _ in BoardReader(board).read()] == [("first",), ("large",), ("last", "one")]
    assert dict(BoardReader(board).read())["first",] == [1.0]


def test_keys_of_any_text_come_back() -> None:
    board = Board.create()
    Counts(board).slot("a\nb", "\u2713", "")
    assert [key for key, _ in BoardReader(board).read()] == [("a\nb", "\u2713", "")]


def test_readings_of_all_workers_are_put_together_by_name() -> None:
    boards = [Board.create() for _ in range(2)]
    workers = [Metrics(boards, own) for own in range(2)]
    for number, worker in enumerate(workers, start=1):
        worker.watch(
            lambda number=number: [
                Reading("hits", "Hits", 10 * number, Merge.COUNT),
                Reading("bytes", "Bytes", number),
                Reading("applied", "Applied", number, Merge.LEAST),
            ]
        )
        worker.publish()
    workers[0].of_version("iris", 1).add("ok", 0.002)
    assert [worker.totals() for worker in workers] == [{"hits": 30.0, "bytes": 3.0, "applied": 1.0}] * 2
