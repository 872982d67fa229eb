"""The way from one schema to the next and back, and the triggers that guard what is written once."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from registry.crashes import Crashes
from registry.errors import SchemaMismatch
from registry.promotion import Proposal
from registry.records import Canary
from registry.roles import Role
from registry.sql import schema
from registry.sql.engine import open_engine, transaction
from registry.sql.tables import metadata
from registry.sql.unit_of_work import SqlRegistry
from registry.tokens import Tokens
from registry.webhooks import Webhooks
from tests.support.registries import Bench, HandClock, make_sqlite_database


def tables_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type != 'index'")}


def test_up_down_and_up_again_ends_where_it_began(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    url = f"sqlite:///{path}"
    assert schema.upgrade(url) == (None, schema.head_revision())
    first = tables_of(path)
    schema.downgrade(url, revision="base")
    assert tables_of(path) == {"alembic_version", "sqlite_sequence"}
    assert schema.upgrade(url) == (None, schema.head_revision())
    assert tables_of(path) == first


def test_upgrading_what_is_up_to_date_keeps_everything(tmp_path: Path) -> None:
    url = make_sqlite_database(tmp_path)
    with closing(SqlRegistry.open(url)) as registry:
        bench = Bench(registry, tmp_path)
        before = bench.register("iris", {}).version
        assert schema.upgrade(url) == (schema.head_revision(), schema.head_revision())
        with registry.reading() as catalog:
            assert catalog.find_version("iris", 1) == before


def test_the_revisions_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = open_engine(make_sqlite_database(tmp_path))
    with transaction(engine, writes=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_several_processes_upgrade_one_database_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/registry.db"
    code = "import sys; from registry.sql import schema; print(schema.upgrade(sys.argv[1]))"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - the child's, not ours
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, url], cwd=elsewhere, env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    head = schema.head_revision()
    said = sorted(child.communicate()[0].strip() for child in children)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert said == sorted([f"(None, '{head}')", f"('{head}', '{head}')", f"('{head}', '{head}')"])


def test_an_upgrade_that_cannot_finish_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE events (in_the_way INTEGER)")
    with pytest.raises(Exception, match="does not answer"):
        schema.upgrade(f"sqlite:///{path}")
    assert tables_of(path) == {"events"}


def test_a_database_without_a_revision_is_named_so(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    sqlite3.connect(path).close()
    path.touch()
    with closing(SqlRegistry.open(f"sqlite:///{path}")) as registry, pytest.raises(SchemaMismatch) as caught:
        registry.check_schema()
    assert caught.value.detail == (
        f"the database has no revision, this code needs {schema.head_revision()}: run 'sardonyx db upgrade'"
    )


def test_a_newer_database_is_neither_used_nor_upgraded(tmp_path: Path) -> None:
    url = make_sqlite_database(tmp_path)
    with closing(sqlite3.connect(tmp_path / "registry.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    wanted = (
        f"the database has the newer revision 9999, this code needs {schema.head_revision()}: install a newer Sardonyx"
    )
    with closing(SqlRegistry.open(url)) as registry, pytest.raises(SchemaMismatch) as checked:
        registry.check_schema()
    with pytest.raises(SchemaMismatch) as upgraded:
        schema.upgrade(url)
    assert (checked.value.detail, upgraded.value.detail) == (wanted, wanted)


def test_an_older_database_is_told_to_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/registry.db"
    schema.upgrade(url, revision="0001")
    with closing(SqlRegistry.open(url)) as registry, pytest.raises(SchemaMismatch) as caught:
        registry.check_schema()
    assert caught.value.detail == (
        f"the database has the older revision 0001, this code needs {schema.head_revision()}: run 'sardonyx db upgrade'"
    )


def triggers_of(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"))


def events_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute("SELECT * FROM events ORDER BY sequence"))


def columns_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table's columns and keys, however its statement is written."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: [
                *connection.execute(f"PRAGMA table_info({name})"),
                *sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})")),
                *sorted(row[1:] for row in connection.execute(f"PRAGMA index_list({name})")),
            ]
            for (name,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
        }


def test_the_way_to_tokens_and_back_keeps_everything_but_them(tmp_path: Path) -> None:
    old, path = tmp_path / "old.db", tmp_path / "registry.db"
    schema.upgrade(f"sqlite:///{old}", revision="0001")
    url = f"sqlite:///{path}"
    schema.upgrade(url)
    with closing(SqlRegistry.open(url)) as registry:
        Bench(registry, tmp_path).register_versions("iris", 3)
        before = events_of(path)
        Tokens(registry, HandClock()).create("ada", Role.ADMIN, actor="tests")
        schema.downgrade(url, revision="0001")
        assert (columns_of(path), events_of(path)) == (columns_of(old), before)
        assert triggers_of(path) == triggers_of(old)
        schema.upgrade(url)
        Tokens(registry, HandClock()).create("ada", Role.ADMIN, actor="tests")
    assert [row[0] for row in events_of(path)] == [1, 2, 3, 5], "a number that was given once was given again"


def test_the_way_to_trials_and_back_keeps_where_aliases_point(tmp_path: Path) -> None:
    url = make_sqlite_database(tmp_path)
    with closing(SqlRegistry.open(url)) as registry:
        bench = Bench(registry, tmp_path)
        bench.register_versions("iris", 2)
        canary = Canary(version=2, percent=5, max_error_rate=0.1)
        bench.promotion.move("iris", "production", Proposal(version=1, canary=canary), actor="ada")
        schema.downgrade(url, revision="0002")
        schema.upgrade(url)
        with registry.reading() as catalog:
            alias = catalog.find_alias("iris", "production")
    assert alias is not None
    assert (alias.version, alias.canary) == (1, Canary(version=2, percent=5))


def test_the_way_to_standings_and_back_forgets_them_and_nothing_else(tmp_path: Path) -> None:
    old, path = tmp_path / "old.db", tmp_path / "registry.db"
    schema.upgrade(f"sqlite:///{old}", revision="0003")
    url = f"sqlite:///{path}"
    schema.upgrade(url)
    with closing(SqlRegistry.open(url)) as registry:
        bench = Bench(registry, tmp_path)
        before = bench.register("iris", {}).version
        Crashes(registry, bench.clock).quarantine("iris", 1, reason="tests", actor="ada")
        schema.downgrade(url, revision="0003")
        assert (columns_of(path), triggers_of(path)) == (columns_of(old), triggers_of(old))
        schema.upgrade(url)
        with registry.reading() as catalog:
            assert catalog.find_version("iris", 1) == before


def test_the_way_to_webhooks_and_back_forgets_them_and_keeps_their_events(tmp_path: Path) -> None:
    old, path = tmp_path / "old.db", tmp_path / "registry.db"
    schema.upgrade(f"sqlite:///{old}", revision="0004")
    url = f"sqlite:///{path}"
    schema.upgrade(url)
    with closing(SqlRegistry.open(url)) as registry:
        webhooks = Webhooks(registry, HandClock(), check_place=lambda _: None)
        webhooks.test(webhooks.create("https://example.org/", actor="ada").webhook.id, actor="ada")
        before = events_of(path)
        schema.downgrade(url, revision="0004")
        assert (columns_of(path), triggers_of(path), events_of(path)) == (columns_of(old), triggers_of(old), before)
        schema.upgrade(url)
        assert webhooks.list_all() == []


@pytest.fixture
def written(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A bare connection to a database that has rows in every table."""
    with closing(SqlRegistry.open(make_sqlite_database(tmp_path))) as registry:
        bench = Bench(registry, tmp_path)
        bench.register_versions("iris", 3)
        for version in (1, 2):
            bench.promotion.move("iris", "production", Proposal(version=version), actor="ada")
        bench.promotion.move(
            "iris", "production", Proposal(version=2, canary=Canary(version=1, percent=5)), actor="ada"
        )
        with registry.writing() as transaction:
            transaction.retire_version("iris", 3, actor="ada", at=bench.clock.now())
        Crashes(registry, bench.clock).quarantine("iris", 1, reason="tests", actor="ada")
        tokens = Tokens(registry, bench.clock)
        tokens.create("good", Role.ADMIN, actor="ada")
        tokens.revoke(tokens.create("gone", Role.PREDICT, actor="ada").token.id, actor="ada")
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


EVENTS = "events: sequence, kind, model_id, version, alias, actor, at, detail cannot be changed"
MOVES = "moves: id, model_id, alias, from_version, to_version, kind, undoes, actor, reason, at cannot be changed"
VERSIONS = "versions: model_id, number, artifact_digest, created_at, created_by cannot be changed"
FILES = "artifact_files: artifact_digest, position, name, file_digest, size_bytes cannot be changed"
TOKENS = "tokens: id, name, role, models, secret_sha256, created_at, created_by, expires_at cannot be changed"
INSPECTIONS = "inspections: artifact_digest, runtime, inspection, created_at cannot be changed"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE events SET actor = 'eve'", EVENTS),
        ("DELETE FROM events", "events: rows cannot be deleted"),
        ("REPLACE INTO events SELECT * FROM events", "events: rows cannot be replaced"),
        ("UPDATE moves SET reason = 'none'", MOVES),
        ("DELETE FROM moves WHERE id = 2", "moves: rows cannot be deleted"),
        ("REPLACE INTO moves SELECT * FROM moves", "moves: rows cannot be replaced"),
        ("UPDATE versions SET model_id = 2", VERSIONS),
        ("UPDATE versions SET number = number + 10", VERSIONS),
        ("UPDATE versions SET artifact_digest = ''", VERSIONS),
        ("UPDATE versions SET created_at = '2000-01-01'", VERSIONS),
        ("UPDATE versions SET created_by = 'eve'", VERSIONS),
        ("DELETE FROM versions", "versions: rows cannot be deleted"),
        ("REPLACE INTO versions SELECT * FROM versions", "versions: rows cannot be replaced"),
        ("UPDATE versions SET retired_at = NULL", "versions: a retired version stays retired"),
        ("UPDATE versions SET retired_by = 'eve'", "versions: a retired version stays retired"),
        ("UPDATE artifacts SET runtime = 'x'", "artifacts: digest, runtime, created_at cannot be changed"),
        ("DELETE FROM artifacts", "artifacts: rows cannot be deleted"),
        ("REPLACE INTO artifacts SELECT * FROM artifacts", "artifacts: rows cannot be replaced"),
        ("UPDATE artifact_files SET name = 'x'", FILES),
        ("DELETE FROM artifact_files", "artifact_files: rows cannot be deleted"),
        ("REPLACE INTO artifact_files SELECT * FROM artifact_files", "artifact_files: rows cannot be replaced"),
        ("UPDATE tokens SET role = 'admin'", TOKENS),
        ("UPDATE tokens SET models = NULL", TOKENS),
        ("UPDATE tokens SET expires_at = NULL", TOKENS),
        ("UPDATE tokens SET secret_sha256 = ''", TOKENS),
        ("UPDATE tokens SET revoked_at = NULL", "tokens: a revoked token stays revoked"),
        ("UPDATE tokens SET revoked_by = 'eve'", "tokens: a revoked token stays revoked"),
        ("DELETE FROM tokens", "tokens: rows cannot be deleted"),
        ("REPLACE INTO tokens SELECT * FROM tokens", "tokens: rows cannot be replaced"),
        ("UPDATE inspections SET inspection = '{}'", INSPECTIONS),
        ("DELETE FROM inspections", "inspections: rows cannot be deleted"),
        ("REPLACE INTO inspections SELECT * FROM inspections", "inspections: rows cannot be replaced"),
    ],
    ids=lambda text: text if text.isupper() or " SET " in text or text.startswith(("DELETE", "REPLACE")) else "",
)
def test_the_database_itself_refuses_to_rewrite_what_was(
    written: sqlite3.Connection, statement: str, message: str
) -> None:
    before = list(written.iterdump())
    with pytest.raises(sqlite3.IntegrityError) as caught:
        written.execute(statement)
    assert caught.value.args == (message,)
    assert list(written.iterdump()) == before


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE versions SET description = 'x', tags = '{}', batching = 'off'", id="what people wrote"),
        pytest.param("UPDATE versions SET retired_at = '2026-01-01 00:00:00' WHERE number = 1", id="retiring"),
        pytest.param("UPDATE aliases SET version = 1", id="an alias"),
        pytest.param("UPDATE tokens SET last_used_at = '2026-01-01 00:00:00'", id="a token's use"),
        pytest.param("UPDATE tokens SET revoked_at = created_at WHERE revoked_at IS NULL", id="revoking"),
        pytest.param("DELETE FROM aliases", id="dropping an alias"),
        pytest.param("DELETE FROM standings", id="a standing"),
    ],
)
def test_the_database_lets_through_what_may_change(written: sqlite3.Connection, statement: str) -> None:
    assert written.execute(statement).rowcount > 0


def test_only_a_version_that_is_there_stands_anywhere(written: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        written.execute("UPDATE standings SET number = 99")


def test_an_alias_cannot_point_to_what_is_not_there(written: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        written.execute("UPDATE aliases SET version = 99")
