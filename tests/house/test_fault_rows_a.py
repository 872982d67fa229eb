"""Each row of the fault table has tests, and they are there."""

import ast
from pathlib import Path

import pytest

from tests.fault_rows_a import ROWS

ROOT = Path(__file__).parent.parent.parent
EXPECTED = {*range(1, 27), 30, 31, *range(46, 51)}


def test_no_row_is_left_out() -> None:
    assert (set(ROWS), [row for row, tests in ROWS.items() if not tests]) == (EXPECTED, [])


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_are_there(row: int) -> None:
    missing = [name for name in ROWS[row] if name.partition("::")[2] not in functions_of(name.partition("::")[0])]
    assert missing == []


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
