"""A filter of system calls under which this process makes threads and no processes, and becomes no other program.

1. The kernel decides by the call's number and the flags of ``clone``; a thread is a clone that says so. ``clone3``,
   whose flags a filter cannot see, is answered as by a kernel that has no such call: the C library then uses ``clone``.
2. It holds for all threads that there are, and can never be taken off again.
3. Only for x86-64 and 64-bit ARM, on kernels that take filters; elsewhere the caller is told that there is none.

Source: Linux man page seccomp(2), include/uapi/linux/{audit,filter,seccomp}.h.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1

_LOAD_WORD: Final = 0x20
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_AT_LEAST: Final = 0x35
_JUMP_IF_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_NUMBER, _ARCHITECTURE, _FLAGS = 0, 4, 16
"""Where the call's number, the architecture and the low half of the first argument lie, in bytes."""

_ALLOW: Final = 0x7FFF_0000
_REFUSE: Final = 0x0005_0000
_CLONE_THREAD: Final = 0x0001_0000
_CLONE3: Final = 435
_X32: Final = 0x4000_0000
"""Numbers from here on are those of another convention on x86-64; 64-bit ARM has none as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    audit: int
    """What the kernel calls the architecture."""
    seccomp: int
    clone: int
    others: tuple[int, ...]
    """fork, vfork, execve, execveat, as far as there are such."""


_MACHINES: Final[Mapping[str, _Machine]] = {
    "x86_64": _Machine(audit=0xC000_003E, seccomp=317, clone=56, others=(57, 58, 59, 322)),
    "aarch64": _Machine(audit=0xC000_00B7, seccomp=277, clone=220, others=(221, 281)),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def allow_threads_only() -> bool:
    """Put the filter on; return whether it is. The process must have given up gaining rights (PR_SET_NO_NEW_PRIVS)."""
    machine = _MACHINES.get(platform.machine())
    if machine is None or ctypes.sizeof(ctypes.c_void_p) != 8:  # noqa: PLR2004 - a 32-bit program on such a machine
        return False
    instructions = _instructions(machine)
    program = _Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0)


def _instructions(machine: _Machine) -> bytes:
    """Return the filter as the kernel reads it: code, jump if true, jump if false, operand; jumps skip so many."""
    refused = [(_JUMP_IF_EQUAL, 0, 1, number) for number in machine.others]
    lines: list[tuple[int, int, int, int]] = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_LOAD_WORD, 0, 0, _NUMBER),
        (_JUMP_IF_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_JUMP_IF_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
    ]
    for line in refused:
        lines += [line, (_RETURN, 0, 0, _REFUSE | errno.EPERM)]
    lines += [
        (_JUMP_IF_EQUAL, 0, 3, machine.clone),
        (_LOAD_WORD, 0, 0, _FLAGS),
        (_JUMP_IF_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
