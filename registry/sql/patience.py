"""Waiting for a server that restarts, once.

1. A connection that cannot be opened is tried again for a while: a restart then costs nobody an error who had not
   begun.
2. When a server has been away for longer than that, nobody waits any more until it has answered again: an outage must
   not hold up every thread for seconds.
"""

import time
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

_SECONDS = 2.0
_PAUSE_SECONDS = 0.05

_away: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()


def connect_patiently(engine: Engine) -> Connection:
    """Return an open connection of an engine whose server may be restarting.

    Raises:
        sqlalchemy.exc.OperationalError: it cannot be reached.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            connection = engine.connect()
        except OperationalError:
            if _away.get(engine) or time.monotonic() > deadline:
                _away[engine] = True
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            _away[engine] = False
            return connection
