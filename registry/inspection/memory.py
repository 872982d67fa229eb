"""What a measurement of memory counts."""

import ctypes
import gc
from pathlib import Path


def anonymous_bytes() -> int:
    """Return the anonymous memory of this process after what is free has gone back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise OSError("this kernel does not count anonymous pages in smaps_rollup")
