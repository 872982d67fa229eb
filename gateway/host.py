"""What this process may use of the machine: memory, disk, time. A container's or a service's limits count, too."""

import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path

from registry.inspection.control_groups import memory_limit_bytes

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE_BYTES = 4 * 1024 * 1024
"""Below that, it costs more to get memory from the system again than it is worth to the system."""

_KEPT_BYTES = 32 * 1024 * 1024
"""So much stays at hand between one large request and the next; what is not used again goes back from time to time
(``gateway.serving.memory_guard``)."""


def usable_memory_bytes() -> int:
    """Return the bytes of memory that this process's container or service may take, or the machine's."""
    machine, limit = _machine_memory_bytes(), memory_limit_bytes()
    return machine if limit is None else min(machine, limit)


def free_disk_bytes(folder: Path) -> int:
    """Return the bytes that are free where ``folder`` is, or will be once it is made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def anonymous_bytes() -> int:
    """Return the anonymous memory of this process, from ``/proc/self/status``; 0 where that is not to be had."""
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def return_free_memory() -> None:
    """Return freed pages to the system; glibc keeps most of a dropped session's otherwise. Does nothing elsewhere."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_little_free_memory() -> None:
    """Have glibc return large pieces as soon as they are freed, in every thread. Does nothing elsewhere.

    By itself it learns from the first large piece that is freed to keep such pieces, up to 32 MiB, in the heap of the
    thread that asked for them, and no trimming reaches the end of that heap: so each thread that loads would keep the
    size of the largest weights.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def die_with_supervisor(supervisor: int) -> None:
    """Have the kernel end this process when its supervisor is killed; where it cannot, it is merely orphaned."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        sys.exit(0)


def become_owner(folder: Path) -> None:
    """As root, give up root's rights for those of the folder's owner, if it is there and not root's.

    Files that root makes in somebody else's folder lock that somebody out.
    """
    if os.geteuid() != 0 or not folder.exists():
        return
    status = folder.stat()
    if status.st_uid != 0:
        os.setgroups([status.st_gid])
        os.setgid(status.st_gid)
        os.setuid(status.st_uid)


def _machine_memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
