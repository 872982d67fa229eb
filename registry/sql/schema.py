"""Which revision the database has, which one this code needs, and the way from the one to the other.

Rules:
    1. The revisions are found inside the installed ``migrations`` package: no checkout and no alembic.ini is needed.
    2. A change of the schema holds the writers' lock and is one transaction: it is there whole or not at all, and of
       several processes that begin one, the first does it and the others find it done.
"""

from collections.abc import Collection
from functools import cache
from importlib.util import find_spec

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from registry.errors import SchemaMismatch
from registry.sql.engine import BUSY_TIMEOUT_SECONDS, open_engine, transaction


def upgrade(
    url: str, *, revision: str = "head", busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS
) -> tuple[str | None, str | None]:
    """Bring the database to a newer revision, making the SQLite file if there is none; return the one before and after.

    Raises:
        SchemaMismatch: the database has a revision that this code does not know.
        RegistryUnavailable, RegistryBusy: it does not answer, or is locked.
    """
    engine = open_engine(url, busy_timeout_seconds=busy_timeout_seconds, is_new=True)
    try:
        with transaction(engine, writes=True) as connection:
            before = _revision(connection)
            if before is not None and before not in _known_revisions():
                raise _mismatch(before, needed=head_revision(), known=_known_revisions())
            command.upgrade(_config(connection), revision)
            return before, _revision(connection)
    finally:
        engine.dispose()


def downgrade(url: str, *, revision: str, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
    """Take the database back to an older revision, ``base`` for none; what only newer ones can hold is lost.

    Raises:
        RegistryUnavailable, RegistryBusy: it does not answer, or is locked.
    """
    engine = open_engine(url, busy_timeout_seconds=busy_timeout_seconds, is_new=True)
    try:
        with transaction(engine, writes=True) as connection:
            command.downgrade(_config(connection), revision)
    finally:
        engine.dispose()


@cache
def head_revision() -> str:
    """Return the revision that this code needs."""
    head = _script().get_current_head()
    if head is None:  # the package comes with at least one revision, or it is not ours
        raise AssertionError("no revisions")
    return head


def current_revision(engine: Engine) -> str | None:
    """Return the revision that the database has, None if it has never been upgraded.

    Raises:
        RegistryUnavailable, RegistryBusy: it does not answer, or is locked.
    """
    with transaction(engine, writes=False) as connection:
        return _revision(connection)


def check(engine: Engine) -> None:
    """Make sure that the database has the revision that this code needs.

    Raises:
        SchemaMismatch: it is older or newer; the message names both revisions.
        RegistryUnavailable, RegistryBusy: it does not answer, or is locked.
    """
    found = current_revision(engine)
    if found != head_revision():
        raise _mismatch(found, needed=head_revision(), known=_known_revisions())


def _mismatch(found: str | None, *, needed: str, known: Collection[str]) -> SchemaMismatch:
    if found is None:
        return SchemaMismatch(f"the database has no revision, this code needs {needed}: run 'sardonyx db upgrade'")
    if found in known:
        return SchemaMismatch(
            f"the database has the older revision {found}, this code needs {needed}: run 'sardonyx db upgrade'"
        )
    return SchemaMismatch(
        f"the database has the newer revision {found}, this code needs {needed}: install a newer Sardonyx"
    )


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in _script().walk_revisions())


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    package = find_spec("migrations")
    if package is None or not package.submodule_search_locations:
        raise AssertionError("the migrations package is not installed")
    config = Config()
    config.set_main_option("script_location", package.submodule_search_locations[0].replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
