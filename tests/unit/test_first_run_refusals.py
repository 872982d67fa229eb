"""What ``make run`` says before it starts anything."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples import first_run


def _run(*arguments: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(Path(first_run.__file__)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_busy_port_is_named_before_anything_is_started(busy_port: int, way: str) -> None:
    port = str(busy_port)
    done = _run("--port", port) if way == "option" else _run(environment={"SARDONYX_PORT": port})
    hint = f"port {busy_port} is in use; choose another with SARDONYX_PORT={busy_port + 1} make run\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", hint)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_what_is_no_port_is_bad_usage(port: str) -> None:
    done = _run("--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert port in done.stderr
