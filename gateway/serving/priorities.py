"""Which threads go first where there is more to do than processors: those that answer, then those of long runs.

The event loop answers whatever is short, and one wait of it is a wait for everybody. A thread that runs a model for a
long time is late in any case. Threads that load go first, too: what they start, threads of the runtime and processes,
would stand back for good.
"""

import os
import threading
from contextlib import suppress
from typing import Final

SHADOW_NICENESS: Final = 10
"""Of what nobody waits for."""
LONG_NICENESS: Final = 4
"""Of long runs: about two fifths of what the event loop gets, where both have something to do."""


def give_way(niceness: int) -> None:
    """Let other threads of this process, and other processes, go first; to be called in the thread.

    A thread that gives way by more already, since the whole gateway does, stays as it is: nobody may take that back.
    """
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, max(niceness, os.getpriority(os.PRIO_PROCESS, thread)))
