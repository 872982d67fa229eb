"""Every wait in the code has a limit or a reason, and the table of them is true."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.waits import LIMITS, UNLIMITED, Limit, unlimited_waits

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "registry", "model_store")


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
