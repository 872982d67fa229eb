"""docs/security.md names a test for each promise: every one of them exists, and no promise goes without."""

import ast
import re

import pytest

from tests.supply_chain.locks import ROOT
from tests.supply_chain.source_rules import RULES

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
PROMISES = [f"{letter}{number}" for letter, count in (("I", 7), ("A", 7), ("C", 8)) for number in range(1, count + 1)]

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[str, str]:
    """The table of the promises, by their signs."""
    return {match[1]: match[0] for match in re.finditer(r"^\| ([IAC]\d) \|.*$", PAGE, re.MULTILINE)}


def names_in(source: str) -> set[str]:
    """The functions and classes of a module, and what it has given a name."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def missing_tests(page: str) -> set[str]:
    """What a page names and nobody has written."""
    named = {(match[1], match[2]) for match in NAMED.finditer(page)}
    sources = {path: ROOT / path for path, _ in named}
    found = {path: names_in(file.read_text("utf-8")) for path, file in sources.items() if file.exists()}
    return {f"{path}::{name}" for path, name in named if name not in found.get(path, ())}


def test_every_test_that_it_names_exists() -> None:
    assert missing_tests(PAGE) == set()


@pytest.mark.parametrize(
    "name", ["tests/house/test_security_page.py::test_of_nothing", "tests/house/test_of_nothing.py::test_nothing"]
)
def test_a_test_that_does_not_exist_is_noticed(name: str) -> None:
    assert missing_tests(f"| I9 | held by | `{name}` |") == {name}


def test_every_promise_is_there_once_and_has_a_test() -> None:
    assert list(rows()) == PROMISES
    assert {sign for sign, row in rows().items() if not NAMED.search(row)} == set()


def test_every_rule_of_the_sources_is_in_the_table_of_what_went_wrong_elsewhere() -> None:
    assert {rule for rule in RULES if rule not in PAGE} == set()


def test_the_readme_leads_there() -> None:
    assert "(docs/security.md)" in (ROOT / "README.md").read_text("utf-8")
