"""`make run`, as a newcomer meets it: started twice, each time stopped with Ctrl-C."""

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from examples import first_run
from tests.support.gateway_process import fixed_port


@contextmanager
def _running(data_dir: Path, port: int) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start it and wait for the welcome; whatever happens, it is stopped by what a terminal sends."""
    command = [sys.executable, str(Path(first_run.__file__)), "--port", str(port)]
    environment = {**os.environ, "SARDONYX_DATA_DIR": str(data_dir)}  # noqa: TID251  a child needs the test's own
    log = data_dir.with_suffix(".log").open("a")
    with log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as running:
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            if "Ctrl-C stops it" in line:
                break
        try:
            yield running, "".join(lines)
        finally:
            running.send_signal(signal.SIGINT)
            running.stdout.read()
            running.wait()


def _follow(curl_line: str) -> tuple[int, dict[str, Any]]:
    """Do what the printed curl line does."""
    words = shlex.split(curl_line)
    (url,) = (word for word in words if word.startswith("http://"))
    host, path = url.removeprefix("http://").split("/", 1)
    connection = http.client.HTTPConnection(host, timeout=30)
    body = words[words.index("-d") + 1]
    connection.request("POST", "/" + path, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    try:
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.timeout(240)
def test_two_runs_find_the_same_models_and_stop_on_ctrl_c(tmp_path: Path) -> None:
    answers = []
    for _ in range(2):
        port = fixed_port()
        with _running(tmp_path / "data", port) as (running, said):
            (curl_line,) = re.findall(r"^  (curl .*)$", said, re.MULTILINE)
            assert f"http://127.0.0.1:{port}/docs" in said
            assert "iris (versions 1 and 2)" in said
            answers.append(_follow(curl_line))
        assert running.returncode == 0
    status, answer = answers[0]
    assert (status, answer["model"], answer["version"], answer["outputs"]["label"]) == (200, "iris", 1, [0])
    assert answers[0] == answers[1]


def test_it_says_how_to_get_in_where_tokens_are_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(first_run.__file__)), "--port", str(fixed_port())]
    here = {name: value for name, value in os.environ.items() if name != "SARDONYX_TOKEN"}  # noqa: TID251  as above
    environment = here | {"SARDONYX_DATA_DIR": str(tmp_path / "data"), "SARDONYX_AUTH": "on"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the gateway asks for an access token: {first_run.HOW_TO_GET_IN}" in done.stderr
