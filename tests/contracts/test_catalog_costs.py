"""What reading costs the database: a fixed number of statements a page, each by way of an index."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from registry.crashes import Crashes
from registry.names import PRODUCTION
from registry.ports import Catalog
from registry.promotion import Proposal
from registry.sql.engine import open_engine
from registry.sql.unit_of_work import SqlRegistry
from tests.support.registries import Bench, digest_of, make_sqlite_database


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(make_sqlite_database(tmp_path))
    bench = Bench(SqlRegistry(opened), tmp_path)
    for name in ("a", "b", "c"):
        bench.register_versions(name, 3)
        for alias in (PRODUCTION, "blue"):
            bench.promotion.move(name, alias, Proposal(version=2), actor="ada")
        Crashes(bench.registry, bench.clock).quarantine(name, 3, reason="tests", actor="ada")
    yield opened
    opened.dispose()


def statements_of(engine: Engine, read: Callable[[Catalog], Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT"):
            found.append((arguments[2], arguments[3]))

    event.listen(engine, "before_cursor_execute", note)
    with SqlRegistry(engine).reading() as catalog:
        read(catalog)
    event.remove(engine, "before_cursor_execute", note)
    return found


def plans_of(engine: Engine, statements: list[tuple[str, Any]]) -> list[str]:
    """Return what the database does for some statements, step by step."""
    with engine.connect() as connection:
        return [
            row[3]
            for statement, parameters in statements
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


@pytest.mark.parametrize(
    ("read", "statements"),
    [
        pytest.param(lambda catalog: catalog.find_model("b"), 2, id="a model"),
        pytest.param(lambda catalog: catalog.list_models(limit=1), 2, id="a page of one model"),
        pytest.param(lambda catalog: catalog.list_models(limit=3, after="a"), 2, id="a page of models"),
        pytest.param(lambda catalog: catalog.find_version("b", 2), 2, id="a version"),
        pytest.param(lambda catalog: catalog.list_versions("b", limit=3), 2, id="a page of versions"),
        pytest.param(lambda catalog: catalog.find_version_of_artifact("b", digest_of(b"{}")), 1, id="bytes"),
        pytest.param(lambda catalog: catalog.find_alias("b", PRODUCTION), 1, id="an alias"),
        pytest.param(lambda catalog: catalog.find_inspection(digest_of(b"{}"), "x"), 1, id="an inspection"),
        pytest.param(lambda catalog: catalog.list_moves("b", PRODUCTION), 1, id="moves"),
        pytest.param(lambda catalog: catalog.list_events(after=3, limit=5), 1, id="events"),
        pytest.param(lambda catalog: catalog.latest_sequence(), 1, id="the newest event"),
    ],
)
def test_reading_takes_few_statements_and_scans_no_table(
    engine: Engine, read: Callable[[Catalog], Any], statements: int
) -> None:
    found = statements_of(engine, read)
    plans = plans_of(engine, found)
    assert len(found) == statements
    assert [step for step in plans if step.startswith("SCAN") and " INDEX " not in step] == []
    assert [step for step in plans if "TEMP B-TREE" in step] == []


@pytest.mark.parametrize("after", [None, "a:2"])
def test_versions_that_run_elsewhere_are_found_by_going_through_those_only(engine: Engine, after: str | None) -> None:
    found = statements_of(engine, lambda catalog: catalog.list_isolated(limit=2, after=after))
    assert len(found) == 2
    assert [step for step in plans_of(engine, found) if step.startswith("SCAN")] == ["SCAN standings"]
