"""The open-loop generator: what is due when, what latency means, and what it makes of a server's answers."""

import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise

import pytest

from bench.open_loop import OpenLoop, Outcome, answer_length, make_request, make_schedule, percentile
from bench.tails import Tail, _body, keep_quietest, summarise

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_a_schedule_is_a_poisson_process_of_its_rate() -> None:
    moments = make_schedule(1000, 20, seed=1)
    gaps = [after - before for before, after in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert (len(moments), mean, deviation) == (
        pytest.approx(20_000, rel=0.03),
        pytest.approx(0.001, rel=0.03),
        pytest.approx(0.001, rel=0.05),
    )


def test_a_schedule_is_the_same_for_every_server() -> None:
    assert make_schedule(100, 2, seed=3) == make_schedule(100, 2, seed=3)


def test_a_schedule_ends_in_time() -> None:
    assert 0 < max(make_schedule(1000, 2, seed=0)) < 2


@pytest.mark.parametrize(
    ("share", "value"),
    [(0.5, 50), (0.9, 90), (0.99, 99), (0.999, 100), (1.0, 100)],
)
def test_a_percentile_is_a_value_that_was_seen(share: float, value: int) -> None:
    assert percentile(range(1, 101), share) == value


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))


LENGTHS = {
    "a head that is not complete": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", 0),
    "a length": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", 40),
    "a length in the midst, in capitals": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\n", 46),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -1),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", 27),
}


@pytest.mark.parametrize(("received", "length"), LENGTHS.values(), ids=LENGTHS.keys())
def test_the_length_of_an_answer_is_read_from_its_head(received: bytes, length: int) -> None:
    assert answer_length(received) == length


def test_chunks_are_joined() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert _body(head + b"3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n") == b"[1,2]"


@contextmanager
def _server(answer: Callable[[int], bytes]) -> Iterator[int]:
    """Answer on one connection after the other, by the number of the request; b"" closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            number = 0
            while not over.is_set():
                connection, _ = listening.accept()
                with connection:
                    while connection.recv(1 << 16):
                        reply = answer(number)
                        number += 1
                        if not reply:
                            break
                        connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            socket.create_connection(listening.getsockname()).close()
            thread.join()


def _run(port: int, moments: list[float]) -> Outcome:
    requests = [make_request("/", b"{}", port, {}) for _ in range(2)]
    with closing(OpenLoop(port, requests, connection_count=1)) as loop:
        return loop.run(moments)


def test_every_request_is_sent_and_its_answer_kept_by_body() -> None:
    with _server(lambda _: ANSWER) as port:
        outcome = _run(port, [0.0, 0.001, 0.002])
    assert (len(outcome.latencies), outcome.failures, outcome.kept, outcome.is_overloaded) == (
        3,
        0,
        [(0, ANSWER), (1, ANSWER), (0, ANSWER)],
        False,
    )


def test_what_a_stall_delays_is_charged_to_the_server() -> None:
    let_go = threading.Event()
    timer = threading.Timer(0.2, let_go.set)

    def answer(number: int) -> bytes:
        if number == 0:
            timer.start()
            let_go.wait()
        return ANSWER

    with _server(answer) as port:
        outcome = _run(port, [0.0, 0.01, 0.02])
    assert [latency > 0.15 for latency in outcome.latencies] == [True, True, True]
    assert len(outcome.lateness) == 1  # the other two had no connection: that is not the generator's doing


def test_refusals_and_broken_connections_are_failures_and_the_rest_goes_on() -> None:
    answers = [b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n", b"", ANSWER]
    with _server(lambda number: answers[number]) as port:
        outcome = _run(port, [0.0, 0.001, 0.002])
    assert (outcome.failures, len(outcome.latencies)) == (2, 1)


def test_a_server_that_falls_behind_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.open_loop.GIVE_UP_SECONDS", 0.05)
    let_go = threading.Event()

    def answer(_: int) -> bytes:
        let_go.wait()
        return ANSWER

    with _server(answer) as port:
        outcome = _run(port, [0.0, 0.001])
        let_go.set()
    assert (outcome.is_overloaded, outcome.latencies) == (True, [])


def _tail(p99_us: float, *, is_overloaded: bool = False, foreign_share: float = 0.0) -> Tail:
    return Tail(
        contestant="a",
        model="tiny",
        rate=100,
        round=0,
        answered_per_second=100.0,
        p50_us=1.0,
        p90_us=2.0,
        p99_us=p99_us,
        p999_us=9.0,
        generator_late_p99_us=0.1,
        foreign_share=foreign_share,
        failures=1,
        wrong_count=0,
        is_overloaded=is_overloaded,
    )


def test_one_overloaded_round_marks_the_row() -> None:
    row = summarise([_tail(3.0), _tail(5.0, is_overloaded=True), _tail(4.0)])
    assert (row.round, row.p99_us, row.failures, row.is_overloaded) == (3, 4.0, 3, True)


def test_the_quietest_attempt_counts_and_answers_for_the_failures_of_all() -> None:
    kept = keep_quietest([_tail(9.0, foreign_share=0.6), _tail(3.0, foreign_share=0.1)])
    assert (kept.p99_us, kept.failures) == (3.0, 2)
