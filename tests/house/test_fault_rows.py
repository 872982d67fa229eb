"""Each row of the fault table has tests, and they are there."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.fault_rows import INVARIANTS, ROWS

ROOT = Path(__file__).parents[2]
TABLE = {**{f"row {row}": tests for row, tests in ROWS.items()}, **INVARIANTS}


@cache
def names_in(module: str) -> frozenset[str]:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def test_no_row_is_left_out() -> None:
    assert sorted(ROWS) == list(range(1, 64))


@pytest.mark.parametrize("what", TABLE)
def test_the_tests_of_a_row_are_there(what: str) -> None:
    named = [tuple(test.split("::")) for test in TABLE[what]]
    assert named
    assert [(module, name) for module, name in named if name not in names_in(module)] == []
