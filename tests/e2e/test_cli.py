"""The command line as its users call it: a real process, against a running gateway and without one."""

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Client
from registry.crashes import Crashes
from tests.support import completing, models
from tests.support.backend import embedded_only
from tests.support.registries import HandClock
from tests.support.scaling import scaling_bytes, write_two_files
from tests.support.tokens import open_registry

SARDONYX = str(Path(sys.executable).with_name("sardonyx"))

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["over REST", "in this process"])
def sardonyx(request: pytest.FixtureRequest, gateway: Any, tmp_path: Path) -> Run:
    """Run a command, over the network or straight on the same database."""
    where = ["--url", gateway.url] if request.param == "over REST" else []

    def run(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [SARDONYX, *where, *map(str, arguments)]
        return subprocess.run(
            command, env=gateway.environment, cwd=tmp_path, input=stdin, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def local(gateway: Any, tmp_path: Path) -> Run:
    """Run a command that is for this machine only."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SARDONYX, *arguments], env=gateway.environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model's name of the test's own, also where tests share a gateway."""
    way = "rest" if "over REST" in request.node.name else "local"
    return request.node.originalname.removeprefix("test_").replace("_", "-")[:100] + "-" + way


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    path = tmp_path / "doubling.onnx"
    path.write_bytes(scaling_bytes(2))
    return path


@pytest.fixture
def two_versions(gateway: Any, name: str) -> str:
    """A model with version 1, which is live, and version 2."""
    with Client(gateway.url) as client:
        client.register(scaling_bytes(2), name=name)
        client.register(scaling_bytes(3), name=name)
        client.promote(name, 1)
    return name


def printed(run: subprocess.CompletedProcess[str]) -> Any:
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def problem(run: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    """Exit code, the problem's code, and what stands on stdout."""
    return run.returncode, json.loads(run.stderr)["code"], run.stdout


def test_a_first_registration_prints_a_line_that_predicts(
    sardonyx: Run, name: str, doubling: Path, gateway: Any
) -> None:
    run = sardonyx("register", doubling, "--name", name, "--description", "doubles", "--tag", "team:vision")

    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[:3] == [f"Registered {name}:1", "  inputs   x: float32[batch, 4]", "  outputs  y: float32[batch, 4]"]
    assert lines[5].startswith(f"Promote  sardonyx promote {name} 1")
    words = shlex.split(lines[6].removeprefix("Try it   "))
    request = urllib.request.Request(  # noqa: S310 - the address is the line's own, checked here
        words[2], data=words[-1].encode(), headers={"content-type": "application/json"}
    )
    assert request.full_url == f"{gateway.url}/v1/models/{name}/predict"
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        assert (answer.status, json.load(answer)["version"]) == (200, 1)


def test_the_same_bytes_again_are_the_same_version(sardonyx: Run, name: str, doubling: Path) -> None:
    first = printed(sardonyx("register", doubling, "--name", name, "--json"))
    again = sardonyx("register", doubling, "--name", name)

    assert (first["version"], again.returncode) == (1, 0)
    assert again.stdout.splitlines()[0] == f"{name}:1 has these bytes already"


def test_a_model_in_two_files_is_registered_by_its_first(sardonyx: Run, name: str, tmp_path: Path) -> None:
    graph, weights = write_two_files(tmp_path, 2)

    version = printed(sardonyx("register", graph, "--name", name, "--json"))

    assert [file["name"] for file in version["files"]] == [graph.name, weights.name]
    answer = sardonyx("predict", f"{name}:1", "--json", "-", stdin=json.dumps({"inputs": [[1.5] * 512]}))
    assert printed(answer)["outputs"] == {"y": [[3.0] * 512]}


def test_what_is_no_model_is_bad_input(sardonyx: Run, name: str, tmp_path: Path) -> None:
    (tmp_path / "archive.onnx").write_bytes(b"PK\x03\x04" + b"\0" * 100)

    run = sardonyx("register", tmp_path / "archive.onnx", "--name", name, "--json")

    assert problem(run) == (2, "unsupported_format", "")


def test_promotions_and_rollbacks_are_told_and_remembered(sardonyx: Run, two_versions: str) -> None:
    name = two_versions
    promoted = sardonyx("promote", name, "2", "--expected", "1", "--reason", "better")
    rolled_back = sardonyx("rollback", name, "--reason", "worse")

    assert promoted.stdout.splitlines()[0] == f"{name}@production: 1 -> 2"
    assert promoted.stdout.splitlines()[1].startswith(f"Undo with  sardonyx rollback {name}")
    assert rolled_back.stdout.splitlines()[0] == f"{name}@production: 2 -> 1"
    moves = printed(sardonyx("history", name, "--json"))
    assert [(move["kind"], move["from"], move["to"], move["reason"]) for move in moves] == [
        ("promote", None, 1, ""),
        ("promote", 1, 2, "better"),
        ("rollback", 2, 1, "worse"),
    ]
    assert [move["actor"] for move in moves] != ["", "", ""]
    assert problem(sardonyx("rollback", name, "--json")) == (5, "no_previous_version", "")


def test_a_rollback_goes_to_what_the_history_shows(sardonyx: Run, two_versions: str) -> None:
    name = two_versions
    sardonyx("promote", name, "2", "--alias", "staging")
    sardonyx("promote", name, "2")
    rolled_back = sardonyx("rollback", name, "--to", "m1")
    shown = sardonyx("history", name, "--alias", "production", "--limit", "2").stdout.splitlines()

    assert rolled_back.stdout.splitlines()[0] == f"{name}@production: 2 -> 1"
    assert [line.split()[:1] + line.split()[3:7] for line in shown] == [
        ["MOVE", "ALIAS", "KIND", "FROM", "TO"],
        ["m2", "production", "promote", "1", "2"],
        ["m3", "production", "rollback", "2", "1"],
    ]
    assert problem(sardonyx("rollback", name, "--to", "m4", "--json")) == (4, "move_not_found", "")


def test_promoting_what_is_live_moves_nothing(sardonyx: Run, two_versions: str) -> None:
    run = sardonyx("promote", two_versions, "1")

    assert run.stdout.splitlines() == [f"{two_versions}@production points at version 1 already; nothing has moved"]


def test_waiting_ends_when_every_worker_follows(sardonyx: Run, two_versions: str) -> None:
    run = sardonyx("promote", two_versions, "2", "--wait", "--json")

    assert printed(run)["version"] == 2
    assert "Every live worker follows" in run.stderr


def test_a_conflict_changes_nothing(sardonyx: Run, two_versions: str) -> None:
    refused = sardonyx("promote", two_versions, "2", "--expected", "2", "--json")

    assert problem(refused) == (5, "generation_conflict", "")
    assert printed(sardonyx("show", two_versions, "--json"))["aliases"] == {"production": 1}


def test_a_breaking_promotion_is_shown_refused_and_allowed(sardonyx: Run, name: str, tmp_path: Path) -> None:
    for number, width in enumerate((4, 5), start=1):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(scaling_bytes(2, width=width))
        assert sardonyx("register", path, "--name", name, *(["--promote"] if number == 1 else [])).returncode == 0

    planned = sardonyx("promote", name, "2", "--dry-run")
    refused = sardonyx("promote", name, "2")
    allowed = sardonyx("promote", name, "2", "--allow-breaking")

    assert (planned.returncode, refused.returncode, allowed.returncode) == (5, 5, 0)
    assert "inputs/x/shape   [batch, 4]  [batch, 5]  breaking" in planned.stdout.splitlines()
    assert "  - inputs/x/shape: [batch, 4] becomes [batch, 5]" in refused.stderr.splitlines()


def test_a_dry_run_of_a_harmless_promotion_moves_nothing(sardonyx: Run, two_versions: str) -> None:
    planned = printed(sardonyx("promote", two_versions, "2", "--dry-run", "--json"))

    assert (planned["from"], planned["to"], planned["differences"]) == (1, 2, [])
    assert (planned["compatibility"], planned["changes"]) == ("identical", [])
    costs = ["load_seconds", "memory_bytes", "opset", "run_seconds", "size_bytes"]
    assert [sorted(planned["costs"][end]) for end in ("from", "to")] == [costs, costs]
    assert len(printed(sardonyx("history", two_versions, "--json"))) == 1


def test_a_dry_run_says_what_nobody_has_to_mind_and_what_both_take(sardonyx: Run, name: str, tmp_path: Path) -> None:
    for number, batch in enumerate((1, "batch"), start=1):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(models.linear(batch=batch).SerializeToString())
        assert sardonyx("register", path, "--name", name, *(["--promote"] if number == 1 else [])).returncode == 0

    first, *lines = sardonyx("promote", name, "2", "--dry-run").stdout.splitlines()

    assert first == f"Would move {name}@production: 1 -> 2; no caller would break (widening)"
    assert [re.split(" {2,}", line) for line in lines[:4]] == [
        ["WHAT", "NOW", "THEN", "EFFECT"],
        ["live", "1", "2"],
        ["inputs/x/shape", "[1, 4]", "[batch, 4]", "widening"],
        ["outputs/y/shape", "[1, 3]", "[batch, 3]", "widening"],
    ]
    measured = ["opset", "size", "memory", "load", "run", "batching", "runs", "golden"]
    assert [line.split()[0] for line in lines[4:]] == measured


def test_a_canary_comes_and_goes(sardonyx: Run, two_versions: str) -> None:
    set_up = printed(sardonyx("canary", two_versions, "2", "25", "--json"))
    dropped = printed(sardonyx("canary", two_versions, "--drop", "--json"))

    assert (set_up["canary"], dropped["canary"]) == ({"version": 2, "percent": 25.0}, None)
    assert set_up["version"] == dropped["version"] == 1


def test_a_version_in_use_stays_and_one_that_is_not_retires(sardonyx: Run, two_versions: str) -> None:
    assert problem(sardonyx("retire", two_versions, "1", "--json")) == (5, "version_active", "")
    assert sardonyx("retire", two_versions, "2").stdout == f"Retired {two_versions}:2\n"
    body = json.dumps({"inputs": [[1, 2, 3, 4]]})
    assert sardonyx("predict", f"{two_versions}:2", "--json", "-", stdin=body).returncode == 4
    states = [
        (version["version"], version["state"]) for version in printed(sardonyx("versions", two_versions, "--json"))
    ]
    assert states == [(2, "retired"), (1, "ready")]


def quarantine(gateway: Any, name: str, number: int) -> None:
    with closing(open_registry(gateway.data_dir)) as registry:
        Crashes(registry, HandClock()).quarantine(name, number, reason="it ends every child", actor="worker")


def test_a_version_in_quarantine_is_listed_shown_and_not_promoted(
    sardonyx: Run, two_versions: str, gateway: Any
) -> None:
    name = two_versions
    quarantine(gateway, name, 2)
    listed = [line.split() for line in sardonyx("quarantine", "list").stdout.splitlines()]
    versions = [line.split()[:2] for line in sardonyx("versions", name).stdout.splitlines()]
    shown = [line.split() for line in sardonyx("show", f"{name}:2").stdout.splitlines()]

    assert listed[0] == ["MODEL", "VERSION", "RUNS", "DEATHS", "UNTIL", "REASON"]
    assert [name, "2", "quarantined", "0", "cleared", "it", "ends", "every", "child"] in listed
    assert versions[1:] == [["2", "quarantined"], ["1", "ready"]]
    assert ["runs", "quarantined:", "it", "ends", "every", "child"] in shown
    assert problem(sardonyx("promote", name, "2", "--json")) == (5, "version_not_promotable", "")


def test_a_version_is_cleared_by_its_number_or_its_reference(sardonyx: Run, two_versions: str, gateway: Any) -> None:
    name = two_versions
    for number in (1, 2):
        quarantine(gateway, name, number)
    before = printed(sardonyx("quarantine", "list", "--json"))
    assert sardonyx("quarantine", "clear", name, "1").stdout == f"Cleared {name}:1; it runs in process\n"
    assert printed(sardonyx("quarantine", "clear", f"{name}:2", "--json"))["isolation"] == "in_process"
    after = printed(sardonyx("quarantine", "list", "--json"))
    numbers = [[each["version"] for each in found if each["model"] == name] for found in (before, after)]
    assert numbers == [[1, 2], []]


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(["nobody", "1"], 4), (["nobody:1"], 4), (["nobody"], 2), (["nobody:1", "1"], 2), (["nobody@production", "1"], 2)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_clearing_names_one_version_that_is_there(sardonyx: Run, arguments: list[str], exit_code: int) -> None:
    assert sardonyx("quarantine", "clear", *arguments).returncode == exit_code


def test_a_version_is_registered_to_run_apart(sardonyx: Run, name: str, doubling: Path) -> None:
    printed(sardonyx("register", doubling, "--name", name, "--json"))
    again = printed(sardonyx("register", doubling, "--name", name, "--isolated", "--json"))
    lines = [line.split() for line in sardonyx("quarantine", "list").stdout.splitlines()]

    assert (again["version"], again["isolation"]) == (1, "isolated")
    assert [name, "1", "isolated", "0", "its", "publisher's", "word"] in lines


def test_a_prediction_reads_a_file_or_the_standard_input(sardonyx: Run, two_versions: str, tmp_path: Path) -> None:
    body = json.dumps({"inputs": {"x": [[0.1, 2, 3, 4]]}, "id": "a"})
    (tmp_path / "body.json").write_text(body)

    from_file = printed(sardonyx("predict", two_versions, "--json", tmp_path / "body.json"))
    from_input = printed(sardonyx("predict", f"{two_versions}@production", "--json", "-", stdin=body))

    answer = {"model": two_versions, "version": 1, "outputs": {"y": [[0.2, 4.0, 6.0, 8.0]]}, "id": "a"}
    assert (from_file, from_input) == (answer, answer)


def test_a_body_that_does_not_fit_is_bad_input_and_every_fault_is_named(sardonyx: Run, two_versions: str) -> None:
    run = sardonyx("predict", two_versions, "--json", "-", stdin='{"inputs": {"x": [["a", 1, 2]], "z": 1}}')

    assert run.returncode == 2
    paths = [line.split(": ")[0] for line in run.stderr.splitlines() if line.startswith("  - ")]
    assert [path for path in paths if "/z" in path] == ["  - /inputs/z"]
    assert any(path.startswith("  - /inputs/x") for path in paths)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (["show", "nobody"], 4, "model_not_found"),
        (["promote", "nobody", "1"], 4, "model_not_found"),
        (["show", "Not A Name"], 2, "invalid_name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_not_there_is_said_by_the_exit_code(
    sardonyx: Run, arguments: list[str], exit_code: int, code: str
) -> None:
    assert problem(sardonyx(*arguments, "--json")) == (exit_code, code, "")


def test_listings_show_what_there_is(sardonyx: Run, two_versions: str) -> None:
    name = two_versions
    models = sardonyx("models", "--query", name).stdout.splitlines()
    shown = sardonyx("show", f"{name}:2").stdout.splitlines()

    assert models[0].split() == ["NAME", "LATEST", "ALIASES", "DESCRIPTION"]
    assert models[1].split() == [name, "2", "production", "->", "1"]
    assert shown[0].split() == ["version", f"{name}:2"]
    assert ["inputs", "x:", "float32[batch,", "4]"] in [line.split() for line in shown]
    assert len(sardonyx("versions", name).stdout.splitlines()) == 3
    assert len(sardonyx("history", name).stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("promote {} ", ["2", "1"]),
        ("diff {} 1 ", ["2", "1"]),
        ("rollback {} --to ", ["1", "m1"]),
        ("history {} --alias p", ["production"]),
    ],
    ids=["versions", "the second version", "where to roll back to", "aliases"],
)
def test_the_shell_completes_what_there_is(
    words: str, offered: list[str], two_versions: str, gateway: Any, tmp_path: Path
) -> None:
    assert completing.offered(gateway, "sardonyx " + words.format(two_versions), tmp_path) == offered


def test_the_machine_is_well(local: Run) -> None:
    assert printed(local("db", "check", "--json"))["matches"] is True
    assert printed(local("db", "upgrade", "--json"))["current"] is not None
    checks = {check["name"]: check["verdict"] for check in printed(local("doctor", "--json"))}
    good = ("settings", "database", "migrations", "store", "store: put if absent", "cache", "runtime", "memory")
    assert {checks[name] for name in good} == {"ok"}
    kinds = ("files", "system calls", "network", "new rights", "user")
    assert {name for name in checks if name.startswith("inspection")} == {f"inspection: {kind}" for kind in kinds}


@embedded_only
def test_a_lost_file_is_found(local: Run, sardonyx: Run, name: str, doubling: Path, gateway: Any) -> None:
    version = printed(sardonyx("register", doubling, "--name", name, "--json"))
    before = local("fsck", "--json", "--quick")
    (stored,) = (gateway.data_dir / "store").rglob(version["digest"].removeprefix("sha256:"))
    hidden = stored.with_suffix(".hidden")
    stored.rename(gateway.data_dir / hidden.name)
    try:
        after = local("fsck", "--json")
    finally:
        (gateway.data_dir / hidden.name).rename(stored)

    kinds = [finding["kind"] for finding in json.loads(after.stdout)["findings"]]
    assert (before.returncode, after.returncode, "row_without_bytes" in kinds) == (0, 1, True)
