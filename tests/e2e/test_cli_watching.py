"""The commands that look at a running gateway, as a program calls them: top, watch, bench, diff, and a plan."""

import json
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.entry import main
from gateway.client import Client
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.gateway_process import GatewayProcess, running_gateway, started_gateway
from tests.support.scaling import scaling_bytes

Run = Callable[..., str]
BODY = b'{"inputs": [[1, 2, 3, 4]]}'


@pytest.fixture
def sardonyx(gateway: GatewayProcess, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, against the gateway, and return what it prints."""

    def run(*arguments: str | Path, exit_code: int = 0) -> str:
        with pytest.raises(SystemExit) as caught:
            main(["--url", gateway.url, *map(str, arguments)])
        printed = capsys.readouterr()
        assert caught.value.code == exit_code, printed.err
        return printed.out

    return run


@pytest.fixture
def client(gateway: GatewayProcess) -> Any:
    with Client(gateway.url) as client:
        yield client


def cells(line: str) -> list[str]:
    return re.split(" {2,}", line)


# --- diff and the plan ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(gateway: GatewayProcess) -> str:
    """A model whose versions double and treble, with an example each."""
    with Client(gateway.url) as client:
        for factor in (2, 3):
            client.register(scaling_bytes(factor), name="compared", tags={"factor": str(factor)})
        client.promote("compared", 1)
        for number, row in enumerate(([1, 2, 3, 4], [0, 0, 0, 0]), start=1):
            client.record_example("compared", number, {"inputs": {"x": [row]}, "name": f"of-{number}"})
    return "compared"


def test_two_versions_are_compared_by_record_graph_and_answers(sardonyx: Run, compared: str) -> None:
    found = json.loads(sardonyx("diff", compared, "1", "2", "--json"))

    assert (found["compatibility"], found["differences"], found["changes"]) == ("identical", [], [])
    assert found["operators"] == {"totals": [1, 1], "differences": {}, "reason": ""}
    assert {"what": "tag factor", "first": "2", "second": "3", "effect": ""} in found["records"]
    (output,) = found["outputs"]["outputs"]
    assert (found["outputs"]["examples"], found["outputs"]["refused"]) == (2, [])
    assert output == {
        "name": "y",
        "compared": 2,
        "same": 1,
        "incomparable": 0,
        "max_absolute_difference": 4.0,
        "mean_absolute_difference": 1.25,
        "max_relative_difference": 0.5,
        "rows": 2,
        "changed": 0,
    }


def test_what_differs_is_shown_as_a_table(sardonyx: Run, client: Client) -> None:
    client.register(scaling_bytes(2), name="differing")
    client.register(models.linear(), name="differing")

    lines = sardonyx("diff", "differing", "1", "2").splitlines()

    assert lines[:4] == [
        "differing: 1 -> 2",
        "signature: breaking",
        "  - outputs/y/shape: [batch, 4] becomes [batch, 3]",
        "WHAT             1                    2",
    ]
    assert [cells(line) for line in lines if line.startswith("op ")] == [
        ["op Gemm", "0", "1", "+1"],
        ["op Mul", "1", "0", "-1"],
    ]
    assert lines[-1] == "golden examples: neither version has any (sardonyx examples record)"


def test_an_example_that_a_version_refuses_is_told(sardonyx: Run, client: Client) -> None:
    client.register(scaling_bytes(2), name="refusing")
    client.register(scaling_bytes(2, width=5), name="refusing")
    client.record_example("refusing", 1, {"inputs": {"x": [[1, 2, 3, 4]]}, "name": "four"})

    found = json.loads(sardonyx("diff", "refusing", "1", "2", "--no-ops", "--json"))

    assert found["operators"]["reason"] == "not counted: not asked for"
    assert found["outputs"]["refused"] == [{"example": "four", "of": 1, "refused": {"2": "invalid_shape"}}]


def test_of_a_retired_version_the_records_are_compared(sardonyx: Run, client: Client) -> None:
    for factor in (2, 3):
        client.register(scaling_bytes(factor), name="retired")
    client.retire("retired", 1)

    found = json.loads(sardonyx("diff", "retired", "1", "2", "--json"))

    assert (found["compatibility"], found["outputs"]) == ("identical", None)
    assert found["operators"]["reason"] == "not counted: version 1 is retired"


def test_a_plan_says_who_is_live_and_that_the_examples_pass(sardonyx: Run, compared: str, client: Client) -> None:
    client.canary(compared, 2, 10)

    plan = json.loads(sardonyx("promote", compared, "2", "--dry-run", "--json"))
    reports = [client.version(compared, number).document["batch_report"] for number in (1, 2)]
    first, second = ("-" if report is None else report["level"] for report in reports)
    weaker = "fewer requests share runs" if (first, second) == ("exact", "none") else ""

    rows = {row["what"]: (row["now"], row["then"], row["effect"]) for row in plan["rows"]}
    assert rows["live"] == ("1, canary 10 % -> 2", "2", "the canary ends")
    assert rows["signature"] == ("", "", "identical")
    assert rows["golden examples"] == ("1", "1", "all pass")
    assert rows["batching"] == (first, second, weaker)  # a proof that has run out of time has found no level
    assert client.alias(compared)["version"] == 1


def test_a_plan_of_a_first_promotion_has_nothing_to_compare_with(sardonyx: Run, client: Client) -> None:
    client.register(scaling_bytes(2), name="first")

    lines = [cells(line) for line in sardonyx("promote", "first", "1", "--dry-run").splitlines()]

    assert lines[0] == ["Would move first@production: nothing -> 1; no caller would break"]
    assert (lines[2], lines[3][:2]) == (["live", "nothing", "1"], ["opset", "-"])


# --- top --------------------------------------------------------------------------------------------------------------


def test_top_shows_what_was_answered_between_two_looks(sardonyx: Run, client: Client) -> None:
    client.register(scaling_bytes(2), name="busy")
    client.predict_json("busy:1", BODY)
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            client.predict_json("busy:1", BODY)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        report = json.loads(sardonyx("top", "--json", "--interval", "0.5", "--rows", "1"))
    finally:
        is_over.set()
        asking.join()

    (row,) = report["versions"]
    assert (row["model"], row["version"], row["failed"], row["workers"] <= 1) == ("busy", 1, {}, True)
    assert row["requests_per_second"] > 0
    assert 0 < row["p50_seconds"] <= row["p99_seconds"]
    assert row["memory_bytes"] == client.version("busy", 1).document["memory_bytes"]
    assert report["memory"]["session_bytes"] > 0


def test_where_nothing_happens_top_says_so(sardonyx: Run, gateway: GatewayProcess) -> None:
    lines = sardonyx("top", "--once", "--interval", "0.2").splitlines()

    assert lines[0] == f"{gateway.url}  0 requests/s, 0 failed/s, 0 waiting"
    assert cells(lines[2]) == ["MODEL", "VERSION", "PER SECOND", "P50", "P99", "ERRORS", "MEMORY", "WORKERS"]


# --- bench ------------------------------------------------------------------------------------------------------------


def test_a_sweep_measures_each_combination_and_draws_it(sardonyx: Run, client: Client, tmp_path: Path) -> None:
    client.register(scaling_bytes(2), name="measured")
    client.promote("measured", 1)
    sweep = ("--rows", "8,1", "--connections", "1,2", "--seconds", "0.1", "--rounds", "1")

    found = json.loads(sardonyx("bench", "measured@production", *sweep, "--plot", tmp_path / "p.svg", "--json"))

    assert [(cell["rows"], cell["connections"]) for cell in found["cells"]] == [(1, 1), (1, 2), (8, 1), (8, 2)]
    assert [cell["failed"] for cell in found["cells"]] == [{}, {}, {}, {}]
    assert all(cell["answers"] > 0 and cell["p50_seconds"] <= cell["p99_seconds"] for cell in found["cells"])
    assert (found["reference"], found["is_same_machine"], found["left_out"]) == ("measured:1", True, {})
    assert ET.parse(tmp_path / "p.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own


def test_a_model_of_one_size_is_measured_with_that_size(sardonyx: Run, client: Client) -> None:
    client.register(models.linear(batch=1), name="rigid")

    lines = sardonyx("bench", "rigid:1", "--connections", "1", "--seconds", "0.1", "--rounds", "1").splitlines()

    assert [cells(line)[:2] for line in lines[1:3]] == [["ROWS", "CONNECTIONS"], ["1", "1"]]
    assert any(line.startswith("the load comes from the machine that answers") for line in lines)


def test_a_body_that_is_refused_is_refused_before_anything_is_measured(
    sardonyx: Run, client: Client, tmp_path: Path
) -> None:
    client.register(scaling_bytes(2), name="choosy")
    (tmp_path / "body.json").write_text('{"inputs": [["a"]]}')

    sardonyx("bench", "choosy:1", "--body", tmp_path / "body.json", exit_code=2)


def test_of_a_body_that_is_given_answers_are_counted_and_no_rows(sardonyx: Run, client: Client, tmp_path: Path) -> None:
    client.register(scaling_bytes(2), name="given")
    (tmp_path / "body.json").write_text('{"inputs": {"x": [[1, 2, 3, 4], [5, 6, 7, 8]]}}')
    sweep = ("--body", tmp_path / "body.json", "--connections", "1", "--seconds", "0.1", "--rounds", "1")

    lines = sardonyx("bench", "given:1", *sweep, "--plot", tmp_path / "p.svg").splitlines()

    row = cells(lines[2])
    assert (row[:2], row[3], int(row[2]) > 0) == (["-", "1"], "-", True)
    assert "answers a second" in (tmp_path / "p.svg").read_text()
    sardonyx("bench", "given:1", *sweep, "--rows", "2", exit_code=2)


# --- watch ------------------------------------------------------------------------------------------------------------


def test_events_of_a_model_are_printed_as_lines(sardonyx: Run, client: Client) -> None:
    client.register(scaling_bytes(2), name="watched")
    client.promote("watched", 1, reason="it is good")

    (line, _) = sardonyx("watch", "--after", "0", "--model", "watched", "--limit", "2").splitlines()
    (_, moved) = sardonyx("watch", "--after", "0", "--model", "watched", "--limit", "2", "--json").splitlines()

    assert cells(line)[2:5] == ["version_registered", "watched:1", "by anonymous"]
    event = json.loads(moved)
    assert (event["kind"], event["alias"], event["detail"]["reason"]) == ("alias_moved", "production", "it is good")


def _started(arguments: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@embedded_only
def test_a_watch_goes_on_when_the_gateway_is_back(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as before, Client(before.url) as client:
        client.register(scaling_bytes(2), name="lasting")
        follow = ["watch", "--after", "0", "--limit", "2", "--json", "--url", before.url]
        with _started(follow) as watching:
            assert watching.stdout is not None
            assert watching.stderr is not None
            first = json.loads(watching.stdout.readline())
            before.stop()
            gone = watching.stderr.readline()
            with started_gateway(tmp_path / "data", port=before.url.rpartition(":")[2]):
                back = watching.stderr.readline()
                client.promote("lasting", 1)
                second = json.loads(watching.stdout.readline())

    assert (first["kind"], second["kind"], watching.returncode) == ("version_registered", "alias_moved", 0)
    assert gone.startswith("waiting for the gateway: no gateway answered at")
    assert back == f"the gateway answers again; going on behind event {first['sequence']}\n"
