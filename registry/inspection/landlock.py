"""Landlock: this process gives up all files but those that it names, the network, and all processes but its own.

1. Files are meant by folder, whoever owns them: what is not below a folder named here cannot be opened, listed,
   written, made or removed any more, whatever its permissions are. What is open already stays so.
2. A path that does not exist is left out: fewer are named then, never more.
3. Nothing can be executed. No TCP port is bound or connected to, and no signal or abstract socket reaches a process
   outside, as far as the kernel knows these: each of its ABIs adds some, and nothing asks for what is not there.
4. It holds for the thread that asks and all that it starts, hence for a process only as long as it has one thread, and
   can never be taken off again.

Source: Linux man pages landlock(7), landlock_create_ruleset(2), landlock_add_rule(2); include/uapi/linux/landlock.h.
The system calls have these numbers on every architecture.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_ASK_FOR_ABI: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_REGULAR: Final = 1 << 8
_TRUNCATE: Final = 1 << 14

_FILE_RIGHTS: Final = ((1, 13), (2, 14), (3, 15), (5, 16))
"""From which ABI on how many rights there are that have to do with files."""
_NET_ABI: Final = 4
_ALL_TCP: Final = 0b11
_SCOPE_ABI: Final = 6
_ALL_SCOPES: Final = 0b11

_ON_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
"""What a rule may say of a path that is no folder."""


def landlock_abi() -> int:
    """Return which ABI of Landlock this kernel has; 0 where it has none, or has it switched off."""
    return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_FOR_ABI)))


def restrict(*, read: Iterable[Path], write: Iterable[Path] = ()) -> int:
    """Confine this process, which must have one thread, and return the ABI in force; 0 if there is none.

    Args:
        read: folders and files that may be read.
        write: folders in which files may be read, made, written and removed.
    """
    abi = landlock_abi()
    if abi == 0:
        return 0
    handled = _handled(abi)
    attributes = struct.pack("=QQQ", handled, _ALL_TCP * (abi >= _NET_ABI), _ALL_SCOPES * (abi >= _SCOPE_ABI))
    size = 24 if abi >= _SCOPE_ABI else 16 if abi >= _NET_ABI else 8
    ruleset = _call(_CREATE_RULESET, ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return 0
    try:
        for path in read:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in write:
            rights = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE_FILE | _MAKE_REGULAR | _TRUNCATE
            _allow(ruleset, path, rights & handled)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return abi if _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0 else 0
    finally:
        os.close(ruleset)


def _handled(abi: int) -> int:
    count = max(count for since, count in _FILE_RIGHTS if since <= abi)
    return (1 << count) - 1


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # rule 2
    try:
        is_folder = stat.S_ISDIR(os.fstat(place).st_mode)
        rule = struct.pack("=Qi", rights if is_folder else rights & _ON_FILES, place)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.c_char_p(rule), ctypes.c_uint32(0))
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments))
