"""Models of Triton come in by a command, and a promotion is shown and asked about by who wants that."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.entry import main
from gateway.client import Client
from tests.support.gateway_process import GatewayProcess
from tests.support.scaling import scaling_bytes, write_two_files

Run = Callable[..., Any]


@pytest.fixture
def sardonyx(gateway: GatewayProcess, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process and return its JSON, or its problem's."""

    def run(*arguments: str | Path, exit_code: int = 0, is_json: bool = True) -> Any:
        with pytest.raises(SystemExit) as caught:
            main(["--url", gateway.url, "--json", *map(str, arguments)])
        printed = capsys.readouterr()
        assert caught.value.code == exit_code, printed.err
        return json.loads(printed.out or printed.err) if is_json else printed.err

    return run


def put(folder: Path, octets: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(octets)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two models of ONNX, one of them in two files, and one of another backend."""
    root = tmp_path / "repository"
    put(root / "Doubling" / "1", scaling_bytes(2))
    put(root / "Doubling" / "3", scaling_bytes(3))
    (root / "Doubling" / "config.pbtxt").write_text(
        "version_policy { specific { versions: [1] } } dynamic_batching { }"
    )
    (root / "big" / "1").mkdir(parents=True)
    graph, _ = write_two_files(root / "big" / "1", 2)
    graph.rename(graph.with_name("model.onnx"))
    (root / "plan").mkdir()
    (root / "plan" / "config.pbtxt").write_text('backend: "tensorrt"')
    return root


def outcomes(found: Any) -> list[tuple[str, int | None, str]]:
    return [(one["source"], one["version"], one["state"]) for one in found["versions"]]


def test_a_repository_comes_in_once_and_says_what_it_made_nothing_of(
    sardonyx: Run, repository: Path, gateway: GatewayProcess
) -> None:
    planned = sardonyx("import-triton", repository, "--dry-run", "--promote")
    brought = sardonyx("import-triton", repository, "--promote")
    again = sardonyx("import-triton", repository)

    assert outcomes(planned) == [
        ("Doubling/1", None, "would be registered"),
        ("Doubling/3", None, "would be registered"),
        ("big/1", None, "would be registered"),
        ("plan", None, "left out"),
    ]
    assert outcomes(brought)[:3] == [
        ("Doubling/1", 1, "registered"),
        ("Doubling/3", 2, "registered"),
        ("big/1", 1, "registered"),
    ]
    assert [state for _, _, state in outcomes(again)] == [*(["there already"] * 3), "left out"]
    assert brought["notes"] == [
        "Doubling is called doubling here",
        "Doubling: of its configuration nothing is made of dynamic_batching",
    ]
    with Client(gateway.url) as client:
        assert [client.show(name)["aliases"] for name in ("doubling", "big")] == [{"production": 1}, {"production": 1}]
        assert client.version("doubling", 2).document["tags"] == {"triton.model": "Doubling", "triton.version": "3"}


def test_what_the_gateway_refuses_keeps_nothing_else_from_coming(sardonyx: Run, tmp_path: Path) -> None:
    put(tmp_path / "mixed" / "1", b"PK\x03\x04" + bytes(100))
    put(tmp_path / "mixed" / "2", scaling_bytes(5))

    brought = sardonyx("import-triton", tmp_path, exit_code=1)

    assert outcomes(brought) == [("mixed/1", None, "refused"), ("mixed/2", 1, "registered")]
    assert brought["versions"][0]["detail"].startswith("unsupported_format")


def test_nothing_is_promoted_where_the_newest_version_did_not_come_in(
    sardonyx: Run, tmp_path: Path, gateway: GatewayProcess
) -> None:
    put(tmp_path / "halting" / "1", scaling_bytes(6))
    put(tmp_path / "halting" / "2", b"PK\x03\x04" + bytes(100))
    (tmp_path / "halting" / "config.pbtxt").write_text("version_policy { all { } }")
    (tmp_path / "Halting").mkdir()
    (tmp_path / "Halting" / "config.pbtxt").write_text('backend: "python"')

    brought = sardonyx("import-triton", tmp_path, "--promote", exit_code=1)

    assert brought["promotions"] == [
        {"model": "halting", "alias": "production", "version": None, "moved": False, "refused": "newest_refused"}
    ]
    with Client(gateway.url) as client:
        assert client.show("halting")["aliases"] == {}


def test_names_that_would_become_one_are_refused_before_anything_comes(
    sardonyx: Run, tmp_path: Path, gateway: GatewayProcess
) -> None:
    for name in ("Twin!", "twin"):
        put(tmp_path / name / "1", scaling_bytes(2))

    assert sardonyx("import-triton", tmp_path, exit_code=2)["code"] == "nothing_to_import"
    with Client(gateway.url) as client:
        assert client.models("twin") == []


def test_a_folder_with_nothing_in_it_is_bad_input(sardonyx: Run, tmp_path: Path) -> None:
    assert sardonyx("import-triton", tmp_path, exit_code=2)["code"] == "nothing_to_import"
    assert sardonyx("import-triton", tmp_path / "nowhere", exit_code=2)["code"] == "file_error"


def at_a_terminal(*arguments: str, types: bytes, meanwhile: Callable[[], object] | None = None) -> tuple[int, str]:
    """Run a command with a terminal of its own and return how it ended and what it showed.

    What is typed is typed at once, or when the command has asked and something else has happened ``meanwhile``.
    """
    ours, its = os.openpty()
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, close_fds=True) as process:
        os.close(its)
        shown = bytearray()
        if meanwhile is not None:
            while b"Promote it?" not in shown:
                shown += os.read(ours, 65536)
            meanwhile()
        os.write(ours, types)
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # nobody has the other end open any more
                break
    os.close(ours)
    return process.returncode, shown.decode()


def test_a_promotion_is_shown_and_asked_about_by_who_wants_that(gateway: GatewayProcess) -> None:
    with Client(gateway.url) as client:
        for factor in (2, 3):
            client.register(scaling_bytes(factor), name="asked")
        client.promote("asked", 1)

        declined = at_a_terminal("promote", "asked", "2", "--ask", "--url", gateway.url, types=b"n\n")
        after_no = client.alias("asked")["version"]
        agreed = at_a_terminal("promote", "asked", "2", "--ask", "--url", gateway.url, types=b"y\n")
        after_yes = client.alias("asked")["version"]

    assert (declined[0], after_no, agreed[0], after_yes) == (1, 1, 0, 2)
    assert "golden examples" in declined[1]
    assert "Nothing has moved" in declined[1]
    assert "asked@production: 1 -> 2" in agreed[1]


def test_what_was_agreed_to_holds_for_what_was_shown_only(gateway: GatewayProcess) -> None:
    with Client(gateway.url) as client:
        for factor in (2, 3, 4):
            client.register(scaling_bytes(factor), name="moving")
        client.promote("moving", 1)
        ask = ("promote", "moving", "2", "--ask", "--url", gateway.url)

        beside = at_a_terminal(*ask, types=b"y\n", meanwhile=lambda: client.canary("moving", 3, 10))
        made = at_a_terminal(
            *ask, "--alias", "new", types=b"y\n", meanwhile=lambda: client.promote("moving", 3, alias="new")
        )

        live, new = client.alias("moving"), client.alias("moving", "new")
    assert [(code, "generation_conflict" in shown) for code, shown in (beside, made)] == [(5, True), (5, True)]
    assert (live["version"], live["canary"]["version"], new["version"]) == (1, 3, 3)


def test_otherwise_nothing_is_asked_at_a_terminal_either(gateway: GatewayProcess) -> None:
    with Client(gateway.url) as client:
        client.register(scaling_bytes(2), name="unasked")

        code, shown = at_a_terminal("promote", "unasked", "1", "--url", gateway.url, types=b"n\n")

        assert (code, client.alias("unasked")["version"]) == (0, 1)
        assert "Promote it?" not in shown


def test_where_nobody_sits_at_a_terminal_a_question_is_refused(sardonyx: Run) -> None:
    sardonyx("promote", "nobody", "1", "--ask", exit_code=2, is_json=False)
