"""Connections: how they are opened, how a transaction begins, and what their failures mean.

Rules:
    1. A writer takes the one writers' lock before its first statement and holds it until the commit, so that numbers
       are drawn in the order in which they become visible (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock).
    2. A reader sees one moment, and never waits for a writer.
    3. Every wait ends: for a lock, for a connection of the pool, for the server.
    4. A database that is not there is not made by looking at it; only ``is_new`` makes one.
    5. SQLAlchemy's and the drivers' errors end here, in ``translated_errors``.
Whatever the databases do differently at run time stands in this module, ``registry.sql.postgres`` and
``registry.sql.listening``.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from registry.errors import InternalError, InvalidRequest, RegistryBusy, RegistryUnavailable, SchemaMismatch
from registry.sql.patience import connect_patiently

BUSY_TIMEOUT_SECONDS = 5.0
"""How long anything here waits for a lock, a connection or an answer."""

_SQLITE_CACHE_KIB = 128
"""Pages that a connection keeps. By itself it keeps up to 2 MB, and the threads of a worker have dozens: a worker would
grow with its database, for pages that the system has anyway."""

_WRITES = "sardonyx_writes"
_SQLITE_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_POSTGRES_LOCKED = frozenset({"55P03", "40001", "40P01"})  # no lock in time, serialization failure, deadlock
_POSTGRES_LACKING = frozenset({"42P01", "42703"})  # no such table, no such column


def open_engine(url: str, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS, is_new: bool = False) -> Engine:
    """Prepare an engine for ``sqlite:///...`` or ``postgresql+psycopg://...``; connects to nothing yet.

    Args:
        url: in SQLAlchemy's form.
        busy_timeout_seconds: how long to wait for locks and for a free connection.
        is_new: True for a change of the schema: makes a SQLite file that is not there yet, and waits for PostgreSQL for
            as long as it works.

    Raises:
        RegistryUnavailable: the URL is malformed or of a database that is not supported.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(parsed, busy_timeout_seconds=busy_timeout_seconds, is_new=is_new)
        from registry.sql.postgres import open_postgres  # whose driver costs a tenth of a second to import

        return open_postgres(parsed, busy_timeout_seconds=busy_timeout_seconds, writes=_writes, is_patient=is_new)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise RegistryUnavailable("the database URL is not one that can be opened") from error


def _open_sqlite(url: URL, *, busy_timeout_seconds: float, is_new: bool) -> Engine:
    mode = "rwc" if is_new else "rw"
    by_uri = url.set(database=f"file:{quote(url.database or '')}", query={**url.query, "uri": "true", "mode": mode})
    engine = create_engine(by_uri, pool_timeout=busy_timeout_seconds, connect_args={"timeout": busy_timeout_seconds})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
    connection.execute(f"PRAGMA cache_size = -{_SQLITE_CACHE_KIB}")
    connection.execute("PRAGMA synchronous = FULL")  # a commit that was acknowledged survives a power cut


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(_WRITES, False))


@contextmanager
def transaction(engine: Engine, *, writes: bool) -> Iterator[Connection]:
    """Open a connection with a transaction on it, which leaving commits and an exception rolls back.

    Args:
        engine: from ``open_engine``.
        writes: True holds the writers' lock from beginning to end.

    Raises:
        RegistryUnavailable, RegistryBusy: from here, from any statement inside, or from the commit.
    """
    with translated_errors(), _connect(engine) as connection:
        marked = connection.execution_options(**_options(engine, writes=writes))
        with marked.begin():
            yield marked


def announce(connection: Connection) -> None:
    """Let those who listen to the feed know, when the connection's transaction commits."""
    if connection.dialect.name == "postgresql":
        from registry.sql.listening import call_listeners

        call_listeners(connection)


@contextmanager
def listening(engine: Engine, heard: Callable[[], None]) -> Iterator[None]:
    """Have ``heard`` called, in another thread, after commits that were announced; never on SQLite."""
    if engine.dialect.name != "postgresql":
        yield
        return
    from registry.sql.listening import Listener

    with closing(Listener(engine, heard)):
        yield


def _connect(engine: Engine) -> Connection:
    return connect_patiently(engine) if engine.dialect.name == "postgresql" else engine.connect()


def _options(engine: Engine, *, writes: bool) -> dict[str, Any]:
    if writes and engine.dialect.name == "postgresql":
        # The snapshot must be younger than the lock, or a writer would not see what its predecessor has committed.
        return {_WRITES: True, "isolation_level": "READ COMMITTED"}
    return {_WRITES: writes}


def database_time(connection: Connection) -> datetime:
    """Return the moment by the clock of the database's machine, which for SQLite is this one."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    text = connection.execute(select(func.strftime("%Y-%m-%dT%H:%M:%f", "now"))).scalar_one()
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what SQLAlchemy raises inside into our errors; messages carry neither SQL nor paths.

    Raises:
        RegistryBusy: another writer held the lock, or no connection was free, for too long.
        RegistryUnavailable: the database does not answer, is not one, or cannot be written.
        SchemaMismatch: a table or a column is not there.
        InvalidRequest: a value is none that the database knows, such as a text with a NUL.
        InternalError: a statement of ours was wrong, or broke a constraint.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise RegistryBusy("all connections to the registry's database are in use", retry_after_seconds=1) from error
    except DBAPIError as error:
        if _lacks_a_table(error.orig):
            raise SchemaMismatch("the database lacks what this code needs: run 'sardonyx db upgrade'") from error
        if isinstance(error, DataError):
            raise InvalidRequest("the registry's database cannot hold such a text or number") from error
        if isinstance(error, IntegrityError | ProgrammingError):
            raise InternalError(f"the registry's database refused a statement: {error.orig}") from error
        if _is_locked(error.orig):
            raise RegistryBusy("another writer holds the registry's database", retry_after_seconds=1) from error
        raise RegistryUnavailable("the registry's database does not answer", retry_after_seconds=5) from error
    except SQLAlchemyError as error:
        raise InternalError(f"the registry's database was used wrongly: {type(error).__name__}") from error


def _is_locked(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        # The primary code is the low byte of the extended one. An error of the module itself has no code.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_LOCKED
    return getattr(error, "sqlstate", None) in _POSTGRES_LOCKED


def _lacks_a_table(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        return str(error).startswith(("no such table", "no such column"))
    return getattr(error, "sqlstate", None) in _POSTGRES_LACKING
