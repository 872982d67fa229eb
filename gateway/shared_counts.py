"""Numbers that one process writes and its siblings read, as cheaply as if they were its own.

1. A board is two files in memory, made by the supervisor before any worker exists: the numbers (float64, in slots), and
   the keys that say which slots mean what (JSON lines, only ever appended to).
2. A worker writes to its own board with plain assignments. Nobody else writes there, so nothing is locked; a reader
   sees each number as it was before or after an addition.
3. A board outlives its worker: the one that is started in its place goes on counting where it stopped, so that no sum
   over the boards ever falls.
4. What is a state and no count (its key begins with ``STATE``) ends with its worker: the supervisor makes it NaN, which
   stands for nothing.
5. A board that is full keeps its old keys; what is new is counted in a place that nobody reads.
"""

import math
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import orjson

Key = tuple[str, ...]

STATE = "state"

_NUMBER_BYTES = 8
_SLOTS = 4 * 1024 * 1024
"""Of each board, for some 150,000 versions; memory is taken only for those that are used."""

_MAX_WIDTH = 64
"""How many slots one key may have. The first so many of a board are the place that nobody reads."""

NOWHERE = 0
"""Where that place begins."""


@dataclass(frozen=True, slots=True)
class Board:
    """The two files of one board, by their descriptors, which a child may inherit."""

    keys: int
    numbers: int

    @classmethod
    def create(cls) -> "Board":
        """Make an empty one, in memory."""
        keys, numbers = os.memfd_create("keys"), os.memfd_create("numbers")
        os.ftruncate(numbers, _SLOTS * _NUMBER_BYTES)
        return cls(keys, numbers)

    @property
    def descriptors(self) -> tuple[int, int]:
        """What has to be inherited."""
        return self.keys, self.numbers

    def end_states(self) -> None:
        """Take note that the worker of this board has ended."""
        nothing = struct.pack("d", math.nan)
        for start, width, key in self.read_keys()[0]:
            if key[0] == STATE:
                os.pwrite(self.numbers, nothing * width, start * _NUMBER_BYTES)

    def read_keys(self, begin: int = 0) -> tuple[list[tuple[int, int, Key]], int]:
        """Return (start, width, key) of every key from the byte ``begin`` on, and where the next one will be written.

        A line without an end is one that its writer did not live to finish.
        """
        size_bytes = os.fstat(self.keys).st_size - begin
        whole, _, _ = os.pread(self.keys, max(0, size_bytes), begin).rpartition(b"\n")
        lines = [orjson.loads(line) for line in whole.splitlines()]
        return [(start, width, tuple(key)) for start, width, *key in lines], begin + len(whole) + bool(whole)


class BoardReader:
    """A board as others see it; used by one thread at a time."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._numbers = map_numbers(board)
        self._keys: list[tuple[int, int, Key]] = []
        self._end = 0

    def read(self, is_wanted: Callable[[Key], bool] = lambda _: True) -> Iterator[tuple[Key, Sequence[float]]]:
        """Yield every key that is wanted with its numbers as they are now."""
        new, self._end = self._board.read_keys(self._end)
        self._keys += new
        for start, width, key in self._keys:
            if is_wanted(key):
                yield key, self._numbers[start : start + width].tolist()


class StateReader:
    """One state as each of some boards has it; used by one thread.

    Args:
        boards: of all workers of the host.
        key: of the state, behind ``STATE``.
    """

    def __init__(self, boards: Sequence[Board], *key: str) -> None:
        self._key = (STATE, *key)
        self._boards = [(board, map_numbers(board)) for board in boards]
        self._ends = [0] * len(self._boards)
        self._slots: list[int | None] = [None] * len(self._boards)

    def read(self) -> list[float]:
        """Return the number of each board; NaN where its worker says none."""
        for place, (board, _) in enumerate(self._boards):
            if self._slots[place] is None:
                new, self._ends[place] = board.read_keys(self._ends[place])
                self._slots[place] = next((start for start, _, key in new if key == self._key), None)
        return [
            math.nan if slot is None else float(numbers[slot])
            for (_, numbers), slot in zip(self._boards, self._slots, strict=True)
        ]


class Counts:
    """A board as its one writer has it; ``slot`` is safe for its threads."""

    def __init__(self, board: Board) -> None:
        self.numbers = map_numbers(board)
        """All slots; ``numbers[slot] += 1`` counts."""
        self._keys = board.keys
        known, self._end = board.read_keys()
        self._slots = {key: start for start, _, key in known}
        self._next = max((start + width for start, width, _ in known), default=_MAX_WIDTH)
        self._adding = Lock()

    def count(self, kind: str) -> int:
        """Return how many keys begin with a word."""
        return sum(key[0] == kind for key in self._slots)

    def has(self, *key: str) -> bool:
        """Return whether a key has slots."""
        return key in self._slots

    def slot(self, *key: str, width: int = 1) -> int:
        """Return the first of ``width`` slots that are this key's from now on; they begin with zero."""
        found = self._slots.get(key)
        if found is not None:
            return found
        with self._adding:
            return self._add(key, width)

    def _add(self, key: Key, width: int) -> int:
        found = self._slots.get(key)
        if found is not None:  # another thread has been quicker
            return found
        if self._next + width > len(self.numbers):
            return NOWHERE
        start = self._slots[key] = self._next
        self._next += width
        line = orjson.dumps([start, width, *key]) + b"\n"
        os.pwrite(self._keys, line, self._end)
        self._end += len(line)
        return start


def map_numbers(board: Board) -> "memoryview[float]":
    """Return all slots of a board, as they are whenever one looks."""
    return memoryview(mmap.mmap(board.numbers, _SLOTS * _NUMBER_BYTES)).cast("d")
