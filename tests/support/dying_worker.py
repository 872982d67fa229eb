"""A process that is inside models in two threads, and dies as it is told: ``python -m tests.support.dying_worker``."""

import ctypes
import faulthandler
import os
import signal
import sys
import threading

from gateway.evidence import Evidence
from gateway.ledger import Ledger, Marks


def main(ledger: str, evidence: str, how: str) -> None:
    """Mark ``innocent:1`` in one thread and ``guilty:2`` in another, and end by the latter."""
    marks = Marks(Ledger(*map(int, ledger.split(":"))))
    faulthandler.enable(Evidence(*map(int, evidence.split(":"))).words)
    is_inside, is_over = threading.Event(), threading.Event()

    def rest() -> None:
        marks.words[marks.take_slot()] = marks.number(("innocent", 1))
        is_inside.set()
        is_over.wait()

    def die() -> None:
        marks.words[marks.take_slot()] = marks.number(("guilty", 2))
        if how == "crash":
            ctypes.string_at(0)
        os.kill(os.getpid(), signal.SIGKILL)

    if how != "alone":
        threading.Thread(target=rest, daemon=True).start()
        is_inside.wait()
    if how == "leave":
        os._exit(0)
    dying = threading.Thread(target=die)
    dying.start()
    dying.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
