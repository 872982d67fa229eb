"""What the benchmarks make of their measurements: medians, ratios, files, tables and plots."""

import json
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.journal import Journal, OtherRunError, Turn
from bench.measuring import Measurement, keep_quietest
from bench.pages import PAGE, best_others, fill, ratio_lines, table_lines
from bench.plots import Bars, draw_bars, draw_lines
from bench.ratios import Comparison, Ratio, find_ratio, format_ratio, ratios_as_json
from bench.report import format_table, measurement_from_json, summarise, tables_as_json, tables_from_json
from bench.wrk import Load

TURN = Turn(round=0, model="tiny", contestant="quick")


def _measured(
    name: str, requests: int, cpu_seconds: float = 1.0, *, turn: int = 0, errors: int = 0, wrong: int = 0
) -> Measurement:
    load = Load(requests=requests, seconds=2.0, p50_us=100, p90_us=900, p99_us=2500, p999_us=4000, error_count=errors)
    return Measurement(
        contestant=name,
        model="tiny",
        connections=1,
        round=turn,
        load=load,
        cpu_seconds=cpu_seconds,
        foreign_share=0.1 * turn,
        checked_count=10,
        wrong_count=wrong,
    )


SLOW = [_measured("slow", requests, turn=turn) for turn, requests in enumerate((1900, 2000, 9000))]
QUICK = [_measured("quick", 6000, 0.6, errors=1, wrong=2)]


def test_the_table_shows_medians_ratios_and_errors() -> None:
    lines = format_table(summarise([*SLOW, *QUICK]), "slow").splitlines()
    assert lines[1].split() == ["req/s", "x", "cpu", "us", "p99", "ms"]
    assert [line.split() for line in lines[2:]] == [
        ["slow", "1,000", "1.0", "500", "2.50"],
        ["quick", "3,000", "3.0", "100", "2.50", "3", "ERRORS"],
    ]


def test_a_row_says_how_far_its_rounds_lie_apart_and_how_disturbed_the_worst_was() -> None:
    row = summarise(SLOW)["slow"][1]
    assert (row.rounds, row.spread, row.foreign_share, row.checked_count) == (3, 3.55, 0.2, 30)


def test_tables_and_measurements_are_read_back_as_they_were_written() -> None:
    tables = {"tiny": summarise([*SLOW, *QUICK])}
    written = json.loads(json.dumps([tables_as_json(tables), asdict(QUICK[0])]))
    assert (tables_from_json(written[0]), measurement_from_json(written[1])) == (tables, QUICK[0])


def test_the_quietest_attempt_counts_and_answers_for_the_faults_of_all() -> None:
    disturbed, quiet = _measured("a", 100, turn=3, errors=1, wrong=2), _measured("a", 200, turn=1, errors=4)
    kept = keep_quietest([disturbed, quiet])
    assert (kept.load.requests, kept.load.error_count, kept.wrong_count, kept.checked_count) == (200, 5, 2, 20)


def _compare(one: str, other: str, **wanted: float) -> Comparison:
    return Comparison(what="w", model="tiny", one=one, other=other, connections=1, **wanted)  # type: ignore[arg-type]


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    quick = [_measured("quick", requests, turn=turn) for turn, requests in enumerate((3800, 2000, 45000))]
    ratio = find_ratio(_compare("quick", "slow"), [*SLOW, *quick])
    assert ratio is not None
    assert (ratio.low, ratio.value, ratio.high) == (1.0, 2.0, 5.0)


def test_a_round_without_the_other_side_has_no_ratio() -> None:
    assert find_ratio(_compare("quick", "slow"), [_measured("quick", 1, turn=1), _measured("slow", 1, turn=2)]) is None


@pytest.mark.parametrize(
    ("of", "value"),
    [pytest.param("rate", 3.0, id="requests a second"), pytest.param("cpu", 0.2, id="CPU a request")],
)
def test_a_ratio_is_of_what_is_asked_for(of: str, value: float) -> None:
    comparison = Comparison(what="w", model="tiny", one="quick", other="slow", connections=1, of=of)
    ratio = find_ratio(comparison, [SLOW[1], _measured("quick", 6000, 0.6, turn=1)])
    assert ratio is not None
    assert ratio.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        pytest.param({"at_least": 2.0}, "at least 2: met", id="exactly enough"),
        pytest.param({"at_least": 2.5}, "at least 2.5: NOT MET", id="too little"),
        pytest.param({"at_most": 1.1}, "at most 1.1: NOT MET", id="too much"),
    ],
)
def test_a_ratio_says_whether_it_is_what_was_wanted(wanted: dict[str, float], verdict: str) -> None:
    ratio = Ratio(comparison=_compare("a", "b", **wanted), value=2.0, low=1.0, high=3.0)
    assert format_ratio(ratio).endswith(f"2.00  (1.00 to 3.00)   {verdict}")


def test_a_run_that_was_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "below" / "peers.jsonl"
    Journal(path, {"seconds": 2, "connections": (1, 16)}).add(TURN, "abc", QUICK)
    again = Journal(path, {"seconds": 2, "connections": (1, 16)})
    assert (again.turns, again.commits()) == ({TURN: ("abc", QUICK)}, ["abc"])


def test_a_run_does_not_go_on_with_what_was_measured_otherwise(tmp_path: Path) -> None:
    Journal(tmp_path / "peers.jsonl", {"seconds": 2})
    with pytest.raises(OtherRunError):
        Journal(tmp_path / "peers.jsonl", {"seconds": 3})


def test_a_page_keeps_its_words_and_gets_new_figures() -> None:
    page = "words\n<!-- drawn: tails -->\nold | 1\n<!-- end -->\nmore\n<!-- drawn: peers -->\n<!-- end -->\n"
    assert fill(page, {"tails": "new", "peers": "a\nb"}) == (
        "words\n<!-- drawn: tails -->\nnew\n<!-- end -->\nmore\n<!-- drawn: peers -->\na\nb\n<!-- end -->\n"
    )


def test_a_page_is_not_left_with_a_mark_that_nothing_fills() -> None:
    with pytest.raises(KeyError):
        fill("<!-- drawn: peers -->\n<!-- end -->\n", {"tails": "new"})


def test_the_page_has_a_place_for_every_figure_that_is_drawn() -> None:
    drawn = {name: f"figures of {name}" for name in ("conditions", "gateway", "peers", "tails")}
    page = fill(PAGE.read_text(encoding="utf-8"), drawn)
    assert [name for name, figures in drawn.items() if figures not in page] == []


def test_ratios_are_shown_by_server_and_connections() -> None:
    ratio = find_ratio(_compare("quick", "slow"), [*SLOW, _measured("quick", 6000)])
    assert ratio is not None
    assert list(ratio_lines(ratios_as_json([ratio]))) == [
        "| beside | 1 connection |",
        "|---|---|",
        "| slow | 3.16 (3.16 to 3.16) |",
    ]


def test_the_page_compares_the_gateway_with_the_best_of_the_others() -> None:
    ours = [_measured("sardonyx", 9000)]
    assert best_others(summarise([*ours, *SLOW, *QUICK])) == "1.50 times quick at 1 connection"


def test_a_table_of_the_page_says_who_refused_requests() -> None:
    lines = list(table_lines(summarise([*SLOW, *QUICK])))
    assert lines[2:] == ["| slow | 1,000 | 500 | 2.5 |", "| quick (1 refused or broken) | 3,000 | 100 | 2.5 |"]


def _widths(drawing: str) -> list[float]:
    rectangles = ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}rect")  # noqa: S314  our own
    return [float(one.attrib["width"]) for one in rectangles]


def test_bars_are_as_long_as_their_figures() -> None:
    drawing = draw_bars("t", ["one"], [Bars("a & b", [1000.0]), Bars("c", [250.0]), Bars("d", [None])])
    _ground, _legend, longest, quarter = _widths(drawing)
    assert (longest, "a &amp; b" in drawing) == (pytest.approx(4 * quarter), True)


def test_lines_are_drawn_on_logarithmic_axes() -> None:
    drawing = draw_lines("t", "x", "y", {"a": [(100, 1.0), (1000, 10.0), (10000, 100.0)]})
    circles = ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}circle")  # noqa: S314  our own
    places = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in circles]
    assert places[0][0] + places[2][0] == pytest.approx(2 * places[1][0])
    assert places[0][1] > places[1][1] > places[2][1]
