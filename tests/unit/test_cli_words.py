"""What the commands say about what they did."""

import shlex
from typing import Any

import pytest

from gateway.cli.models import spell_aliases
from gateway.cli.moves import cost_lines, move_lines, parse_time
from gateway.cli.register import curl_line, parse_tags, version_lines
from gateway.cli.trials import canary_lines
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


BEFORE = {"size_bytes": 551, "memory_bytes": 2048, "opset": 17, "load_seconds": 0.0125, "run_seconds": 0.00002}
AFTER = {"size_bytes": 551, "memory_bytes": 4096, "opset": 18, "load_seconds": 0.025, "run_seconds": None}


def test_a_plan_says_what_versions_take_where_they_differ_and_it_is_known() -> None:
    assert list(cost_lines({"from": BEFORE, "to": AFTER})) == [
        "  memory 2.0 KiB -> 4.0 KiB",
        "  opset 17 -> 18",
        "  load 12.5 ms -> 25.0 ms",
    ]


def test_a_first_plan_says_all_that_a_version_takes() -> None:
    assert list(cost_lines({"from": None, "to": BEFORE})) == [
        "  size 551 B",
        "  memory 2.0 KiB",
        "  opset 17",
        "  load 12.5 ms",
        "  run 20 us",
    ]


def test_aliases_are_spelt_with_their_canaries() -> None:
    model = {
        "aliases": {"staging": 4, "production": 3},
        "canaries": {"production": {"version": 4, "percent": 10.0}},
    }

    assert spell_aliases(model) == "production -> 3 (10 % -> 4), staging -> 4"


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
