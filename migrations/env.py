"""How Alembic reaches the database: over a connection that it is given, or over one of the settings' own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from alembic import context
from sqlalchemy import Connection

from registry.sql.engine import open_engine, transaction
from registry.sql.tables import UtcDateTime, metadata


@contextmanager
def _from_settings() -> Iterator[Connection]:
    from gateway.settings import Settings  # only by hand, from alembic.ini: the application brings its connection

    engine = open_engine(Settings().registry_url, is_new=True)
    try:
        with transaction(engine, writes=True) as connection:
            yield connection
    finally:
        engine.dispose()


def _render(kind: str, value: object, _context: object) -> str | Literal[False]:
    # A revision must not change when our types do.
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(value, UtcDateTime) else False


def _run(connection: Connection) -> None:
    # The transaction is whoever's who began it. SQLite alters little in place, so later revisions need batches.
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render,
    )
    with context.begin_transaction():
        context.run_migrations()


_given: Connection | None = context.config.attributes.get("connection")
if _given is not None:
    _run(_given)
else:
    with _from_settings() as _own:
        _run(_own)
