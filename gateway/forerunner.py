"""The program that workers are forks of: it has made their imports (``gateway.worker_forks`` is the other side).

1. It has one thread, opens nothing and runs no model: a fork of it is as good as a program of its own.
2. It forks when it is told a place and given a socket. A fork is a child of the supervisor
   (``registry.inspection.siblings``), in a session of its own, and is shown as what it is in a list of processes. It
   says its process id on the socket, and ends if it is not told to go on. The worker that it is then stands by until it
   is told on the same socket to serve.
3. Where this process cannot be forked, it becomes the worker itself. Where there is no room for another process at the
   moment, it lets the socket go.
4. While another one serves, it makes its imports with a quarter of a processor at most, and its session stands back
   behind others: workers load models then. Its forks have sessions of their own, which do not.
5. It ends with the supervisor.
"""

import errno
import gc
import importlib
import os
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.company import Company
from gateway.host import die_with_supervisor
from gateway.worker_forks import GO, MADE, NUMBER_BYTES, PATIENT, READY
from registry.inspection.sessions import SESSION_NICENESS, lower_session
from registry.inspection.siblings import fork_sibling, is_possible, show_as

if TYPE_CHECKING:
    from argparse import Namespace

    from gateway.app import StandBy

_LATE: Final = (
    "anyio._backends._asyncio",
    "gateway.codec.buffer_decode",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)
"""What a worker imports later, when it starts or has its first request: some of it may not be installed."""
_WORD_BYTES: Final = 2
"""Of ``Company``."""

_REST: Final = 3.0
"""So many times as long as it works a patient forerunner rests."""
_LEAST_SECONDS: Final = 0.005


def main() -> None:
    """Fork workers as ordered, until the supervisor goes."""
    if PATIENT in sys.argv:
        sys.argv.remove(PATIENT)
        sys.meta_path.insert(0, _Patience())
        lower_session(SESSION_NICENESS)
    die_with_supervisor(int(sys.argv[sys.argv.index("--supervisor") + 1]))
    from gateway import worker

    orders = worker.parse_orders()
    _make_ready()
    found = _serve(orders)
    if found is not None:
        worker.main(orders, *found)


def _make_ready() -> None:
    for name in _LATE:
        with suppress(ImportError):
            importlib.import_module(name)
    from gateway.web.control import build_ahead
    from registry.inspection.host import host_key

    build_ahead()
    host_key()  # each fork would read the package's metadata and the processor's names by itself
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Patience)]
    gc.collect()
    gc.freeze()  # else the first collection in each fork would write to every page that they share


def _serve(orders: "Namespace") -> "tuple[int, StandBy] | None":
    """Return the place of the worker that this process has become, and how it stands by; None if it has become none."""
    with socket.socket(fileno=orders.orders) as channel:
        channel.sendall(READY)
        while True:
            said, descriptors, _, _ = socket.recv_fds(channel, NUMBER_BYTES, 1)
            if not said:
                return None
            told = socket.socket(fileno=descriptors[0])
            pid = _fork()
            if pid in (0, os.getpid()):
                channel.close()
                return _begin(told, int.from_bytes(said), is_fork=pid == 0)
            told.close()


def _fork() -> int:
    """Return 0 in a fork, its process id here; our own where there can be no forks, and -1 if there can be none now."""
    if not is_possible():
        return os.getpid()
    try:
        return fork_sibling()
    except OSError as error:
        return -1 if error.errno in (errno.EAGAIN, errno.ENOMEM) else os.getpid()


def _begin(told: socket.socket, place: int, *, is_fork: bool) -> "tuple[int, StandBy] | None":
    def show(module: bytes) -> None:
        if is_fork:
            show_as(b"%b\0-m\0%b\0--place\0%d\0" % (os.fsencode(sys.executable), module, place))

    async def stand_by() -> Company:
        import asyncio  # not before patience is in place

        told.setblocking(False)
        with told:
            with suppress(OSError):  # the word has been said already, and the other end closed
                told.send(MADE)
            word = b""
            with suppress(ConnectionResetError):
                word = await asyncio.get_running_loop().sock_recv(told, _WORD_BYTES)
            # What the other end has not read when it closes is told first, as a reset; its word comes after that.
            word = word or await asyncio.get_running_loop().sock_recv(told, _WORD_BYTES)
        if not word:
            os._exit(0)  # nobody waits for it any more, and it has begun nothing
        show(b"gateway.worker")
        return Company(word)

    if is_fork:
        os.setsid()
    show(b"gateway.standby")
    told.sendall(os.getpid().to_bytes(NUMBER_BYTES))
    return (place, stand_by) if told.recv(len(GO)) == GO else None


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
