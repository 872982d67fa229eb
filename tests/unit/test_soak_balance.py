"""The soak is worth something only if it notices what has grown."""

import pytest

from bench.soak_balance import Highest, Line, balance, middle, table

MIB = 1 << 20


@pytest.mark.parametrize(
    ("measure", "start", "end", "is_balanced"),
    [
        ("PSS of all, bytes", 100 * MIB, 110 * MIB, True),
        ("PSS of all, bytes", 100 * MIB, 111 * MIB, False),
        ("PSS of all, bytes", 100 * MIB, 20 * MIB, True),
        ("PSS of all, bytes", 1 * MIB, 2 * MIB, True),
        ("threads of all", 40, 42, True),
        ("threads of all", 40, 43, False),
        ("threads of all", 40, 37, False),
        ("temporary files", 0, 2, True),
        ("temporary files", 0, 3, False),
    ],
)
def test_memory_may_grow_by_a_tenth_and_all_else_by_two(
    measure: str, start: int, end: int, *, is_balanced: bool
) -> None:
    assert Line(measure=measure, start=start, highest=1000 * MIB, end=end).is_balanced is is_balanced


def test_a_moment_is_the_median_of_its_readings() -> None:
    assert middle([{"threads": 5, "files": 0}, {"threads": 90, "files": 1}, {"threads": 6, "files": 0}]) == {
        "threads": 6,
        "files": 0,
    }


def test_the_highest_is_kept_of_each_measure() -> None:
    highest = Highest()
    for reading in ({"threads": 5, "files": 7}, {"threads": 9, "files": 0}):
        highest.add(reading)
    assert highest.values == {"threads": 9, "files": 7}


def test_each_measure_gets_a_line() -> None:
    assert balance({"threads": 5.0, "files": 0.0}, {"threads": 9, "files": 7}, {"threads": 6.0, "files": 4.0}) == [
        Line(measure="threads", start=5, highest=9, end=6),
        Line(measure="files", start=0, highest=7, end=4),
    ]


def test_the_table_shows_megabytes_and_points_at_what_has_grown() -> None:
    lines = [
        Line(measure="PSS of all, bytes", start=1e8, highest=3.5e8, end=1.04e8),
        Line(measure="threads of all", start=70, highest=80, end=77),
    ]
    assert table(lines).splitlines() == [
        "                                     start   highest       end",
        "PSS of all, MB                       100.0     350.0     104.0",
        "threads of all                          70        80        77   not where it began",
    ]
