"""A program that has imported all that looking at a model needs, and is forked for each child that does.

Imports are four fifths of what a child costs that looks at a small model. This program pays them once; it is started by
``forks``, as a new program with an empty environment, and knows nothing but a socket.

1. It never opens a model, nor reads what is ordered: an order is descriptors, which it hands on to the fork. So nothing
   of one model is there for the next.
2. A fork is a child of this program's parent (``siblings``), leads a process group of its own, holds no descriptor but
   its own, and confines itself before it opens a file, as a child does that is a program of its own (``__main__``).
   Those that answer requests have a session of their own as well; the others stay in this program's, which stands back
   (``sessions``).
3. It has one thread, or does not serve: a fork has only the thread that forked, and the locks of all.
4. What forks share is what is loaded where in memory, the C library's guard values and Python's hash seed: nobody else
   has these, but one fork could learn what holds for the next. ``forks`` therefore ends this program with the first
   fork that comes to a bad end, and it ends itself after some many. What is drawn at random is drawn anew in each fork:
   a model that draws must not give the same answer in two, as if it were one that does not.
5. Memory and address space begin with what the imports take, as in any child. A page that is shared with this program
   counts as the fork's own before a model is loaded as well as afterwards, so that writing to it makes no difference.
6. It ends with its parent, with the socket, and when nobody has wanted anything for a while. Its forks do not end with
   it, but with its parent.
"""

import array
import gc
import importlib
import json
import os
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from registry.inspection.__main__ import main
from registry.inspection.confinement import die_with, lower_priority
from registry.inspection.sessions import SESSION_NICENESS, lower_session
from registry.inspection.siblings import fork_sibling, is_possible, show_as

MOST_FORKS: Final = 1_000

_NEEDED = (
    *("comparison", "example_runs", "graph", "preparation", "skeleton", "thread_obstacles", "trial", "watchdog"),
    "wire_scan",
)
_MOST_DESCRIPTORS = 4
"""Orders, report, last words, examples."""
_SHOWN = b"registry.inspection\0"


def serve(parent_pid: int, channel: socket.socket, idle_seconds: float, *, is_patient: bool) -> None:
    """Fork for each order until there is a reason to end (rules 4 and 6).

    Args:
        parent_pid: of whoever started this program; exits if the parent is another one by now.
        channel: where orders come from.
        idle_seconds: how long to wait for the next one.
        is_patient: whether it and its forks stand back behind whoever answers requests.
    """
    if is_patient:
        lower_priority()
    else:
        lower_session(SESSION_NICENESS)
    die_with(parent_pid)
    _make_ready()
    if not is_possible():
        return
    channel.settimeout(idle_seconds)
    for _ in range(MOST_FORKS):
        try:
            descriptors = _receive(channel)
        except TimeoutError:
            return
        if not descriptors:
            return
        if fork_sibling() == 0:
            _be_child(*descriptors, is_patient=is_patient)
        for descriptor in descriptors:
            os.close(descriptor)


def _make_ready() -> None:
    """Import what forks need, have the runtime take what it takes once a process, and leave nothing to tidy up."""
    for name in _NEEDED:
        importlib.import_module(f"registry.inspection.{name}")
    from registry.inspection.trial import draw_anew, warm_up

    warm_up()
    draw_anew()
    gc.collect()
    gc.freeze()


def _receive(channel: socket.socket) -> Sequence[int]:
    """Return the descriptors of the next order; none at the end of all orders."""
    descriptors = array.array("i")
    room = socket.CMSG_SPACE(_MOST_DESCRIPTORS * descriptors.itemsize)
    _, ancillary, _, _ = channel.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    for _, _, octets in ancillary:
        descriptors.frombytes(octets)
    return descriptors


def _be_child(orders: int, report: int, last_words: int, examples: int | None = None, *, is_patient: bool) -> NoReturn:
    """Do in a fork what a program of its own would do from its start to its end."""
    from registry.inspection.trial import draw_anew

    status = 1
    try:
        if is_patient:
            os.setpgid(0, 0)
        else:
            os.setsid()
        os.write(report, os.getpid().to_bytes(8, sys.byteorder))
        os.dup2(last_words, 2)
        with open(orders, encoding="utf-8", closefd=False) as file:
            ordered = json.load(file)
        _close_all_but({0, 1, 2, report, examples})
        _show_what_it_is()
        os.chdir(ordered["folder"])
        draw_anew()
        main(ordered | {"report": report, "examples": examples}, has_low_priority=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last words of any program
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _close_all_but(kept: set[int | None]) -> None:
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if descriptor not in kept:
            with suppress(OSError):  # the listing's own has been closed
                os.close(descriptor)


def _show_what_it_is() -> None:
    """Have the list of processes show the command line of a child that is a program of its own, as far as it goes."""
    own, _, _ = Path("/proc/self/cmdline").read_bytes().partition(b"registry.inspection.forerunner\0")
    show_as(own + _SHOWN)


if __name__ == "__main__":
    serve(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), float(sys.argv[3]), is_patient=sys.argv[4] == "1")
