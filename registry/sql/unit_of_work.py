"""The registry's database behind its port: visits for reading, visits for writing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Engine

from registry.sql import schema
from registry.sql.catalog import SqlCatalog
from registry.sql.engine import BUSY_TIMEOUT_SECONDS, listening, open_engine, transaction
from registry.sql.transaction import SqlTransaction


class SqlRegistry:
    """``registry.ports.Registry`` over an engine. Safe for threads; each visit has a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> "SqlRegistry":
        """Return a registry for a database that ``schema.upgrade`` has made; connects to nothing yet.

        Raises:
            RegistryUnavailable: the URL cannot be opened.
        """
        return cls(open_engine(url, busy_timeout_seconds=busy_timeout_seconds))

    @contextmanager
    def reading(self) -> Iterator[SqlCatalog]:
        """Open a consistent view for reading; what it returned stays valid afterwards.

        Raises:
            RegistryUnavailable, RegistryBusy: from here or from any call inside.
        """
        with transaction(self._engine, writes=False) as connection:
            yield SqlCatalog(connection)

    @contextmanager
    def writing(self) -> Iterator[SqlTransaction]:
        """Open a transaction that holds the writers' lock; leaving commits, an exception rolls back.

        Raises:
            RegistryUnavailable, RegistryBusy: from here, from any call inside, or from the commit.
        """
        with transaction(self._engine, writes=True) as connection:
            yield SqlTransaction(connection)

    def listening(self, heard: Callable[[], None]) -> AbstractContextManager[None]:
        """Have ``heard`` called soon after an event was added, if the database can do that; now and then for nothing.

        Args:
            heard: called in another thread; quick, and never raises.
        """
        return listening(self._engine, heard)

    def check_schema(self) -> None:
        """Make sure that the database has the schema of this code.

        Raises:
            SchemaMismatch: it is older or newer; the message names both revisions.
            RegistryUnavailable: it does not answer.
        """
        schema.check(self._engine)

    def current_revision(self) -> str | None:
        """Return the revision that the database has, None if it has never been upgraded.

        Raises:
            RegistryUnavailable, RegistryBusy: it does not answer, or is locked.
        """
        return schema.current_revision(self._engine)

    def close(self) -> None:
        """Close all connections; visits that are still open keep theirs until they end."""
        self._engine.dispose()
