"""The program that workers are forks of: it has made their imports (``gateway.worker_forks`` is the other side).

1. It has one thread, opens nothing and runs no model: a fork of it is as good as a program of its own.
2. It forks when it is told a place, and says the process id. A fork is a child of the supervisor
   (``registry.inspection.siblings``), in a session of its own, and is shown as what it is in a list of processes.
3. Where this process cannot be forked, it becomes the worker itself.
4. While another one serves, it makes its imports with a quarter of a processor at most: workers load models then.
5. It ends with the supervisor.
"""

import gc
import importlib
import os
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.worker_forks import NUMBER_BYTES, PATIENT, READY
from registry.inspection.siblings import fork_sibling, is_possible, show_as

if TYPE_CHECKING:
    from argparse import Namespace

_LATE: Final = (
    "anyio._backends._asyncio",
    "gateway.codec.buffer_decode",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)
"""What a worker imports later, when it starts or has its first request: some of it may not be installed."""
_REST: Final = 3.0
"""So many times as long as it works a patient forerunner rests."""
_LEAST_SECONDS: Final = 0.005


def main() -> None:
    """Fork workers as ordered, until the supervisor goes."""
    if PATIENT in sys.argv:
        sys.argv.remove(PATIENT)
        sys.meta_path.insert(0, _Patience())
    from gateway import worker

    orders = worker.parse_orders()
    worker.die_with_supervisor(orders.supervisor)
    _make_ready()
    place = _serve(orders)
    if place is not None:
        worker.main(orders, place)


def _make_ready() -> None:
    for name in _LATE:
        with suppress(ImportError):
            importlib.import_module(name)
    from gateway.web.control import build_ahead

    build_ahead()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Patience)]
    gc.collect()
    gc.freeze()  # else the first collection in each fork would write to every page that they share


def _serve(orders: "Namespace") -> int | None:
    """Return the place of the worker that this process has become; None when there is nothing more to do."""
    with socket.socket(fileno=orders.orders) as channel:
        channel.sendall(READY.to_bytes(NUMBER_BYTES))
        while octets := channel.recv(NUMBER_BYTES):
            place = int.from_bytes(octets)
            pid = fork_sibling() if is_possible() else os.getpid()
            if pid == 0:
                os.setsid()
                show_as(b"%b\0-m\0gateway.worker\0--place\0%d\0" % (os.fsencode(sys.executable), place))
                return place
            channel.sendall(pid.to_bytes(NUMBER_BYTES))
            if pid == os.getpid():
                return place
    return None


class _Patience:
    """Rests between imports, in the form of a finder of modules that finds none."""

    def __init__(self) -> None:
        self._since = time.process_time()

    def find_spec(self, _name: str, _path: object = None, _target: object = None) -> None:
        """Rest, if enough has been done since the last time."""
        worked = time.process_time() - self._since
        if worked > _LEAST_SECONDS:
            time.sleep(worked * _REST)
            self._since = time.process_time()


if __name__ == "__main__":
    main()
