"""What the kernel that the tests run on lets a process do to itself: containers may go without."""

import subprocess
import sys
from functools import cache

_TRY = """
import ctypes
from registry.inspection.process_filter import filter_calls
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
print(filter_calls())
"""


@cache
def has_filters() -> bool:
    """Whether a process can put a filter of system calls on; tried by one, since it cannot take it off again."""
    done = subprocess.run([sys.executable, "-c", _TRY], check=True, capture_output=True, text=True)
    return done.stdout == "True\n"
