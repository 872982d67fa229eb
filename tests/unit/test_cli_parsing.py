"""Command lines that end before anything is asked of anybody."""

import json
import socket
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from gateway.cli.entry import main

COMMANDS = [
    ["models"],
    ["versions", "iris"],
    ["show", "iris:1"],
    ["history", "iris"],
    ["promote", "iris", "1"],
    ["promote", "iris", "1", "--alias", "staging", "--expected", "2", "--reason", "r", "--dry-run", "--allow-breaking"],
    ["rollback", "iris", "--to", "1", "--wait", "--timeout", "0"],
    ["rollback", "iris", "--to-time", "2026-11-22T03:00:00Z"],
    ["canary", "iris", "2", "12.5"],
    ["canary", "iris", "--drop"],
    ["describe", "iris", "flowers"],
    ["retire", "iris", "1"],
    ["history", "iris", "--alias", "staging", "--limit", "3"],
    ["rollback", "iris", "--to", "m3"],
    ["promote", "iris", "1", "--ask", "--dry-run"],
    ["diff", "iris", "1", "2", "--no-ops", "--no-outputs"],
    ["bench", "iris:1", "--rows", "1,8", "--connections", "4", "--seconds", "0.1", "--rounds", "1"],
    ["top", "--once", "--rows", "3", "--interval", "0.2"],
    ["watch", "--after", "7", "--model", "iris"],
    ["plan", "--costs", "registry", "--models", "3", "--requests", "10", "--hosts", "2"],
]


def run(arguments: Sequence[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture
def dead_url() -> str:
    """Where nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"sardonyx {version('sardonyx')}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("is_before", [True, False], ids=["options before", "options after"])
def test_options_for_everything_stand_before_or_after_the_command(
    command: list[str], *, is_before: bool, dead_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--json", "--url", dead_url]

    assert run([*options, *command] if is_before else [*command, *options]) == 75

    printed = capsys.readouterr()
    assert printed.out == ""
    assert json.loads(printed.err) == {
        "title": "No gateway answers",
        "detail": f"no gateway answered at {dead_url}: Connection refused",
        "code": "connection_failed",
    }


def test_without_json_an_error_is_words_on_stderr(dead_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--url", dead_url]) == 75

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "Error: No gateway answers (connection_failed)",
        f"  no gateway answered at {dead_url}: Connection refused",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["promote", "iris"],
        ["promote", "iris", "one"],
        ["promote", "iris", "0"],
        ["promote", "iris", "1", "--expected", "x"],
        ["rollback", "iris", "--to", "1", "--to-time", "2026-11-22T03:00:00Z"],
        ["rollback", "iris", "--to-time", "yesterday"],
        ["rollback", "iris", "--to", "x", "--url", "http://127.0.0.1:9"],
        ["history", "iris", "--limit", "0"],
        ["diff", "iris", "1"],
        ["bench", "iris:1", "--rows", "0"],
        ["bench", "iris:1", "--connections", "1,1000"],
        ["watch", "--after", "-1"],
        ["import-triton", "nowhere"],
        ["import-mlflow", "nowhere"],
        ["import-mlflow", "nowhere", "--model", "iris"],
        ["import-mlflow", "http://127.0.0.1:9", "--name", "iris"],
        ["import-mlflow", "http://user@127.0.0.1:9"],
        ["canary", "iris"],
        ["canary", "iris", "2"],
        ["canary", "iris", "2", "10", "--drop"],
        ["register", "--name", "iris"],
        ["register", "nowhere.onnx", "--name", "iris"],
        ["register", "model.txt", "--name", "iris"],
        ["predict", "iris"],
        ["predict", "iris", "--json", "nowhere.json"],
        ["show", "iris:x", "--url", "http://127.0.0.1:9"],
        ["models", "--url", "not-a-url"],
        ["serve", "--port", "eighty"],
        ["serve", "--port", "70000"],
        ["token", "create", "ada"],
        ["token", "create", "ada", "--role", "king"],
        ["token", "revoke"],
    ],
    ids=" ".join,
)
def test_bad_input_exits_with_two_and_says_something(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2

    printed = capsys.readouterr()
    assert (printed.out, printed.err.strip() != "") == ("", True)


@pytest.mark.parametrize("tag", ["colonless", ":value"])
def test_a_malformed_tag_is_bad_input(tag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["register", "model.onnx", "--name", "iris", "--tag", tag]) == 2
    assert "is not KEY:VALUE" in capsys.readouterr().err


def test_a_setting_that_makes_no_sense_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--workers", "0"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Error: The settings make no sense (invalid_settings)",
        "  workers: Input should be greater than or equal to 1",
    ]


@pytest.mark.parametrize("url", ["http://a..b", "http://ex ample", "http://[::1", "http://h:99999"])
def test_an_address_that_is_none_is_bad_input(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "models", "--url", url]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "unusable"
    assert run(["import-mlflow", url, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "unusable"


def test_a_token_file_without_text_is_bad_input_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_bytes(b"hidden\xff\xfe")

    assert run(["import-mlflow", "http://127.0.0.1:9", "--token-file", str(tmp_path / "token")]) == 2
    assert "hidden" not in capsys.readouterr().err
