"""The crash ledger: which version each thread of each worker runs or loads, to be read when the worker is dead.

1. A ledger is memory that the supervisor made, one for each worker's place. Each thread has a slot in it: its own
   number, and a mark while it is inside the runtime. A mark is one store before and one after (some 0.1 us).
2. A mark is a number; the names file says, in JSON lines that are only ever appended to, which version that is.
3. What becomes of the marks of a dead worker is decided in ``gateway.evidence``.
"""

import mmap
import os
import struct
import threading
from dataclasses import dataclass
from typing import Final

import orjson

from registry.standing import Stage

Key = tuple[str, int]
"""A model's name and a version's number."""

_SLOTS: Final = 1024
"""Of one worker's threads; a thread beyond has the last one in common with others."""

_FIRST_SLOT: Final = 2
_SLOT_WORDS: Final = 2
_WORD_BYTES: Final = 8
_MARKS_BYTES: Final = (_FIRST_SLOT + _SLOTS * _SLOT_WORDS) * _WORD_BYTES
_HEAD: Final = struct.Struct("Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A thread that was inside the runtime."""

    thread: int
    key: Key
    stage: Stage


@dataclass(frozen=True, slots=True)
class Ledger:
    """One place's marks and names, by their descriptors, which a child may inherit."""

    marks: int
    names: int

    @classmethod
    def create(cls) -> "Ledger":
        """Make an empty one, in memory."""
        marks, names = os.memfd_create("marks"), os.memfd_create("names")
        os.ftruncate(marks, _MARKS_BYTES)
        return cls(marks, names)

    @property
    def descriptors(self) -> tuple[int, int]:
        """What has to be inherited."""
        return self.marks, self.names

    @property
    def pid(self) -> int:
        """Whose it is; 0 before a worker has begun with it."""
        return int(_HEAD.unpack(os.pread(self.marks, _WORD_BYTES, 0))[0])

    def standing(self) -> list[Mark]:
        """Return the marks as they stand."""
        words = memoryview(os.pread(self.marks, _MARKS_BYTES, 0)).cast("Q")
        names = os.pread(self.names, os.fstat(self.names).st_size, 0).rpartition(b"\n")[0]
        keys = {number: (model, version) for number, model, version in map(orjson.loads, names.splitlines())}
        marks = []
        for place in range(_FIRST_SLOT, len(words), _SLOT_WORDS):
            thread, mark = words[place], words[place + 1]
            if mark and mark >> 1 in keys:
                stage = Stage.LOAD if mark & 1 else Stage.RUN
                marks.append(Mark(thread=thread, key=keys[mark >> 1], stage=stage))
        return marks

    def clear(self) -> None:
        """Forget everything: the next worker begins."""
        os.ftruncate(self.marks, 0)
        os.ftruncate(self.marks, _MARKS_BYTES)
        os.ftruncate(self.names, 0)


class Marks:
    """A ledger as its worker has it.

    Args:
        ledger: where to write; None where nobody reads it, in commands and in tests.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        space = mmap.mmap(-1 if ledger is None else ledger.marks, _MARKS_BYTES)
        self.words = memoryview(space).cast("Q")
        """``words[slot] = mark`` before a run, ``words[slot] = 0`` after it."""
        self.words[0] = os.getpid()
        self.local = threading.local()
        """``local.slot`` is the thread's, once it has asked for it."""
        self._names = None if ledger is None else ledger.names
        self._names_end = 0
        self._lock = threading.Lock()
        self._numbers: dict[Key, int] = {}
        self._owners: dict[int, threading.Thread] = {}

    def number(self, key: Key) -> int:
        """Return what stands for runs of a version; one more stands for its loads."""
        with self._lock:
            number = self._numbers.get(key)
            if number is None:
                number = self._numbers[key] = len(self._numbers) + 1
                if self._names is not None:
                    line = orjson.dumps([number, *key]) + b"\n"
                    os.pwrite(self._names, line, self._names_end)
                    self._names_end += len(line)
        return number << 1

    def take_slot(self) -> int:
        """Return the calling thread's slot; a new one the first time."""
        slot: int | None = getattr(self.local, "slot", None)
        if slot is None:
            with self._lock:
                slot = self.local.slot = self._free_slot()
            self.words[slot - 1] = threading.get_ident()
            self.words[slot] = 0
        return slot

    def mark_of(self, thread: int) -> int:
        """Return the mark of a thread; 0 if it has none."""
        places = range(_FIRST_SLOT, len(self.words), _SLOT_WORDS)
        return next((self.words[place + 1] for place in places if self.words[place] == thread), 0)

    def key_of(self, mark: int) -> Key | None:
        """Return which version a mark stands for."""
        with self._lock:
            return next((key for key, number in self._numbers.items() if number == mark >> 1), None)

    def _free_slot(self) -> int:
        for slot in range(_FIRST_SLOT + 1, len(self.words), _SLOT_WORDS):
            owner = self._owners.get(slot)
            if owner is None or not owner.is_alive():
                self._owners[slot] = threading.current_thread()
                return slot
        return len(self.words) - 1
