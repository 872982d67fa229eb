"""What the inspection child takes away from itself before it looks at anything.

1. Limits first: address space, processor time, no file written (but by whoever prepares a model), few files open, no
   core dump, lowest usual priority. Where the machine runs out of memory, the kernel takes it before any worker.
2. It dies with its parent, gains no rights by running other programs, and has no network where the kernel lets it go
   without: best effort, since containers often forbid new namespaces.
3. Root keeps one right of its rights, to find what it is ordered to read wherever an owner has put it. It becomes no
   other user: none could read what the gateway keeps to itself, and to let one read it would be the larger hole.
4. It sees the folder of its model, the program's own files, and nothing else (``landlock``, ``program_files``).
5. The kernel's filter of system calls (``process_filter``), where there is one, lets it start threads and no processes,
   and refuses what it never needs: sockets, signals to others, other processes' memory and limits, and more.
6. Once its own threads run, it can start neither processes nor threads, until the model has been found to load and
   run; then threads, to try the model with several. Root is exempt from the limit, but not from the filter; where there
   is no filter, an ordinary user's child can never start a thread again.

Source: Linux man pages setrlimit(2), prctl(2), unshare(2), capset(2).
"""

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from registry.inspection.landlock import restrict
from registry.inspection.limits import ChildLimits
from registry.inspection.process_filter import filter_calls, makes_threads_only
from registry.inspection.program_files import program_files
from registry.inspection.sessions import SESSION_NICENESS, lower_session

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000
_CAPABILITY_VERSION: Final = 0x2008_0522
_DAC_READ_SEARCH: Final = 1 << 2

_OUT_OF_MEMORY: Final = Path("/proc/self/oom_score_adj")
_FIRST: Final = "1000"

_NICENESS = 10
"""Not 19: a child that gets a fiftieth of a busy machine is taken for one that hangs."""

_PROBING_CPU_SECONDS = 35
"""What a single thread can take in the time that there is for runs, and several in the time that they are tried."""


def confine(limits: ChildLimits, parent_pid: int, *, has_low_priority: bool = False, is_to_fork: bool = False) -> None:
    """Apply rules 1, 2, 3 and 5 to this process, which must have one thread only.

    Args:
        limits: for the size of what is inspected (``ChildLimits.for_size``).
        parent_pid: exits if the parent is another one by now.
        has_low_priority: whether it was lowered before this process was forked.
        is_to_fork: True if this process has to fork; each fork then applies rule 5 once more (``filter_calls``).
    """
    with suppress(OSError):  # a container may hide it
        _OUT_OF_MEMORY.write_text(_FIRST, encoding="ascii")
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + _PROBING_CPU_SECONDS)
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    _limit(resource.RLIMIT_CORE, 0)
    if not has_low_priority:
        lower_priority()
    die_with(parent_pid)
    libc = ctypes.CDLL(None, use_errno=True)
    is_root = os.geteuid() == 0
    if libc.unshare(_CLONE_NEWNET) != 0 and not is_root:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # root without the right would only lose more rights by this
    _give_up_rights(libc, but=_DAC_READ_SEARCH if is_root else 0)
    filter_calls(is_to_fork=is_to_fork, is_to_write=limits.file_bytes > 0)


def shut_in(*, read: Iterable[Path], write: Iterable[Path] = ()) -> int:
    """Apply rule 4 to this process, which must have one thread only; return which ABI of Landlock is in force, or 0.

    Args:
        read: what it may read besides the program's own files.
        write: the folders in which it may make, write and remove files.
    """
    return restrict(read=[*program_files(), *read], write=write)


def lower_priority() -> None:
    """Stand back behind whoever answers requests, this process and its session; once only, since each time counts."""
    os.nice(_NICENESS)
    lower_session(SESSION_NICENESS)


def die_with(parent_pid: int) -> None:
    """Be killed when the parent ends, and gain no rights; exits if the parent is another one by now."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(1)


def forbid_processes(*, but_threads_later: bool = False) -> None:
    """Apply rule 6; ``allow_threads`` is of use later only if it is said here."""
    is_filtered = makes_threads_only()
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


def _give_up_rights(libc: ctypes.CDLL, *, but: int) -> None:
    """Keep at most these of the rights of root, which whoever makes namespaces of his own has in there."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    room = ctypes.create_string_buffer(24)
    if libc.capget(header, room) != 0:
        return
    effective, permitted, *_ = struct.unpack("=6I", room.raw)
    kept = effective & permitted & but
    libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    _, ceiling = resource.getrlimit(which)
    wanted = soft if hard is None else hard
    most = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
    resource.setrlimit(which, (min(soft, most), most))
