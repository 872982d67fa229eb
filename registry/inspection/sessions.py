"""How much of a busy machine the processes of a session get, all together.

1. Where the kernel groups processes by session, groups share the processors alike, and how nice a process is counts
   within its own group only: a child in a session of its own takes as much as a whole worker, as nice as it may be.
   A group has a niceness of its own, which is written to a file.
2. Whoever is not root may write it only once in a tenth of a second, all processes of the machine together.
3. A new session is a new group, which is not nice. Forks that are to stand back stay where they are born.

Source: Linux man page sched(7), "The autogroup feature".
"""

import errno
import time
from pathlib import Path
from typing import Final

SESSION_NICENESS: Final = 5
"""A third of what a busy worker gets, for all who stand back behind it together: less, and they would seem to hang."""

_GROUP: Final = Path("/proc/self/autogroup")
_ATTEMPTS: Final = 3
_AGAIN_SECONDS: Final = 0.11


def lower_session(niceness: int) -> None:
    """Have this process's session as a whole stand back behind others; where there are no groups, do nothing.

    Args:
        niceness: from 1 to 19, of the session as a whole.
    """
    for _ in range(_ATTEMPTS):
        try:
            _GROUP.write_text(str(niceness), encoding="ascii")
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return
            time.sleep(_AGAIN_SECONDS)
        else:
            return
