"""The same way up and down on PostgreSQL, and the triggers that guard what is written once there."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql

from registry.promotion import Proposal
from registry.records import Canary
from registry.sql import schema
from registry.sql.engine import open_engine, transaction
from registry.sql.tables import metadata
from registry.sql.unit_of_work import SqlRegistry
from tests.support.postgres import make_postgres_database, postgres_server
from tests.support.registries import Bench

Connection: TypeAlias = "psycopg.Connection[Any]"

OBJECTS = """
SELECT 'relation', relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'
UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'public'
"""


def objects_of(database: str) -> set[tuple[Any, ...]]:
    with closing(postgres_server().connect(database)) as connection:
        return set(connection.execute(OBJECTS).fetchall())


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_up_down_and_up_again_ends_where_it_began() -> None:
    url = postgres_server().create("up_and_down")
    assert schema.upgrade(url) == (None, schema.head_revision())
    first = objects_of("up_and_down")
    schema.downgrade(url, revision="base")
    assert objects_of("up_and_down") == {("relation", "alembic_version"), ("relation", "alembic_version_pkc")}
    assert schema.upgrade(url) == (None, schema.head_revision())
    assert objects_of("up_and_down") == first


def test_the_revisions_make_exactly_the_tables_of_the_code() -> None:
    engine = open_engine(make_postgres_database())
    with transaction(engine, writes=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True, "compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_upgrading_what_is_up_to_date_keeps_everything(tmp_path: Path) -> None:
    url = make_postgres_database()
    with closing(SqlRegistry.open(url)) as registry:
        before = Bench(registry, tmp_path).register("iris", {}).version
        assert schema.upgrade(url) == (schema.head_revision(), schema.head_revision())
        with registry.reading() as catalog:
            assert catalog.find_version("iris", 1) == before


def test_an_upgrade_that_cannot_finish_leaves_nothing() -> None:
    url = postgres_server().create("in_the_way")
    with closing(postgres_server().connect("in_the_way")) as connection:
        connection.execute("CREATE TABLE events (in_the_way integer)")
    with pytest.raises(Exception, match="refused a statement"):
        schema.upgrade(url)
    assert objects_of("in_the_way") == {("relation", "events")}


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Connection]:
    """A bare connection to a database that has rows in every table."""
    url = make_postgres_database()
    with closing(SqlRegistry.open(url)) as registry:
        bench = Bench(registry, tmp_path)
        bench.register_versions("iris", 3)
        for version in (1, 2):
            bench.promotion.move("iris", "production", Proposal(version=version), actor="ada")
        bench.promotion.move(
            "iris", "production", Proposal(version=2, canary=Canary(version=1, percent=5)), actor="ada"
        )
        with registry.writing() as writing:
            writing.retire_version("iris", 3, actor="ada", at=bench.clock.now())
    with closing(postgres_server().connect(name_of(url))) as connection:
        yield connection


@pytest.mark.parametrize("table", ["events", "moves", "versions", "artifacts", "artifact_files", "inspections"])
def test_rows_that_are_written_once_can_neither_go_nor_be_swept_away(written: Connection, table: str) -> None:
    for statement in ("DELETE FROM {}", "TRUNCATE {} CASCADE"):
        with pytest.raises(psycopg.IntegrityError, match="rows cannot be deleted"):
            written.execute(sql.SQL(statement).format(sql.Identifier(table)))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE events SET actor = 'eve'", "events: .* cannot be changed"),
        ("UPDATE moves SET reason = 'none'", "moves: .* cannot be changed"),
        ("UPDATE versions SET number = number + 10", "versions: .* cannot be changed"),
        ("UPDATE versions SET artifact_digest = ''", "versions: .* cannot be changed"),
        ("UPDATE versions SET created_by = 'eve'", "versions: .* cannot be changed"),
        ("UPDATE versions SET retired_at = NULL", "a retired version stays retired"),
        ("UPDATE artifacts SET runtime = 'x'", "artifacts: .* cannot be changed"),
        ("UPDATE artifact_files SET name = 'x'", "artifact_files: .* cannot be changed"),
        ("UPDATE inspections SET inspection = '{}'", "inspections: .* cannot be changed"),
    ],
)
def test_the_database_itself_refuses_to_rewrite_what_was(written: Connection, statement: str, message: str) -> None:
    with pytest.raises(psycopg.IntegrityError, match=message):
        written.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE versions SET description = 'x', tags = '{}', batching = 'off'", id="what people wrote"),
        pytest.param("UPDATE versions SET retired_at = '2026-01-01 00:00:00Z' WHERE number = 1", id="retiring"),
        pytest.param("UPDATE aliases SET version = 1", id="an alias"),
        pytest.param("DELETE FROM aliases", id="dropping an alias"),
    ],
)
def test_the_database_lets_through_what_may_change(written: Connection, statement: str) -> None:
    assert written.execute(statement).rowcount > 0


def test_an_alias_cannot_point_to_what_is_not_there(written: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        written.execute("UPDATE aliases SET version = 99")
