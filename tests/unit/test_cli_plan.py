"""``sardonyx plan`` on the command line: what it prints, and how it ends when it cannot."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.entry import main
from gateway.deployment.deployed import Deployment

Plan = Callable[..., tuple[str, str]]
GENERATED = ("--models", "200", "--requests", "4000", "--rate", "50", "--memory", "200MB")


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Plan:
    """Run the command in this process and return what it prints to stdout and to stderr."""

    def run(*arguments: str, exit_code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["plan", *arguments])
        printed = capsys.readouterr()
        assert caught.value.code == exit_code, printed.err
        return printed.out, printed.err

    return run


def document_of(printed: tuple[str, str]) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(printed[0])
    return document


def request_line(model: str, second: float) -> str:
    entry = {
        "event": "request",
        "method": "POST",
        "path": f"/v1/models/{model}/predict",
        "code": "ok",
        "seconds": 0.002,
        "model": model,
        "version": 1,
        "timestamp": f"2026-11-29T08:00:{second:09.6f}Z",
    }
    return json.dumps(entry) + "\n"


def write_log(path: Path) -> Path:
    path.write_text("".join(request_line(name, second) for second, name in enumerate("abab" * 10)) + "oops\n")
    return path


def test_each_number_of_hosts_is_planned_by_hash_and_by_round_robin(plan: Plan) -> None:
    document = document_of(plan("--json", "--hosts", "2,5", *GENERATED))
    assert [(it["hosts"], it["balance"]) for it in document["plans"]] == [
        (2, "hash"),
        (2, "round-robin"),
        (5, "hash"),
        (5, "round-robin"),
    ]
    assert [len(it["per_host"]) for it in document["plans"]] == [2, 2, 5, 5]


def test_the_proxy_that_is_planned_is_the_one_that_deploy_prints(plan: Plan) -> None:
    printed = next(it.default for it in fields(Deployment) if it.name == "balance_factor")
    assert document_of(plan("--json", "--hosts", "2", *GENERATED))["host"]["balance_factor"] == printed


def test_the_table_says_what_the_document_says(plan: Plan) -> None:
    options = ("--hosts", "3", "--balance", "hash", *GENERATED)
    found = document_of(plan("--json", *options))["plans"][0]
    lines = plan(*options)[0].splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("HOSTS"))
    row = lines[head + 1].split()
    assert row[:3] == ["3", "hash", f"{found['hit_rate']:.2%}"]
    assert [line.split()[0] for line in lines[-3:]] == ["host-1", "host-2", "host-3"]


def test_a_log_is_replayed_and_its_bad_lines_are_counted(plan: Plan, tmp_path: Path) -> None:
    document = document_of(plan("--json", "--log", str(write_log(tmp_path / "log")), "--hosts", "1"))
    assert document["load"]["log"] == {
        "lines": 41,
        "passed_over": 0,
        "hit_rate": None,
        "faults": {"no JSON": {"lines": 1, "first_line": 41}},
    }
    assert document["plans"][0]["hit_rate"] == 0.95


def test_a_log_may_come_from_standard_input(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.TextIOWrapper(io.BytesIO(write_log(tmp_path / "log").read_bytes()))
    monkeypatch.setattr("sys.stdin", content)
    assert document_of(plan("--json", "--log", "-"))["load"]["requests"] == 40


def test_costs_of_a_file_are_used(plan: Plan, tmp_path: Path) -> None:
    costs = tmp_path / "costs"
    costs.write_text('{"model": "a", "version": 1, "load_seconds": 9, "memory_bytes": 1, "file_bytes": 0}')
    log = str(write_log(tmp_path / "log"))
    found = document_of(plan("--json", "--log", log, "--costs", str(costs), "--hosts", "1", "--balance", "hash"))
    assert found["load"]["measured_versions"] == 1
    assert found["plans"][0]["cold_p99_seconds"] > 8  # one waits for all of the load, others for the rest of it


def test_the_fewest_hosts_that_are_good_enough_are_found(plan: Plan) -> None:
    found = document_of(plan("--json", "--hosts", "1", "--hit-rate", "0.9", *GENERATED))
    assert found["needed"]["hit_rate"] >= 0.9
    assert found["needed"]["hosts"] > 1


def test_a_target_that_cannot_be_met_ends_as_a_failure_with_the_plan_printed(plan: Plan, tmp_path: Path) -> None:
    log = str(write_log(tmp_path / "log"))
    printed = plan("--json", "--log", log, "--hosts", "1000", "--hit-rate", "1", exit_code=1)
    assert document_of(printed)["needed"] is None
    assert json.loads(printed[1][printed[1].index('{\n  "title"') :])["code"] == "target_not_met"


def test_requests_that_no_worker_has_room_for_are_told_and_no_target_is_met_by_them(plan: Plan) -> None:
    load = ("--models", "5", "--requests", "100", "--rate", "10")
    out, said = plan("--memory", "0", "--cold-p99", "0.01", *load, exit_code=1)
    assert "50 requests are for versions that fit into no worker's memory" in out.splitlines()
    assert "give a host more --memory" in said


def test_a_log_that_takes_no_time_is_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(request_line("a", 1))
    _, said = plan("--json", "--log", str(tmp_path / "log"), exit_code=2)
    assert json.loads(said)["code"] == "bad_load"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--hosts", "none"),
        ("--memory", "much"),
        ("--balance-factor", "50"),
        ("--balance", "random"),
        ("--log", "not-there"),
        ("--costs", "not-there"),
        ("--rate", "inf"),
        ("--rate", "nan"),
        ("--hit-rate", "nan"),
        ("--cold-p99", "inf"),
        ("--requests", "2"),
    ],
    ids=" ".join,
)
def test_bad_input_ends_with_2(plan: Plan, arguments: tuple[str, ...]) -> None:
    plan(*arguments, exit_code=2)


@pytest.mark.parametrize(("content", "code"), [("oops\n", "bad_log"), (request_line("a", 1), "bad_costs")])
def test_files_that_cannot_be_used_end_with_2_and_say_why(plan: Plan, tmp_path: Path, content: str, code: str) -> None:
    log, costs = tmp_path / "log", tmp_path / "costs"
    log.write_text(content)
    costs.write_text("oops")
    _, said = plan("--json", "--log", str(log), "--costs", str(costs), exit_code=2)
    assert json.loads(said)["code"] == code


def test_a_registry_that_does_not_answer_ends_with_75(plan: Plan) -> None:
    plan("--costs", "registry", "--url", "http://127.0.0.1:9", *GENERATED, exit_code=75)
