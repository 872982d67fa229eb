"""What the SQLite registry does when its file, its lock or its process is not what it should be."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from registry.errors import InternalError, RegistryBusy, RegistryUnavailable, SchemaMismatch, ServiceError
from registry.promotion import Proposal
from registry.sql import schema
from registry.sql.engine import open_engine, translated_errors
from registry.sql.unit_of_work import SqlRegistry
from tests.support.registries import NOON, Bench, make_sqlite_database

QUICK_SECONDS = 0.05
POOLED = 15

DIE_INSIDE = """
import os, signal, sys
from datetime import UTC, datetime
from registry.sql.unit_of_work import SqlRegistry

registry = SqlRegistry.open(sys.argv[1])
with registry.writing() as transaction:
    transaction.set_alias("iris", "production", version=2, canary=None, at=datetime.now(UTC))
    transaction.ensure_model("other", actor="ada", at=datetime.now(UTC))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def read(registry: SqlRegistry) -> None:
    with registry.reading() as catalog:
        catalog.latest_sequence()


def write(registry: SqlRegistry) -> None:
    with registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON)


EVERY_VISIT = pytest.mark.parametrize("visit", [read, write, SqlRegistry.check_schema], ids=["read", "write", "check"])


def test_a_process_killed_between_statements_leaves_the_old_state(tmp_path: Path) -> None:
    url = make_sqlite_database(tmp_path)
    with closing(SqlRegistry.open(url)) as registry:
        bench = Bench(registry, tmp_path)
        bench.register_versions("iris", 2)
        bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
        with registry.reading() as catalog:
            before = catalog.find_model("iris")
        died = subprocess.run([sys.executable, "-c", DIE_INSIDE, url], check=False, capture_output=True)
        with registry.reading() as catalog:
            after, other = catalog.find_model("iris"), catalog.find_model("other")
        moved = bench.promotion.move("iris", "production", Proposal(version=2, expected=1), actor="ada")
    assert (died.returncode, died.stderr) == (-signal.SIGKILL, b"")
    assert (after, other) == (before, None)
    assert moved.alias.generation == 2


def test_another_writer_makes_the_registry_busy_for_writers_only(tmp_path: Path) -> None:
    url = make_sqlite_database(tmp_path)
    with (
        closing(SqlRegistry.open(url, busy_timeout_seconds=QUICK_SECONDS)) as registry,
        closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryBusy) as caught:
            write(registry)
        read(registry)
        other.execute("ROLLBACK")
        write(registry)
    assert caught.value.detail == "another writer holds the registry's database"
    assert caught.value.retry_after_seconds == 1


def test_visitors_beyond_the_pool_find_the_registry_busy(tmp_path: Path) -> None:
    with (
        closing(SqlRegistry.open(make_sqlite_database(tmp_path), busy_timeout_seconds=QUICK_SECONDS)) as registry,
        ExitStack() as visits,
    ):
        for _ in range(POOLED):
            visits.enter_context(registry.reading())
        with pytest.raises(RegistryBusy) as caught:
            read(registry)
        visits.close()
        read(registry)
    assert caught.value.detail == "all connections to the registry's database are in use"


@EVERY_VISIT
def test_a_database_that_is_not_there_is_unavailable_and_not_made(
    tmp_path: Path, visit: Callable[[SqlRegistry], None]
) -> None:
    with closing(SqlRegistry.open(f"sqlite:///{tmp_path}/registry.db")) as registry, pytest.raises(RegistryUnavailable):
        visit(registry)
    assert list(tmp_path.iterdir()) == []


@EVERY_VISIT
def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path, visit: Callable[[SqlRegistry], None]) -> None:
    (tmp_path / "registry.db").write_bytes(b"certainly not a database\n" * 100)
    with (
        closing(SqlRegistry.open(f"sqlite:///{tmp_path}/registry.db")) as registry,
        pytest.raises(RegistryUnavailable) as caught,
    ):
        visit(registry)
    assert caught.value.detail == "the registry's database does not answer"


@pytest.mark.parametrize("place", ["registry.db", "no-such-folder/registry.db"])
def test_upgrading_what_cannot_be_a_database_is_unavailable(tmp_path: Path, place: str) -> None:
    (tmp_path / "registry.db").write_bytes(b"certainly not a database\n" * 100)
    with pytest.raises(RegistryUnavailable):
        schema.upgrade(f"sqlite:///{tmp_path}/{place}")


def test_a_database_that_vanished_is_unavailable_until_it_is_back(tmp_path: Path) -> None:
    url = make_sqlite_database(tmp_path)
    path, away = tmp_path / "registry.db", tmp_path / "away.db"
    with closing(SqlRegistry.open(url)) as registry:
        path.rename(away)
        with pytest.raises(RegistryUnavailable):
            read(registry)
        away.rename(path)
        read(registry)


@pytest.mark.parametrize("url", ["", "registry.db", "mysql://x", "nosuch://x", "sqlite://[", "postgresql+nosuch://x"])
def test_a_url_of_nothing_that_can_be_opened_is_unavailable(url: str) -> None:
    with pytest.raises(RegistryUnavailable):
        SqlRegistry.open(url)


def test_a_path_with_odd_characters_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a b#c%41"
    folder.mkdir()
    url = f"sqlite:///{str(folder).replace('%', '%25')}/registry.db"
    schema.upgrade(url)
    with closing(SqlRegistry.open(url)) as registry:
        registry.check_schema()
    assert [path.name for path in folder.iterdir()] == ["registry.db"]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        pytest.param("SELECT * FROM nowhere", SchemaMismatch, id="a table that is not there"),
        pytest.param("INSERT INTO models (id) VALUES (1)", InternalError, id="a broken constraint"),
        pytest.param("SELECT :unbound", InternalError, id="a statement of ours that is wrong"),
    ],
)
def test_no_error_of_a_driver_gets_through(tmp_path: Path, statement: str, error: type[ServiceError]) -> None:
    engine = create_engine(make_sqlite_database(tmp_path))
    with pytest.raises(error) as caught, translated_errors(), engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
    assert caught.value.__cause__ is not None


def test_a_connection_is_safe_against_power_cuts_and_dangling_references(tmp_path: Path) -> None:
    engine = open_engine(make_sqlite_database(tmp_path))
    with engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    engine.dispose()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 5000}


def test_a_connection_keeps_few_pages_however_large_the_registry_is(tmp_path: Path) -> None:
    engine = open_engine(make_sqlite_database(tmp_path))
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    engine.dispose()
    assert found == -128  # negative: in KiB
