"""The table of tests for the fault rows is true, and so is the one of waits."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from tests.fault_rows_b import INVARIANTS, ROWS
from tests.waits import LIMITS, UNLIMITED, Limit, unlimited_waits

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "registry", "model_store")
TABLE = {**{f"row {row}": tests for row, tests in ROWS.items()}, **INVARIANTS}


def names_in(module: str) -> set[str]:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_row_from_upload_to_the_clock_is_there() -> None:
    assert sorted(ROWS) == [*range(32, 46), *range(51, 64)]
    assert sorted(INVARIANTS) == ["A1", "A3", "A4", "A5", "A7", *(f"I{number}" for number in range(1, 7))]


@pytest.mark.parametrize("what", TABLE)
def test_the_tests_of_a_row_exist(what: str) -> None:
    named = [test.split("::") for test in TABLE[what]]
    assert named
    assert [(module, name) for module, name in named if name not in names_in(module)] == []


def test_every_wait_in_the_code_has_a_limit_or_a_reason() -> None:
    assert sorted(set(unlimited_waits(ROOT, PACKAGES)) - set(UNLIMITED)) == []


def test_no_reason_is_left_of_a_wait_that_is_gone() -> None:
    assert sorted(set(UNLIMITED) - set(unlimited_waits(ROOT, PACKAGES))) == []


def limit_in_code(limit: Limit) -> float:
    owner, _, field = limit.name.partition(".")
    found = getattr(import_module(limit.module), owner)
    if not field:
        return float(found)
    fields = getattr(found, "model_fields", None) or found.__dataclass_fields__
    return float(fields[field].default)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.wait)
def test_the_limits_are_what_the_table_says(limit: Limit) -> None:
    assert limit_in_code(limit) == limit.seconds


def test_the_administrators_page_has_every_limit() -> None:
    page = (ROOT / "docs" / "administrators.md").read_text(encoding="utf-8")
    rows = {f"| {limit.wait} | {limit.seconds:g} s |" for limit in LIMITS}
    assert {row for row in rows if row not in page} == set()
