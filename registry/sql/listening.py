"""Hearing of new events without asking for them: PostgreSQL's LISTEN and NOTIFY.

1. A call says only that reading the feed is worth while now. Whoever misses one reads a quarter of a second later all
   the same, so nothing here has to be reliable: a failure is answered by another try, and by nothing else.
2. It has a connection of its own, outside of the pool, and a thread of its own. Through a pooler that lends connections
   by the transaction nothing can be heard; then there is only the asking.
3. A connection on which nothing has come for ``_SILENCE_SECONDS`` is tried; one that is dead is replaced, and since
   something may have been missed meanwhile, that counts as a call.

Source: PostgreSQL 18, commands NOTIFY and LISTEN; psycopg 3, "Asynchronous notifications".
"""

import select
import socket
from collections.abc import Callable
from threading import Thread
from typing import Any

from sqlalchemy import Connection, Engine, text

_CHANNEL = "sardonyx_events"
_LISTEN = text(f"LISTEN {_CHANNEL}")
_NOTIFY = text(f"NOTIFY {_CHANNEL}")
_TRY = text("SELECT 1")
_SILENCE_SECONDS = 30.0
_PAUSE_SECONDS = 1.0


def call_listeners(connection: Connection) -> None:
    """Have all who listen called when the connection's transaction commits; once, however often this is said."""
    connection.execute(_NOTIFY)


class Listener:
    """Calls ``heard``, in a thread, whenever somebody has added an event; begins at once.

    Args:
        engine: of a PostgreSQL.
        heard: must be quick, and must not raise.
    """

    def __init__(self, engine: Engine, heard: Callable[[], None]) -> None:
        self._engine = engine
        self._heard = heard
        self._ending, self._end = socket.socketpair()
        self._thread = Thread(target=self._listen_for_ever, name="listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Call nobody any more."""
        self._end.close()
        self._thread.join(_PAUSE_SECONDS)  # a server that stands still may hold it; it ends with the process then

    def _listen_for_ever(self) -> None:
        is_ending = False
        while not is_ending:
            try:
                is_ending = self._listen()
            except Exception:  # noqa: BLE001  rule 1
                is_ending = self._is_ending(_PAUSE_SECONDS)
        self._ending.close()

    def _listen(self) -> bool:
        """Listen over one connection for as long as it lives; return True when it is time to end."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            native: Any = connection.connection.dbapi_connection
            connection.detach()
            connection.execute(_LISTEN)
            self._heard()
            while True:
                ready = self._await(_SILENCE_SECONDS, native.fileno())
                if self._ending.fileno() in ready:
                    return True
                if not ready:
                    connection.execute(_TRY)
                elif list(native.notifies(timeout=0)):
                    self._heard()

    def _is_ending(self, seconds: float) -> bool:
        return bool(self._await(seconds))

    def _await(self, seconds: float, *descriptors: int) -> set[int]:
        """Return which of these have something to read, or the sign to end, when one has or the time is over."""
        waiting = select.poll()
        for descriptor in (self._ending.fileno(), *descriptors):
            waiting.register(descriptor, select.POLLIN)
        return {descriptor for descriptor, _ in waiting.poll(seconds * 1000)}
