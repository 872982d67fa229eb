"""A fork whose parent is this process's own parent, as if that had started it.

1. So whoever started this process waits for the new one, kills it and learns how it ended, as of any child of its own,
   and no process id has to be trusted or kept from being given to somebody else.
2. The C library's ``fork`` cannot do this, so the kernel is asked directly, with what the C library would ask besides:
   the new thread's number is put where the library keeps it. What it would do otherwise (locks of other threads) is of
   no account in a process of one thread, and there must be no other.
3. Only for x86-64 and 64-bit ARM, as ``process_filter``; elsewhere ``is_possible`` says no.

Source: Linux man pages clone(2), set_tid_address(2), prctl(2) of PR_GET_TID_ADDRESS; Python's posixmodule.c, os_fork.
"""

import ctypes
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCHLD
from typing import Final

_CLONE_PARENT: Final = 0x0000_8000
_CLONE_CHILD_CLEARTID: Final = 0x0020_0000
_CLONE_CHILD_SETTID: Final = 0x0100_0000
_FLAGS: Final = _CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID | SIGCHLD
_PR_GET_TID_ADDRESS: Final = 40
_ARGUMENTS: Final = 45
"""Where the addresses of the arguments are in /proc/self/stat, after the name in brackets and a space (proc(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    clone: int
    has_tls_last: bool
    """Whether the address for the thread's number is the call's fourth argument and not its fifth."""


_MACHINES: Final = {
    "x86_64": _Machine(clone=56, has_tls_last=True),
    "aarch64": _Machine(clone=220, has_tls_last=False),
}


def is_possible() -> bool:
    """Tell whether ``fork_sibling`` can be had in this process as it is now: rules 2 and 3."""
    tasks = len(list(Path("/proc/self/task").iterdir()))
    return tasks == 1 and _machine() is not None and _thread_number_address() != 0


def fork_sibling() -> int:
    """Fork, where ``is_possible``; return 0 in the new process and its process id in this one.

    Raises:
        OSError: the kernel refuses.
    """
    machine, address = _machine(), _thread_number_address()
    assert machine is not None  # noqa: S101 - it is possible
    rest = (address, 0) if machine.has_tls_last else (0, address)
    arguments = [ctypes.c_long(argument) for argument in (machine.clone, _FLAGS, 0, 0, *rest)]
    libc = ctypes.PyDLL(None, use_errno=True)  # which keeps the interpreter's lock, as os.fork does
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(libc.syscall(*arguments))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid


def show_as(command: bytes) -> None:
    """Have lists of processes show another command line; where that is too long, or cannot be, they show the old one.

    Args:
        command: words that end with a zero byte each.
    """
    with suppress(OSError, ValueError):
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        begin, end = (int(word) for word in stat.rpartition(") ")[2].split()[_ARGUMENTS : _ARGUMENTS + 2])
        if begin and len(command) < end - begin:
            ctypes.memmove(begin, command.ljust(end - begin, b"\0"), end - begin)


def _machine() -> _Machine | None:
    is_64_bit = ctypes.sizeof(ctypes.c_void_p) == 8  # noqa: PLR2004 - a 32-bit program may run on such a machine
    return _MACHINES.get(platform.machine()) if is_64_bit else None


def _thread_number_address() -> int:
    """Return where the C library has the kernel keep the thread's number; 0 if the kernel does not say."""
    address = ctypes.c_void_p()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) != 0:
        return 0
    return address.value or 0
