"""Which runs are found to take too much memory."""

from gateway.serving.deadlines import WatchedRun
from gateway.serving.greed import Greed


class Silent:
    """A run that may be cancelled."""

    def cancel(self, *, is_for_memory: bool = False) -> None:
        raise AssertionError(is_for_memory)


class Process:
    """A process whose memory is set by hand."""

    def __init__(self) -> None:
        self.size_bytes = 1000
        self.greed = Greed(lambda: self.size_bytes, most_bytes=100)


def run(*, is_bounded: bool) -> WatchedRun:
    return 1.0, Silent(), is_bounded


def test_a_run_is_named_once_the_process_has_grown_by_more_than_it_may_since_it_was_first_seen() -> None:
    process, growing = Process(), run(is_bounded=False)
    found = []
    for size_bytes in (1000, 1100, 1101):
        process.size_bytes = size_bytes
        found.append(list(process.greed([growing])))
    assert found == [[], [], [growing]]


def test_a_run_whose_input_bounds_it_is_never_named() -> None:
    process, bounded = Process(), run(is_bounded=True)
    for size_bytes in (1000, 9000):
        process.size_bytes = size_bytes
        assert list(process.greed([bounded])) == []


def test_each_run_is_held_against_what_there_was_when_it_began() -> None:
    process, early, late = Process(), run(is_bounded=False), run(is_bounded=False)
    process.greed([early])
    process.size_bytes = 1090
    process.greed([early, late])
    process.size_bytes = 1110
    assert list(process.greed([early, late])) == [early]


def test_a_run_that_comes_after_a_pause_is_held_against_what_there_is_then() -> None:
    process, one = Process(), run(is_bounded=False)
    process.greed([one])
    process.greed([])
    process.size_bytes = 5000
    assert list(process.greed([one])) == []


def two_under_way(process: Process) -> tuple[WatchedRun, WatchedRun]:
    """Return a run that has been under way without harm, and one that comes and takes too much."""
    early, late = run(is_bounded=False), run(is_bounded=False)
    process.greed([early])
    process.greed([late, early])
    process.size_bytes = 1101
    assert list(process.greed([late, early])) == [late]
    return early, late


def test_of_several_that_have_seen_it_grow_the_last_one_is_named_until_it_ends() -> None:
    process = Process()
    early, late = two_under_way(process)
    process.size_bytes = 1901
    assert list(process.greed([early, late])) == [late]


def test_if_it_grows_by_eight_times_as_much_meanwhile_the_one_before_is_named_as_well() -> None:
    process = Process()
    early, late = two_under_way(process)
    process.size_bytes = 1902
    assert list(process.greed([early, late])) == [late, early]


def test_a_run_that_is_there_each_time_is_named_before_another_one_that_has_just_come() -> None:
    process = Process()
    early, _ = two_under_way(process)
    later = run(is_bounded=False)
    process.greed([early, later])
    process.size_bytes = 1202
    assert list(process.greed([early, later])) == [early]


def test_when_whoever_was_named_has_ended_the_others_are_held_against_what_there_is_then() -> None:
    process = Process()
    early, _ = two_under_way(process)
    found = [list(process.greed([early]))]
    for size_bytes in (1201, 1202):
        process.size_bytes = size_bytes
        found.append(list(process.greed([early])))
    assert found == [[], [], [early]]
