"""Where there are thousands of models, the tab key offers their names all the same."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert

from registry.sql.tables import models
from tests.support import completing
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.registries import make_sqlite_database

NOW = datetime(2026, 5, 17, tzinfo=UTC)
OTHERS = [f"model-{number:05}" for number in range(10_000)]
NAMES = [*OTHERS, "iris", "iris-two", "iris.old", "hiris"]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with ten thousand names; none of them has a version."""
    folder = tmp_path_factory.mktemp("crowded")
    engine = create_engine(url := make_sqlite_database(folder))
    with engine.begin() as connection:
        row = {"description": "", "tags": {}, "next_number": 1, "created_by": "a", "created_at": NOW}
        connection.execute(insert(models), [{"name": name, **row} for name in NAMES])
    engine.dispose()
    with running_gateway(folder / "data", database_url=url) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("typed", "offered", "asked"),
    [
        ("iris", ["iris", "iris-two", "iris.old"], 1),
        ("model-0999", OTHERS[9990:], 1),
        ("model-", OTHERS[:100], 1),
        ("Iris", [], 0),
        ("z", [], 1),
    ],
    ids=["few", "far behind", "too many", "no name", "none"],
)
def test_names_are_offered_and_asked_for_once_at_most(
    crowded: GatewayProcess, typed: str, offered: list[str], asked: int, tmp_path: Path
) -> None:
    before = questions(crowded)

    assert completing.offered(crowded, f"sardonyx show {typed}", tmp_path) == offered
    wait_until(lambda: questions(crowded) >= before + asked)  # a line is written behind its answer
    assert questions(crowded) == before + asked


def questions(gateway: GatewayProcess) -> int:
    return sum(line.get("path") == "/registry/models" for line in gateway.log_lines())
