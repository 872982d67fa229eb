import json

import pytest

from gateway.cli.output import Output, align, plain, spell_bytes, spell_time


def test_with_json_stdout_holds_one_value_and_words_go_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.say("moved")
    output.table(["A"], [["row"]])
    output.data({"ü": [1, None]})

    printed = capsys.readouterr()
    assert (json.loads(printed.out), printed.err) == ({"ü": [1, None]}, "moved\n")


def test_without_json_words_and_tables_are_on_stdout_and_cells_are_never_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output()
    output.data({"hidden": True})
    output.say("found")
    output.table(["NAME", "LATEST", "NOTE"], [["iris", 3, "x" * 200], ["a-longer-name", None, "[red]two\nlines"]])

    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "found",
        "NAME           LATEST  NOTE",
        "iris           3       " + "x" * 200,
        "a-longer-name          [red]two lines",
    ]
    assert printed.err == ""


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert plain("a\x1b[31mb\rc\x9bd\ne") == "a\\x1b[31mb\\x0dc\\x9bd\ne"


def test_a_bar_is_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress("sending") as move:
        assert move is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (9_500_000, "9.1 MiB"), (3 * 1024**4, "3072.0 GiB")],
)
def test_sizes_are_spelt_for_people(size_bytes: int, words: str) -> None:
    assert spell_bytes(size_bytes) == words


def test_times_are_spelt_to_the_second() -> None:
    assert spell_time("2026-11-22T03:00:01.123456Z") == "2026-11-22 03:00:01"


def test_the_last_column_has_no_blanks_behind_it() -> None:
    assert align([["a", "bb"], ["ccc", ""]]) == ["a    bb", "ccc"]
