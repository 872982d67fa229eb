"""The README's session, typed as written, prints what the README says."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gateway_process import clean_environment, fixed_port

ROOT = Path(__file__).parents[2]
PORT = "8000"
"""As the README has it."""

_VARIABLE = [
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "<moment>"),
    (re.compile(r'"instance": "[^"]+"'), '"instance": "<id>"'),
    (re.compile(r"[0-9.]+ [KM]?i?B in memory"), "<measured> in memory"),
]
"""What differs from one run to the next: moments, request ids, measured memory."""


@dataclass(frozen=True, slots=True)
class Step:
    """A line that is typed, and what is printed then."""

    command: str
    prints: str


def session() -> list[Step]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.split("<!-- session", 1)[1].split("```console\n", 1)[1].split("```", 1)[0]
    steps = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [Step(*step.split("\n", 1)) for step in steps]


def settled(text: str) -> str:
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`make run` as it is, but for the port and the folder it runs in."""
    port = str(fixed_port())
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "first_run.py"), "--port", port],
        cwd=tmp_path_factory.mktemp("run"),
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Ctrl-C stops it" in line:
                break
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session types curl, which is not installed here")
def test_the_session_of_the_readme_prints_what_the_readme_says(port: str) -> None:
    steps = session()
    script = "".join(f"echo '<step {number}>'\n{step.command}\n" for number, step in enumerate(steps))
    done = subprocess.run(
        ["/bin/bash", "-c", script.replace(f":{PORT}", f":{port}")],
        cwd=ROOT,
        env=clean_environment() | {"PWD": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    printed = re.split(r"<step \d+>\n", done.stdout.replace(f":{port}", f":{PORT}"))[1:]
    assert [settled(part) for part in printed] == [settled(step.prints) for step in steps], done.stderr


def test_the_session_covers_registering_predicting_promoting_and_rolling_back() -> None:
    typed = " ".join(step.command for step in session())
    assert all(word in typed for word in ("register", "predict", "promote", "rollback", "history"))
