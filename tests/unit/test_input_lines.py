"""What requests bring, as a scrape shows it: of each input, and only where it may be told."""

from time import monotonic

from gateway.input_board import InputBoard
from gateway.input_lines import lines_of_inputs
from gateway.metrics import Metrics
from gateway.shared_counts import Board
from registry.input_statistics import Moments
from tests.support.scrapes import Scrape, read_scrape

LIVE = Moments(requests=20, count=22, finite=20, mean=5.0, squares=40.0, nan=2)
EXAMPLES = Moments(requests=2, count=4, finite=4, mean=1.0, squares=16.0)
IRIS = {"model": "iris", "version": "1"}
DIGEST = "c" * 64


def shown_by(metrics: Metrics) -> Scrape:
    return read_scrape(metrics.render().decode())


def inputs_of(scrape: Scrape) -> dict[str, float]:
    """Every sample about inputs, by its name and its input."""
    return {
        f"{name} {dict(labels).get('input', '')}".strip(): value
        for (name, labels), value in scrape.samples.items()
        if name.startswith("sardonyx_input")
    }


def test_a_scrape_shows_each_input_with_all_its_columns_and_workers_together() -> None:
    boards = [Board.create() for _ in range(2)]
    workers = [Metrics(boards, own) for own in range(2)]
    for worker in workers:
        board = InputBoard(worker.counts)
        board.add("iris", 1, "x", [LIVE, LIVE], now=monotonic())
        board.add("iris", 1, "city", [Moments(requests=20, count=20)], now=monotonic())
        board.add_unseen("iris", 1, "city", digest=DIGEST, unseen=[(20, 3)])
        board.refer("iris", 1, "x", digest=DIGEST, moments=[EXAMPLES, LIVE], now=1.0)
        board.count("iris", 1, looked_at=25, skipped=4, now=1.0)
    workers[0].show(lines_of_inputs)
    assert inputs_of(shown_by(workers[0])) == {
        "sardonyx_input_looked_at_requests_total": 50,
        "sardonyx_input_skipped_requests_total": 8,
        "sardonyx_input_requests_total x": 40,
        "sardonyx_input_requests_total city": 40,
        "sardonyx_input_values_total x": 88,
        "sardonyx_input_values_total city": 40,
        "sardonyx_input_nan_values_total x": 8,
        "sardonyx_input_nan_values_total city": 0,
        "sardonyx_input_unseen_strings_total x": 0,
        "sardonyx_input_unseen_strings_total city": 6,
        "sardonyx_input_shift x": 2.0,
    }


def test_of_a_version_that_few_have_asked_only_their_number_is_shown() -> None:
    metrics = Metrics()
    metrics.show(lines_of_inputs)
    board = InputBoard(metrics.counts)
    board.refer("iris", 1, "x", digest=DIGEST, moments=[EXAMPLES], now=1.0)
    board.count("iris", 1, looked_at=3, skipped=0, now=1.0)
    assert inputs_of(shown_by(metrics)) == {
        "sardonyx_input_looked_at_requests_total": 3,
        "sardonyx_input_skipped_requests_total": 0,
    }


def test_a_gateway_that_looks_at_no_inputs_says_nothing_of_them() -> None:
    metrics = Metrics()
    InputBoard(metrics.counts).add("iris", 1, "x", [LIVE], now=monotonic())
    assert "sardonyx_input" not in shown_by(metrics).text


def test_the_name_of_an_input_is_written_as_the_format_wants_it() -> None:
    metrics = Metrics()
    metrics.show(lines_of_inputs)
    InputBoard(metrics.counts).add("iris", 1, 'a "b" \\c', [LIVE], now=monotonic())
    assert shown_by(metrics).value("sardonyx_input_values_total", **IRIS, input='a "b" \\c') == 22
