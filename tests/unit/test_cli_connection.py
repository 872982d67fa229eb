import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.connection import actor_name, public_url, read_settings
from gateway.cli.exits import CommandFailed, ExitCode

NOBODY = 65534


def test_root_becomes_the_owner_of_the_data_folder(tmp_path: Path) -> None:
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(tmp_path, NOBODY, NOBODY)
    program = (
        "import os, pathlib, sys; from gateway.host import become_owner; "
        "become_owner(pathlib.Path(sys.argv[1])); print(os.getresuid(), os.getresgid())"
    )

    run = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)

    after = ((NOBODY,) * 3, (NOBODY,) * 3) if is_root else (os.getresuid(), os.getresgid())
    assert run.stdout.strip() == f"{after[0]} {after[1]}"


def test_root_stays_root_where_there_is_no_folder_yet(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from gateway.host import become_owner; "
        "become_owner(pathlib.Path(sys.argv[1]) / 'nothing'); print(os.geteuid())"
    )

    run = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == str(os.geteuid())


def test_what_the_command_line_says_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SARDONYX_PORT", "8100")
    monkeypatch.setenv("SARDONYX_DATA_DIR", str(tmp_path))

    settings = read_settings(port=8200, host=None)

    assert (settings.port, settings.host, settings.data_dir) == (8200, "127.0.0.1", tmp_path)


def test_every_setting_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARDONYX_PORT", "eighty")

    with pytest.raises(CommandFailed) as caught:
        read_settings(workers=0)

    assert caught.value.exit_code is ExitCode.BAD_INPUT
    assert [part.split(":")[0] for part in caught.value.document["detail"].split("; ")] == ["workers", "port"]


@pytest.mark.parametrize(
    ("url", "variables", "shown"),
    [
        (None, {}, ("http://127.0.0.1:8000", False)),
        (None, {"SARDONYX_PORT": "9000", "SARDONYX_HOST": "::1"}, ("http://[::1]:9000", False)),
        (None, {"SARDONYX_URL": "https://ml.test/", "SARDONYX_TOKEN": "t"}, ("https://ml.test", True)),
        ("http://other.test", {"SARDONYX_URL": "https://ml.test"}, ("http://other.test", False)),
    ],
    ids=["the settings' defaults", "the settings", "the environment", "the option"],
)
def test_the_line_to_try_goes_where_the_command_went(
    url: str | None, variables: dict[str, str], shown: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert public_url(url) == shown


def test_somebody_is_named_in_the_history() -> None:
    assert actor_name() != ""
