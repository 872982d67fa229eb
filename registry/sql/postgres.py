"""PostgreSQL through psycopg: what has to be done for every wait to end and every dead connection to be noticed.

1. No answer to a statement within the limit, and the connection is given up: a server that stands still, or a network
   that swallows packets, closes nothing by itself.
2. A connection is tried before it is used again, so that those which a restart has killed never surface.
3. Nothing is kept on the server between two transactions (no prepared statements, no session settings), so that a
   pooler may stand in between and a schema may change under running code. Only ``registry.sql.listening`` does, on a
   connection of its own, and nothing depends on it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

_WRITERS_LOCK = 0x5A4D0  # any number, as long as every gateway of a database uses the same
_LOCK = text("SELECT set_config('lock_timeout', :milliseconds, true), pg_advisory_xact_lock(:key)")
_SPARE_SECONDS = 1.0
"""How much longer to wait for the server than the server may wait for a lock."""


def open_postgres(
    url: URL, *, busy_timeout_seconds: float, writes: Callable[[Connection], bool], is_patient: bool = False
) -> Engine:
    """Prepare an engine; connects to nothing yet.

    Args:
        url: ``postgresql+psycopg://...``.
        busy_timeout_seconds: how long to wait for locks, for a free connection, and (a second longer) for an answer.
        is_patient: True waits for answers for as long as they take: for changes of the schema.
        writes: tells whether the transaction that a connection begins is a writer's.
    """

    class BoundedConnection(psycopg.Connection[Any]):
        """Rule 1."""

        def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
            if timeout is not None:
                return super().wait(gen, interval, timeout)  # whoever names a time knows what to do when it is over
            limit = None if is_patient else busy_timeout_seconds + _SPARE_SECONDS
            try:
                return super().wait(gen, interval, limit)
            except _WaitTimeout as error:
                self.pgconn.finish()
                raise psycopg.OperationalError("the server has not answered in time") from error

    def connect(_dialect: Any, _record: Any, arguments: Sequence[Any], words: Mapping[str, Any]) -> Any:
        return BoundedConnection.connect(*arguments, **words)

    def begin(connection: Connection) -> None:
        if writes(connection):
            milliseconds = str(max(1, round(busy_timeout_seconds * 1000)))  # 0 would mean for ever
            connection.execute(_LOCK, {"milliseconds": milliseconds, "key": _WRITERS_LOCK})

    engine = create_engine(
        url,
        pool_timeout=busy_timeout_seconds,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": max(2, round(busy_timeout_seconds)),  # whole seconds
            "prepare_threshold": None,
            "application_name": "sardonyx",
        },
        isolation_level="REPEATABLE READ",
    )
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "begin", begin)
    return engine
