"""What the commands say about what they did."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from gateway.cli.app import app
from gateway.cli.models import spell_aliases, spell_standing
from gateway.cli.moves import move_lines, parse_time
from gateway.cli.register import curl_line, parse_tags, version_lines
from gateway.cli.trials import canary_lines, report_lines, shadow_lines
from gateway.client import VersionInfo

MOVE = {"alias": "production", "from": 2, "to": 3, "kind": "promote", "actor": "a", "reason": "", "at": "t"}


def moved(**changes: Any) -> dict[str, Any]:
    move = {**MOVE, **changes}
    return {"model": "iris", "alias": move["alias"], "version": move["to"], "sequence": 9, "move": move}


@pytest.mark.parametrize(
    ("answer", "url", "lines"),
    [
        (moved(), None, ["iris@production: 2 -> 3", "Undo with  sardonyx rollback iris"]),
        (
            moved(alias="staging"),
            "http://h",
            ["iris@staging: 2 -> 3", "Undo with  sardonyx rollback iris --alias staging --url http://h"],
        ),
        (moved(**{"from": None}), None, ["iris@production: nothing -> 3"]),
        (
            moved(kind="rollback", **{"from": 3, "to": 2}),
            None,
            ["iris@production: 3 -> 2", "Go back with  sardonyx promote iris 3"],
        ),
        (
            {**moved(), "move": None},
            None,
            ["iris@production points at version 3 already; nothing has moved"],
        ),
    ],
    ids=["a promotion", "of another alias elsewhere", "the first", "a rollback", "nothing new"],
)
def test_a_move_says_from_where_to_where_and_how_to_take_it_back(
    answer: dict[str, Any], url: str | None, lines: list[str]
) -> None:
    assert list(move_lines(answer, url)) == lines


def test_a_canary_says_its_share_and_how_to_drop_it() -> None:
    changed = {"model": "iris", "alias": "production", "version": 3, "canary": {"version": 4, "percent": 12.5}}

    assert list(canary_lines(changed, None)) == [
        "iris@production: 12.5 % -> 4, the rest -> 3",
        "Undo with  sardonyx canary iris --drop",
    ]
    assert list(canary_lines({**changed, "canary": None}, None)) == ["iris@production: every request -> 3"]


def test_a_shadow_says_its_share_who_answers_and_how_to_see_and_drop_it() -> None:
    changed = {"model": "iris", "alias": "staging", "version": 3, "shadow": {"version": 4, "percent": 12.5, "trial": 9}}

    assert list(shadow_lines(changed, "http://h")) == [
        "iris@staging: copies of 12.5 % -> 4; 3 answers",
        "See with   sardonyx shadow iris --alias staging --url http://h",
        "Undo with  sardonyx shadow iris --drop --alias staging --url http://h",
    ]
    assert list(shadow_lines({**changed, "shadow": None}, None)) == ["iris@staging: nothing is copied"]


SCORES = {
    "name": "scores",
    "compared": 1200,
    "same": 1200,
    "incomparable": 0,
    "max_difference": 0.0,
    "mean_difference": 0.0,
    "rows": 0,
    "changed": 0,
}


def trial(*outputs: dict[str, Any], **report: Any) -> dict[str, Any]:
    """Return what the gateway says of a trial whose shadow is still there."""
    return {
        "model": "iris",
        "alias": "production",
        "version": 3,
        "shadow": {"version": 4, "percent": 12.5, "trial": 9},
        "trial": 9,
        "report": {
            "live": 3,
            "shadow": 4,
            "compared": 1200,
            "skipped": 0,
            "failures": {},
            "outputs": list(outputs),
            **report,
        },
    }


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (SCORES, "1200 of 1200 the same to the last bit"),
        (
            {**SCORES, "same": 1100, "max_difference": 0.0123456, "mean_difference": 1.23456e-7},
            "1100 of 1200 the same to the last bit; difference 1.23e-07 in the mean, 0.0123 at most",
        ),
        (
            {**SCORES, "rows": 4800, "changed": 7},
            "1200 of 1200 the same to the last bit; 7 of 4800 rows decide otherwise",
        ),
        (
            {**SCORES, "same": 1199, "incomparable": 1},
            "1199 of 1200 the same to the last bit; difference 0 in the mean, 0 at most; 1 not to be compared",
        ),
        (
            {
                **SCORES,
                "compared": 9,
                "same": 0,
                "max_difference": 3,
                "mean_difference": 2,
                "rows": 1,
                "incomparable": 4,
            },
            (
                "0 of 9 the same to the last bit; difference 2 in the mean, 3 at most; 0 of 1 rows decide otherwise; "
                "4 not to be compared"
            ),
        ),
    ],
    ids=["all the same", "other floats", "other rows", "other shapes", "everything"],
)
def test_each_output_of_a_trial_has_a_line_with_what_there_is_to_say(output: dict[str, Any], line: str) -> None:
    assert list(report_lines(trial(output)))[2:] == [f"  scores: {line}"]


def test_a_trial_says_what_was_compared_and_what_failed() -> None:
    label = {**SCORES, "name": "label", "rows": 1200}

    assert list(
        report_lines(trial(label, SCORES, skipped=31, failures={"predict_timeout": 1, "model_execution_failed": 2}))
    ) == [
        "iris@production: copies of 12.5 % -> 4",
        "  4 beside 3: compared 1200, skipped 31",
        "  failed   2 (model_execution_failed)",
        "  failed   1 (predict_timeout)",
        "  label: 1200 of 1200 the same to the last bit; 0 of 1200 rows decide otherwise",
        "  scores: 1200 of 1200 the same to the last bit",
    ]


def test_a_trial_that_has_found_nothing_yet_says_who_is_tried() -> None:
    assert list(report_lines({**trial(), "trial": None, "report": None})) == ["iris@production: copies of 12.5 % -> 4"]


def test_what_a_shadow_has_shown_is_told_when_it_is_no_more() -> None:
    assert list(report_lines({**trial(SCORES), "shadow": None})) == [
        "iris@production: no shadow",
        "  4 beside 3: compared 1200, skipped 0",
        "  scores: 1200 of 1200 the same to the last bit",
    ]


def test_where_nothing_was_ever_tried_there_is_nothing_to_tell() -> None:
    never = {**trial(), "shadow": None, "trial": None, "report": None}

    assert list(report_lines(never)) == ["iris@production: no shadow"]


def test_aliases_are_spelt_with_their_canaries() -> None:
    model = {
        "aliases": {"staging": 4, "production": 3},
        "canaries": {"production": {"version": 4, "percent": 10.0}},
    }

    assert spell_aliases(model) == "production -> 3 (10 % -> 4), staging -> 4"


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ({"isolation": "in_process", "deaths": 0, "isolation_reason": ""}, "in process"),
        ({"isolation": "in_process", "deaths": 1, "isolation_reason": ""}, "in process, 1 death"),
        (
            {"isolation": "isolated", "deaths": 2, "isolation_reason": "hang ended its child during a load"},
            "isolated, 2 deaths: hang ended its child during a load",
        ),
        ({}, "in process"),
    ],
    ids=["nothing has happened", "a probation is over", "two deaths", "a gateway of an earlier release"],
)
def test_where_a_version_runs_is_said_with_the_reason(version: dict[str, Any], words: str) -> None:
    assert spell_standing(version) == words


def test_a_time_without_a_zone_is_this_machines_and_keeps_its_moment() -> None:
    assert parse_time("2026-11-22T03:00:00Z").timestamp() == 1795316400
    assert parse_time("2026-11-22T03:00").utcoffset() is not None


def test_tags_keep_their_colons() -> None:
    assert parse_tags(["team:vision", "source:s3://bucket"]) == {"team": "vision", "source": "s3://bucket"}


def test_the_line_to_try_survives_a_shell() -> None:
    line = curl_line("http://h:1", "/v3/models/m/predict", {"inputs": {"it's": ["a b"]}}, needs_token=True)

    assert shlex.split(line) == [
        *("curl", "-s", "http://h:1/v3/models/m/predict"),
        *("-H", "authorization: Bearer $SARDONYX_TOKEN"),
        *("-H", "content-type: application/json"),
        *("-d", '{"inputs": {"it\'s": ["a b"]}}'),
    ]


def test_a_registered_version_shows_its_signature() -> None:
    document = {
        "model": "iris",
        "version": 3,
        "digest": "sha256:abc",
        "size_bytes": 2048,
        "memory_bytes": 1048576,
        "signature": {
            "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4], "optional": False}],
            "outputs": [{"name": "label", "dtype": "int64", "shape": ["batch"]}],
        },
    }

    assert list(version_lines(VersionInfo(document, is_new=True))) == [
        "Registered iris:3",
        "  inputs   x: float32[batch, 4]",
        "  outputs  label: int64[batch]",
        "  size     2.0 KiB, 1.0 MiB in memory",
        "  digest   sha256:abc",
    ]
    assert next(version_lines(VersionInfo(document))) == "iris:3 has these bytes already"


def lists_of_commands(command: Any, *, path: str = "sardonyx") -> Iterator[tuple[str, list[str]]]:
    """Yield what each command that has commands lists of them, 80 columns wide."""
    if hasattr(command, "commands"):
        context = command.make_context(path, [], resilient_parsing=True, terminal_width=80, max_content_width=80)
        listed = command.get_help(context).partition("Commands:\n")[2].partition("\n\n")[0]
        yield path, listed.splitlines()
        for name, each in command.commands.items():
            yield from lists_of_commands(each, path=f"{path} {name}")


def test_the_lists_of_commands_cut_no_sentence() -> None:
    listed = dict(lists_of_commands(typer.main.get_command(app)))

    assert {"sardonyx", "sardonyx token", "sardonyx webhook"} < set(listed)
    assert [line for lines in listed.values() for line in lines if line.endswith("...") or not line.strip()] == []
