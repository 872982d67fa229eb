"""What holds for the whole tree and no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import PREFIX, Settings
from gateway.web.problems import STATUS, all_errors

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "registry", "model_store", "migrations")

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
IN_ONE_PIECE = {
    "migrations/versions/0001_first_tables.py": "a schema's first revision is a list",
}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def test_every_error_has_a_status() -> None:
    assert set(STATUS) == set(all_errors())


def test_every_code_is_explained_in_the_documentation() -> None:
    page = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    families = {error for error in STATUS if error.__subclasses__() and "code" not in vars(error)}
    missing = {error.code for error in STATUS if error not in families and f"`{error.code}`" not in page}
    assert missing == set()


def test_every_reason_to_refuse_a_file_is_explained_in_the_documentation() -> None:
    page = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    reasons = set()
    for path in modules():
        reasons |= set(re.findall(r"InvalidArtifact\(\s*\"([a-z_]+)\"", path.read_text("utf-8")))
    assert reasons
    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()


def test_every_setting_is_explained_in_the_documentation() -> None:
    page = (ROOT / "docs" / "administrators.md").read_text(encoding="utf-8")
    assert {name for name in Settings.model_fields if f"`{PREFIX}{name.upper()}`" not in page} == set()


@pytest.mark.parametrize("name", sorted({str(path.relative_to(ROOT)) for path in modules()} - set(IN_ONE_PIECE)))
def test_modules_and_functions_fit_a_reader(name: str) -> None:
    source = (ROOT / name).read_text(encoding="utf-8")
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    too_long = [node.name for node in functions if (node.end_lineno or 0) - node.body[0].lineno >= LONGEST_FUNCTION]
    assert (source.count("\n") <= LONGEST_MODULE, too_long) == (True, [])


def test_the_lock_pins_everything_and_names_no_host() -> None:
    pin = r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+(; python_version < \"3\.\d+\")?"
    for lock in (ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock"):
        lines = [line for line in lock.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        assert [line for line in lines if re.fullmatch(pin, line) is None] == []


WALL_CLOCKS = {
    "gateway/parts.py": "the one clock of the gateway, for what people read",
    "gateway/telemetry.py": "when access lines were written, as other lines say it",
    "model_store/memory.py": "when an object was put, injected in tests",
    "model_store/shared_folders.py": "file times, which are the wall clock's",
}


def test_the_wall_clock_is_read_in_few_places_and_never_for_durations() -> None:
    reads = re.compile(r"time\.time\b|datetime\.now\b|utcnow\b|from time import [^\n]*\btime\b")
    found = {str(path.relative_to(ROOT)) for path in modules() if reads.search(path.read_text(encoding="utf-8"))}
    assert found == set(WALL_CLOCKS)
