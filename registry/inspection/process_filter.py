"""A filter of system calls: this process makes threads and no processes, and asks for nothing that it never needs.

1. The kernel decides by the call's number and two arguments. A thread is a ``clone`` that says so. ``clone3``, whose
   flags a filter cannot see, is answered as by a kernel that has no such call: the C library then uses ``clone``.
2. Signals go to this process and no other: the C library needs them to abort. Nor is anybody named to whom the kernel
   shall send one (``fcntl``).
3. Limits are this process's own: the kernel lets each user's processes set those of all others, and a gateway whose
   processor time is over is killed.
4. Refused besides: sockets of all kinds, other processes' memory, priority and processors, memory and queues that are
   shared by name, rights, owners and times of files, keys, mounts, namespaces, clocks, and the doors that kernels have
   been broken into by (bpf, io_uring, perf, userfaultfd, modules). Who writes nothing makes, moves and removes no file
   either: Landlock says the same, but not every kernel has it.
5. Who is to fork makes siblings (``siblings``), and may send signals: those of its forks are not known yet. Each fork
   puts a filter of its own on top, and of several the strictest counts.
6. It holds for all threads that there are, and can never be taken off again.
7. Only for x86-64 and 64-bit ARM, on kernels that take filters; elsewhere the caller is told that there is none.

Source: Linux man page seccomp(2), include/uapi/linux/{audit,filter,seccomp}.h; the numbers are those of
arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

_SET_MODE_FILTER: Final = 1
_ALL_THREADS: Final = 1

_LOAD_WORD: Final = 0x20
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_AT_LEAST: Final = 0x35
_JUMP_IF_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Where the call's number, the architecture and the low halves of the arguments lie, in bytes."""

_ALLOW: Final = 0x7FFF_0000
_REFUSE: Final = 0x0005_0000
_CLONE_THREAD: Final = 0x0001_0000
_CLONE_PARENT: Final = 0x0000_8000
_CLONE_SIGHAND: Final = 0x0000_0800
_CLONE3: Final = 435
_X32: Final = 0x4000_0000
"""Numbers from here on are those of another convention on x86-64; 64-bit ARM has none as large."""

_Numbers: TypeAlias = tuple[int | None, int | None]
"""Of one call, on x86-64 and on 64-bit ARM."""

_PROCESSES: Final[Mapping[str, _Numbers]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
}

_OTHERS: Final[Mapping[str, _Numbers]] = {
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}

_NETWORK: Final[Mapping[str, _Numbers]] = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
}

_RIGHTS: Final[Mapping[str, _Numbers]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattrat": (463, 463),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "personality": (135, 92),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}

_MACHINE: Final[Mapping[str, _Numbers]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}

REFUSED: Final = {**_PROCESSES, **_OTHERS, **_NETWORK, **_RIGHTS, **_MACHINE}
"""By name: what nobody needs who looks at a model or runs it."""

WRITING: Final[Mapping[str, _Numbers]] = {
    "creat": (85, None),
    "truncate": (76, 45),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
}
"""By name: what nobody needs who writes no file."""

_SIGNALS: Final[Mapping[str, _Numbers]] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}
"""Whose first argument says which process."""

_LIMITS: Final[_Numbers] = (302, 261)
"""``prlimit64``, which the C library uses for a process's own limits, and calls that process 0."""

_ON_DESCRIPTORS: Final[_Numbers] = (72, 25)
"""``fcntl``."""

_WHOM_TO_SIGNAL: Final = (8, 10, 15)
"""F_SETOWN, F_SETSIG and F_SETOWN_EX."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    audit: int
    """What the kernel calls the architecture."""
    seccomp: int
    clone: int
    column: int
    """Where its numbers stand in the tables."""


_MACHINES: Final[Mapping[str, _Machine]] = {
    "x86_64": _Machine(audit=0xC000_003E, seccomp=317, clone=56, column=0),
    "aarch64": _Machine(audit=0xC000_00B7, seccomp=277, clone=220, column=1),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_calls(*, is_to_fork: bool = False, is_to_write: bool = False) -> bool:
    """Put the filter on; return whether it is. The process must have given up gaining rights (PR_SET_NO_NEW_PRIVS).

    Args:
        is_to_fork: rule 5.
        is_to_write: True if the process makes files, or removes them.
    """
    machine = _machine()
    if machine is None:
        return False
    refused = REFUSED if is_to_write else {**REFUSED, **WRITING}
    own = () if is_to_fork else _signals_only_to(os.getpid(), machine)
    instructions = _instructions(machine, _CLONE_THREAD | (_CLONE_PARENT * is_to_fork), refused, own)
    program = _Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0)


def makes_threads_only() -> bool:
    """Tell whether a filter keeps this process from making another one, by asking for one that cannot be.

    The kernel itself calls the request invalid; a filter does not let it come so far.
    """
    machine = _machine()
    if machine is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(machine.clone, _CLONE_SIGHAND, 0, 0, 0, 0) == -1 and ctypes.get_errno() == errno.EPERM


def number_of(name: str) -> int | None:
    """Return the number of a refused call on this machine; None where it has no such call, or we have no filter."""
    machine = _machine()
    return None if machine is None else {**REFUSED, **WRITING}[name][machine.column]


def _machine() -> _Machine | None:
    is_64_bit = ctypes.sizeof(ctypes.c_void_p) == 8  # noqa: PLR2004 - a 32-bit program may run on such a machine
    return _MACHINES.get(platform.machine()) if is_64_bit else None


_Line: TypeAlias = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand; jumps skip so many lines."""

_NOT_PERMITTED: Final[_Line] = (_RETURN, 0, 0, _REFUSE | errno.EPERM)
_PERMITTED: Final[_Line] = (_RETURN, 0, 0, _ALLOW)


def _instructions(machine: _Machine, clones: int, refused: Mapping[str, _Numbers], more: Sequence[_Line]) -> bytes:
    """Return the filter as the kernel reads it.

    Args:
        machine: whose numbers are used.
        clones: one of these bits has to be among a ``clone``'s.
        refused: calls that are refused, whatever their arguments are.
        more: what else is decided, once it is known that this is a call of this machine.
    """
    lines: list[_Line] = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, machine.audit),
        _NOT_PERMITTED,
        (_LOAD_WORD, 0, 0, _NUMBER),
        (_JUMP_IF_AT_LEAST, 0, 1, _X32),
        _NOT_PERMITTED,
        (_JUMP_IF_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
        (_JUMP_IF_EQUAL, 0, 4, machine.clone),
        (_LOAD_WORD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_ANY_BIT, 0, 1, clones),
        _PERMITTED,
        _NOT_PERMITTED,
        *more,
        *_if_called(_LIMITS, machine, [(_LOAD_WORD, 0, 0, _FIRST_ARGUMENT), *_permit_only(0)]),
        *_if_called(_ON_DESCRIPTORS, machine, _no_signals_by_descriptors()),
    ]
    for numbers in refused.values():
        lines += _if_called(numbers, machine, [_NOT_PERMITTED])
    return b"".join(struct.pack("=HBBI", *line) for line in [*lines, _PERMITTED])


def _signals_only_to(pid: int, machine: _Machine) -> list[_Line]:
    lines = []
    for numbers in _SIGNALS.values():
        lines += _if_called(numbers, machine, [(_LOAD_WORD, 0, 0, _FIRST_ARGUMENT), *_permit_only(pid)])
    return lines


def _no_signals_by_descriptors() -> list[_Line]:
    lines: list[_Line] = [(_LOAD_WORD, 0, 0, _SECOND_ARGUMENT)]
    for command in _WHOM_TO_SIGNAL:
        lines += [(_JUMP_IF_EQUAL, 0, 1, command), _NOT_PERMITTED]
    return [*lines, _PERMITTED]


def _permit_only(value: int) -> list[_Line]:
    return [(_JUMP_IF_EQUAL, 0, 1, value), _PERMITTED, _NOT_PERMITTED]


def _if_called(numbers: _Numbers, machine: _Machine, lines: Sequence[_Line]) -> list[_Line]:
    """Return lines, to the end of the filter, that are reached only by this call; a machine may not have it."""
    number = numbers[machine.column]
    return [] if number is None else [(_JUMP_IF_EQUAL, 0, len(lines), number), *lines]
