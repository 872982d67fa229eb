"""What the registry does when its PostgreSQL is away, stands still, is held by others, or comes back."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from registry.errors import RegistryBusy, RegistryUnavailable, SchemaMismatch
from registry.ports import Transaction
from registry.promotion import Proposal
from registry.sql import schema
from registry.sql.unit_of_work import SqlRegistry
from tests.support.postgres import PostgresServer, make_postgres_database, postgres_server
from tests.support.registries import NOON, Bench

QUICK_SECONDS = 0.05
POOLED = 15

DIE_INSIDE = """
import os, signal, sys
from datetime import UTC, datetime
from registry.sql.unit_of_work import SqlRegistry

registry = SqlRegistry.open(sys.argv[1])
with registry.writing() as transaction:
    transaction.set_alias("iris", "production", version=2, canary=None, at=datetime.now(UTC))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def read(registry: SqlRegistry) -> None:
    with registry.reading() as catalog:
        catalog.latest_sequence()


def write(registry: SqlRegistry) -> None:
    with registry.writing() as transaction:
        transaction.ensure_model("iris", actor="ada", at=NOON)


EVERY_VISIT = pytest.mark.parametrize("visit", [read, write, SqlRegistry.check_schema], ids=["read", "write", "check"])


@pytest.fixture
def registry(server: PostgresServer) -> Iterator[SqlRegistry]:
    url = server.create("registry")
    schema.upgrade(url)
    with closing(SqlRegistry.open(url, busy_timeout_seconds=1)) as opened:
        yield opened


@EVERY_VISIT
def test_connections_that_a_restart_has_killed_never_surface(
    server: PostgresServer, registry: SqlRegistry, visit: Callable[[SqlRegistry], None]
) -> None:
    with ExitStack() as visits:
        for _ in range(4):
            visits.enter_context(registry.reading())
    server.restart()
    for _ in range(5):
        visit(registry)


@EVERY_VISIT
def test_a_server_that_is_away_is_unavailable_until_it_is_back(
    server: PostgresServer, registry: SqlRegistry, visit: Callable[[SqlRegistry], None]
) -> None:
    visit(registry)
    server.stop()
    with pytest.raises(RegistryUnavailable) as caught:
        visit(registry)
    server.start()
    visit(registry)
    assert (caught.value.detail, caught.value.retry_after_seconds) == ("the registry's database does not answer", 5)


@EVERY_VISIT
def test_a_server_that_stands_still_is_unavailable_until_it_goes_on(
    server: PostgresServer, registry: SqlRegistry, visit: Callable[[SqlRegistry], None]
) -> None:
    visit(registry)
    server.pause()
    with pytest.raises(RegistryUnavailable):
        visit(registry)
    with pytest.raises(RegistryUnavailable):
        visit(registry)
    server.resume()
    visit(registry)


def test_a_server_that_stands_still_in_the_middle_of_a_visit_ends_it(
    server: PostgresServer, registry: SqlRegistry
) -> None:
    def write_and_stop(transaction: Transaction) -> None:
        transaction.ensure_model("iris", actor="ada", at=NOON)
        server.pause()
        transaction.ensure_model("wine", actor="ada", at=NOON)

    with pytest.raises(RegistryUnavailable), registry.writing() as writing:
        write_and_stop(writing)
    server.resume()
    with registry.reading() as catalog:
        assert catalog.find_model("iris") is None


def test_another_writer_makes_the_registry_busy_for_writers_only() -> None:
    url = make_postgres_database()
    with (
        closing(SqlRegistry.open(url)) as first,
        closing(SqlRegistry.open(url, busy_timeout_seconds=QUICK_SECONDS)) as second,
    ):
        with first.writing():
            with pytest.raises(RegistryBusy) as caught:
                write(second)
            read(second)
        write(second)
    assert caught.value.detail == "another writer holds the registry's database"


def test_visitors_beyond_the_pool_find_the_registry_busy() -> None:
    with (
        closing(SqlRegistry.open(make_postgres_database(), busy_timeout_seconds=QUICK_SECONDS)) as registry,
        ExitStack() as visits,
    ):
        for _ in range(POOLED):
            visits.enter_context(registry.reading())
        with pytest.raises(RegistryBusy) as caught:
            read(registry)
        visits.close()
        read(registry)
    assert caught.value.detail == "all connections to the registry's database are in use"


def test_a_process_killed_between_statements_leaves_the_old_state_and_no_lock(tmp_path: Path) -> None:
    url = make_postgres_database()
    with closing(SqlRegistry.open(url)) as registry:
        bench = Bench(registry, tmp_path)
        bench.register_versions("iris", 2)
        bench.promotion.move("iris", "production", Proposal(version=1), actor="ada")
        died = subprocess.run([sys.executable, "-c", DIE_INSIDE, url], check=False, capture_output=True)
        moved = bench.promotion.move("iris", "production", Proposal(version=2, expected=1), actor="ada")
    assert (died.returncode, died.stderr) == (-signal.SIGKILL, b"")
    assert moved.alias.generation == 2


@EVERY_VISIT
def test_a_database_that_was_never_made_is_unavailable(visit: Callable[[SqlRegistry], None]) -> None:
    url = postgres_server().url_of("nosuch")
    with closing(SqlRegistry.open(url)) as registry, pytest.raises(RegistryUnavailable):
        visit(registry)


@EVERY_VISIT
def test_a_database_without_tables_has_another_schema(visit: Callable[[SqlRegistry], None]) -> None:
    url = postgres_server().create(f"empty_{visit.__name__}")
    with closing(SqlRegistry.open(url)) as registry, pytest.raises(SchemaMismatch, match="sardonyx db upgrade"):
        visit(registry)


def test_several_that_upgrade_one_database_upgrade_it_once() -> None:
    url = postgres_server().create("upgraded_by_many")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: schema.upgrade(url), range(4)))
    head = schema.head_revision()
    assert sorted(found, key=str) == [(head, head)] * 3 + [(None, head)]


def test_what_is_read_is_one_moment(tmp_path: Path) -> None:
    with closing(SqlRegistry.open(make_postgres_database())) as registry:
        bench = Bench(registry, tmp_path)
        bench.register_versions("iris", 1)
        with registry.reading() as catalog:
            before = catalog.latest_sequence()
            bench.register("iris", {"salt": "later"})
            assert (catalog.latest_sequence(), len(catalog.list_versions("iris", limit=9).items)) == (before, 1)
