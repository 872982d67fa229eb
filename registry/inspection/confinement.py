"""What the inspection child takes away from itself before it looks at anything.

1. Limits first: address space, processor time, no file written (but by whoever prepares a model), few files open, no
   core dump, lowest usual priority.
2. It dies with its parent, gains no rights by running other programs, and has no network where the kernel lets it go
   without: best effort, since containers often forbid new namespaces.
3. Once its own threads run, it can start neither processes nor threads, until the model has been found to load and
   run; then threads, to try the model with several. Root is exempt from the limit, but not from the kernel's filter of
   system calls, where there is one; where there is none, an ordinary user's child can never start a thread again.

Source: Linux man pages setrlimit(2), prctl(2), unshare(2).
"""

import ctypes
import os
import resource
import signal
from typing import Final

from registry.inspection.limits import ChildLimits
from registry.inspection.process_filter import allow_threads_only

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000

_NICENESS = 10
"""Not 19: a child that gets a fiftieth of a busy machine is taken for one that hangs."""

_PROBING_CPU_SECONDS = 35
"""What a single thread can take in the time that there is for runs, and several in the time that they are tried."""


def confine(limits: ChildLimits, parent_pid: int, *, has_low_priority: bool = False) -> None:
    """Apply rules 1 and 2 to this process, which must have one thread only.

    Args:
        limits: for the size of what is inspected (``ChildLimits.for_size``).
        parent_pid: exits if the parent is another one by now.
        has_low_priority: whether it was lowered before this process was forked.
    """
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + _PROBING_CPU_SECONDS)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    _limit(resource.RLIMIT_CORE, 0)
    if not has_low_priority:
        lower_priority()
    die_with(parent_pid)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0 and os.geteuid() != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # root without the right would only lose more rights by this


def lower_priority() -> None:
    """Stand back behind whoever answers requests; once only, since each time counts from the last."""
    os.nice(_NICENESS)


def die_with(parent_pid: int) -> None:
    """Be killed when the parent ends, and gain no rights; exits if the parent is another one by now."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(1)


def forbid_processes(*, but_threads_later: bool = False) -> None:
    """Apply rule 3; ``allow_threads`` is of use later only if it is said here."""
    is_filtered = allow_threads_only()
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, hard if is_filtered and but_threads_later else 0))


def allow_threads() -> None:
    """Raise the limit of processes, which counts threads, as far as it can be; the filter lets only threads be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))


def allow_probing() -> None:
    """Raise the limit of processor time for the runs that follow a successful load, which have a clock of their own."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    _, ceiling = resource.getrlimit(which)
    wanted = soft if hard is None else hard
    most = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
    resource.setrlimit(which, (min(soft, most), most))
