"""Which threads go first where there is more to do than processors: those that answer, then long runs and loads.

The event loop answers whatever is short, and one wait of it is a wait for everybody. A thread that runs a model for a
long time is late in any case.
"""

import os
import threading
from typing import Final

SHADOW_NICENESS: Final = 10
"""Of what nobody waits for."""
LONG_NICENESS: Final = 4
"""Of long runs and of loads: about two fifths of what the event loop gets, where both have something to do."""


def give_way(niceness: int) -> None:
    """Let other threads of this process, and other processes, go first; to be called in the thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
