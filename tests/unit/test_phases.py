"""What the time of predictions goes to: counted, merged, shown, and cut into spans."""

import pytest

from gateway.metrics import Metrics
from gateway.phases import Moments, Phase, PhaseCounts, PhaseSlots, Times, spans_of
from gateway.shared_counts import Board, BoardReader, Counts
from tests.support.scrapes import Scrape, read_scrape

NAME = "sardonyx_phase_seconds"
IRIS = {"model": "iris", "version": "1"}
PARTED: Times = (1.0, 1.25, 1.75, 3.75, 4.0)
"""Half a second and a bit of waiting in between, beside what comes before and after."""


def shown_by(metrics: Metrics) -> Scrape:
    metrics.publish()
    return read_scrape(metrics.render().decode())


def quick(*, started: float = 0.0) -> tuple[float, Times, float]:
    """A prediction of 1, 2, 3 and 4 ten-thousandths of a second."""
    at = [started + sum(range(1, end)) * 1e-4 for end in (2, 3, 4, 5)]
    return started, (at[0], at[1], at[1], at[2], at[2]), at[3]


def counts_of(scrape: Scrape, **labels: str) -> dict[str, float]:
    return scrape.by("phase", f"{NAME}_count", **(labels or IRIS))


def sums_of(scrape: Scrape) -> dict[str, float]:
    return {phase: round(value, 9) for phase, value in scrape.by("phase", f"{NAME}_sum", **IRIS).items()}


def test_the_phases_of_a_prediction_add_up_to_its_whole_and_what_is_no_other_phase_is_waiting() -> None:
    metrics = Metrics()
    metrics.phases_of("iris", 1).add(0.5, PARTED, 4.125, load_seconds=0.25)
    scrape = shown_by(metrics)
    assert sums_of(scrape) == {"queue": 1.0, "load": 0.25, "decode": 0.25, "run": 2.0, "encode": 0.125}
    assert sum(sums_of(scrape).values()) == 4.125 - 0.5


def test_every_prediction_has_every_phase_and_those_that_waited_for_a_load_have_one_more() -> None:
    metrics = Metrics()
    phases = metrics.phases_of("iris", 1)
    for _ in range(3):
        phases.add(*quick())
    phases.add(0.5, PARTED, 4.125, load_seconds=0.25)
    phases.add(0.5, PARTED, 4.125, count=5)
    assert counts_of(shown_by(metrics)) == {"queue": 9, "decode": 9, "run": 9, "encode": 9, "load": 1}


def test_each_phase_is_in_the_bucket_of_its_own_time() -> None:
    metrics = Metrics()
    phases = metrics.phases_of("iris", 1)
    phases.add(*quick())
    phases.add(0.0, (0.05, 0.052, 0.052, 2.052, 2.052), 2.0525)
    buckets = {
        phase: shown_by(metrics).by("le", f"{NAME}_bucket", phase=phase, **IRIS)
        for phase in ("queue", "decode", "run", "encode")
    }
    assert buckets == {
        "queue": {"0.001": 1, "0.01": 1, "0.1": 2, "1.0": 2, "+Inf": 2},
        "decode": {"0.001": 1, "0.01": 2, "0.1": 2, "1.0": 2, "+Inf": 2},
        "run": {"0.001": 1, "0.01": 1, "0.1": 1, "1.0": 1, "+Inf": 2},
        "encode": {"0.001": 2, "0.01": 2, "0.1": 2, "1.0": 2, "+Inf": 2},
    }


def test_every_worker_shows_the_phases_of_all_and_those_of_a_dead_one_stay() -> None:
    boards = [Board.create() for _ in range(2)]
    for own, times in ((0, 2), (1, 3), (1, 4)):  # the third takes the second's place
        phases = Metrics(boards, own).phases_of("iris", 1)
        for _ in range(times):
            phases.add(*quick())
        boards[own].end_states()
    shown = [shown_by(Metrics(boards, own)) for own in range(2)]
    assert counts_of(shown[0]) == counts_of(shown[1]) == dict.fromkeys(("queue", "decode", "run", "encode"), 9)


def test_versions_that_nobody_has_asked_take_no_room() -> None:
    board = Board.create()
    metrics = Metrics([board])
    before = [key for key, _ in BoardReader(board).read()]
    metrics.phases_of("iris", 1)
    assert [key for key, _ in BoardReader(board).read()] == before
    assert NAME + "_count" not in shown_by(metrics).text


def test_versions_beyond_the_limit_are_counted_together_also_by_the_worker_that_comes_after() -> None:
    board = Board.create()
    for _ in range(2):
        slots = PhaseSlots(Counts(board), most=2)
        for number in range(1, 5):
            PhaseCounts(slots, "iris", str(number)).add(*quick())
    scrape = shown_by(Metrics([board]))
    counts = [
        scrape.value(f"{NAME}_count", phase="run", model=model, version=version)
        for model, version in (("iris", "1"), ("iris", "2"), ("iris", "3"), ("", ""))
    ]
    assert counts == [2, 2, 0, 4]


@pytest.mark.parametrize("text", ['quo"te', "back\\slash", "100%d", "line\nbreak"])
def test_no_name_breaks_the_text(text: str) -> None:
    metrics = Metrics()
    metrics.phases_of(text, 1).add(*quick())
    assert counts_of(shown_by(metrics), model=text, version="1")["run"] == 1


def test_the_spans_of_a_prediction_leave_no_gap_and_last_as_long_as_is_counted() -> None:
    moments = Moments()
    moments.times = PARTED
    moments.load_ended, moments.load_seconds = 1.5, 0.125
    spans = spans_of(moments, 0.5, 4.125)
    assert spans == [
        (Phase.QUEUE, 0.5, 1.0),
        (Phase.DECODE, 1.0, 1.25),
        (Phase.QUEUE, 1.25, 1.375),
        (Phase.LOAD, 1.375, 1.5),
        (Phase.QUEUE, 1.5, 1.75),
        (Phase.RUN, 1.75, 3.75),
        (Phase.QUEUE, 3.75, 4.0),
        (Phase.ENCODE, 4.0, 4.125),
    ]
    metrics = Metrics()
    metrics.phases_of("iris", 1).add(0.5, PARTED, 4.125, load_seconds=0.125)
    told = {str(phase): sum(end - began for it, began, end in spans if it is phase) for phase in Phase}
    assert sums_of(shown_by(metrics)) == told


def test_one_that_has_failed_ends_in_the_phase_that_it_failed_in() -> None:
    moments = Moments()
    moments.decode_began = 1.0
    assert spans_of(moments, 0.5, 2.0) == [(Phase.QUEUE, 0.5, 1.0), (Phase.DECODE, 1.0, 2.0)]
    moments.decode_ended, moments.run_began = 1.25, 1.5
    assert spans_of(moments, 0.5, 2.0)[1:] == [
        (Phase.DECODE, 1.0, 1.25),
        (Phase.QUEUE, 1.25, 1.5),
        (Phase.RUN, 1.5, 2.0),
    ]
    assert spans_of(Moments(), 0.5, 2.0) == [(Phase.QUEUE, 0.5, 2.0)]
