"""The hostile run is worth something only if it forgives what a death costs, and nothing else."""

import math

import pytest

from bench.hostile_judgement import (
    Asked,
    deaths_in,
    has_held_out,
    is_back,
    is_forgiven,
    most_latency,
    outcome_of,
    percentile_of,
    unforgiven,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b'{"outputs": {}}', "200"),
        (201, b"", "201"),
        (422, b'{"code": "invalid_model"}', "422 invalid_model"),
        (502, b"<html>", "502 without a code"),
        (500, b"[]", "500 without a code"),
        (500, b"{}", "500 without a code"),
    ],
)
def test_an_outcome_is_a_status_and_its_code(status: int, body: bytes, words: str) -> None:
    assert outcome_of(status, body) == words


def test_deaths_are_read_from_the_log_as_far_as_it_is_written() -> None:
    log = (
        b'{"event": "worker_died", "timestamp": "1970-01-01T00:00:05.5Z"}\n'
        b'{"event": "prepared", "timestamp": "1970-01-01T00:00:06Z"}\n'
        b'{"event": "worker_died", "timest'
    )
    assert deaths_in(log) == [5.5]


@pytest.mark.parametrize(
    ("began", "ended", "is_due"),
    [
        (99.5, 99.9, True),  # seen before the supervisor wrote it down
        (99.5, 101.0, True),
        (99.5, 102.5, False),  # too late to be its death
        (90.0, 97.0, False),  # too early
        (100.1, 100.2, False),  # began when the worker was gone already
    ],
)
def test_a_reset_is_forgiven_beside_a_death(began: float, ended: float, *, is_due: bool) -> None:
    assert is_forgiven(began, ended, [10.0, 100.0]) is is_due


def test_nothing_but_resets_is_forgiven() -> None:
    right = Asked(99.0, 99.9, 0.9)
    reset = Asked(99.0, 99.9, 0.9, "reset")
    refused = Asked(99.0, 99.9, 0.9, "503 model_crashed")
    lonely = Asked(50.0, 50.1, 0.1, "reset")
    assert unforgiven([right, reset, refused, lonely], [100.0]) == [refused, lonely]


def test_latencies_are_those_of_right_answers() -> None:
    asked = [Asked(0, 0, 0.001 * number) for number in range(1, 101)] + [Asked(0, 0, 9.0, "reset")]
    assert (percentile_of(asked, 0.5), percentile_of(asked, 0.99)) == (0.050, 0.099)
    assert math.isnan(percentile_of([], 0.99))


def test_good_answers_may_take_twice_as_long_and_fifty_milliseconds_in_any_case() -> None:
    assert (most_latency(0.004), most_latency(0.040)) == (0.050, 0.080)


@pytest.mark.parametrize(
    ("measure", "before", "after", "is_there"),
    [
        ("PSS of all, bytes", 100 * MIB, 110 * MIB, True),
        ("PSS of all, bytes", 100 * MIB, 111 * MIB, False),
        ("PSS of all, bytes", 100 * MIB, 10 * MIB, True),
        ("temporary files", 0, 2, True),
        ("temporary files", 0, 3, False),
        ("threads of all", 60, 66, True),
        ("threads of all", 60, 67, False),
        ("threads of all", 60, 40, True),
    ],
)
def test_what_is_held_at_rest_may_grow_by_a_tenth_or_by_two(
    measure: str, before: int, after: int, *, is_there: bool
) -> None:
    assert is_back(measure, before, after) is is_there


@pytest.mark.parametrize(
    ("good", "bad", "seconds", "has"),
    [(600, 0, 30, True), (599, 0, 30, False), (990, 10, 30, True), (989, 11, 30, False), (0, 0, 0, False)],
)
def test_a_user_has_held_out_with_twenty_answers_a_second_and_ninety_nine_in_a_hundred(
    good: int, bad: int, seconds: float, *, has: bool
) -> None:
    assert has_held_out(good, bad, seconds) is has
