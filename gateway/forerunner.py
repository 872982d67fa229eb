"""The program that workers are forks of: it has made their imports (``gateway.worker_forks`` is the other side).

1. It has one thread, opens nothing and runs no model: a fork of it is as good as a program of its own.
2. It forks when it is told a place, and says the process id. A fork is a child of the supervisor
   (``registry.inspection.siblings``), in a session of its own, and is shown as what it is in a list of processes.
3. Where this process cannot be forked, it becomes the worker itself.
4. It ends with the supervisor.
"""

import ctypes
import gc
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn.lifespan.on  # noqa: F401 - a worker imports it when it starts
import uvloop  # noqa: F401 - and this

from gateway import worker
from gateway.worker_forks import NUMBER_BYTES, READY
from registry.inspection.siblings import fork_sibling, is_possible

_ARGUMENTS_BEGIN, _ARGUMENTS_END = 45, 46
"""Where /proc/<pid>/stat has the two, counted from the state on (proc(5): fields 48 and 49)."""


def main() -> None:
    """Fork workers as ordered, until the supervisor goes."""
    orders = worker.parse_orders()
    worker.die_with_supervisor(orders.supervisor)
    gc.collect()
    gc.freeze()  # else the first collection in each fork would write to every page that they share
    with socket.socket(fileno=orders.orders) as channel:
        channel.sendall(READY.to_bytes(NUMBER_BYTES))
        place = _serve(channel)
    if place is not None:
        worker.main(orders, place)


def _serve(channel: socket.socket) -> int | None:
    """Return the place of the worker that this process has become; None when there is nothing more to do."""
    while octets := channel.recv(NUMBER_BYTES):
        place = int.from_bytes(octets)
        pid = fork_sibling() if is_possible() else 0
        if pid == 0:
            if os.getpid() != os.getpgid(0):
                os.setsid()
            else:
                channel.sendall(os.getpid().to_bytes(NUMBER_BYTES))
            _show(f"{sys.executable} -m gateway.worker --place {place}")
            return place
        channel.sendall(pid.to_bytes(NUMBER_BYTES))
    return None


def _show(command: str) -> None:
    """Have lists of processes show this instead of the forerunner's command; where that cannot be done, they do not."""
    octets = b"\0".join(command.encode().split(b" ")) + b"\0"
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        begin, end = int(fields[_ARGUMENTS_BEGIN]), int(fields[_ARGUMENTS_END])
        if begin and len(octets) <= end - begin:
            ctypes.memmove(begin, octets.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    main()
