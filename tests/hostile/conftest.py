"""What a process keeps for all its inspections is there before any is counted."""

import pytest

from tests.support.inspecting import have_forerunner


@pytest.fixture(scope="session", autouse=True)
def _a_forerunner_is_there() -> None:
    have_forerunner()
