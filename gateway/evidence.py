"""What crashing workers leave behind, and who is accused of it.

1. A worker that crashes says which thread did it: ``faulthandler`` writes that to a file of last words, which all
   workers share. Its first byte is seen by every worker at once, without a system call.
2. The thread tells which version's run or load it was (``gateway.ledger``). Where it does not, whoever had a mark is a
   suspect; one alone is guilty, but where somebody may have killed the worker from outside.
3. Who is accused stands in a file of JSON lines: written by the supervisor when a worker has died, or by a worker that
   is about to end itself. Nobody waits to write there. How far the registry has been told stands in a file of its own;
   one worker at a time tells it.
"""

import fcntl
import mmap
import os
import re
import signal
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from gateway.ledger import Key, Ledger
from registry.standing import Stage

_WORDS_BYTES: Final = 64 * 1024 * 1024
"""Room for last words; memory is taken only for what has been said."""

_WORDS_AT_ONCE: Final = 64 * 1024

_ANSWERS: Final = 16 * 1024
_HEAD: Final = struct.Struct("Q")
_CRASHED_THREAD: Final = re.compile(rb"Current thread 0x([0-9a-f]+)")
_SAID_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accusation:
    """A version during whose run or load a worker has died."""

    pid: int
    model: str
    version: int
    stage: Stage
    cause: str
    """The signal's name, or ``hang``, or ``memory``."""
    is_certain: bool
    """False for a suspect."""

    @property
    def key(self) -> Key:
        """Which version."""
        return self.model, self.version


@dataclass(frozen=True, slots=True)
class Evidence:
    """What all workers and their supervisor share: last words, who is accused, who was told, whose children answer."""

    words: int
    accused: int
    answers: int
    told: int

    @classmethod
    def create(cls) -> "Evidence":
        """Make it, in memory."""
        words, accused, answers, told = map(os.memfd_create, ("last-words", "accused", "answers", "told"))
        os.ftruncate(words, _WORDS_BYTES)
        os.ftruncate(answers, _ANSWERS * _HEAD.size)
        os.ftruncate(told, _HEAD.size)
        # Whoever writes there, appends; workers that inherit the descriptor do so, too.
        fcntl.fcntl(accused, fcntl.F_SETFL, fcntl.fcntl(accused, fcntl.F_GETFL) | os.O_APPEND)
        return cls(words, accused, answers, told)

    @property
    def descriptors(self) -> tuple[int, int, int, int]:
        """What has to be inherited."""
        return self.words, self.accused, self.answers, self.told

    def words_since(self, begin: int) -> tuple[bytes, int]:
        """Return what has been said from a byte on, and up to where."""
        said, end = b"", begin
        while end < _WORDS_BYTES:
            more = os.pread(self.words, min(_WORDS_AT_ONCE, _WORDS_BYTES - end), end)
            part = more.partition(b"\0")[0]
            said, end = said + part, end + len(part)
            if len(part) < _WORDS_AT_ONCE:
                break
        return said, end

    def accuse(self, accusations: Sequence[Accusation]) -> None:
        """Write down who is accused; a line is written at once."""
        os.write(self.accused, b"".join(map(_line, accusations)))

    def accused_since(self, begin: int) -> tuple[list[Accusation], int]:
        """Return who has been accused from a byte on, and where the next one will stand."""
        size_bytes = os.fstat(self.accused).st_size - begin
        whole, _, _ = os.pread(self.accused, max(0, size_bytes), begin).rpartition(b"\n")
        lines = [orjson.loads(line) for line in whole.splitlines()]
        found = [Accusation(**{**line, "stage": Stage(line["stage"])}) for line in lines]
        return found, begin + len(whole) + bool(whole)

    def tell(self, tell: Callable[[Accusation], bool]) -> bool:
        """Tell of each of whom the registry has not been told, once, until it does not answer; return whether it did.

        Args:
            tell: tells of one, and returns whether it has been told.

        Raises:
            BlockingIOError: another worker is at it.
        """
        fcntl.lockf(self.told, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process, whoever has the same descriptor
        try:
            accusations, _ = self.accused_since(self.told_up_to())
            for accused in accusations:
                if not tell(accused):
                    return False
                told = self.told_up_to() + len(_line(accused))
                os.pwrite(self.told, _HEAD.pack(told), 0)
        finally:
            fcntl.lockf(self.told, fcntl.LOCK_UN)
        return True

    def told_up_to(self) -> int:
        """Return the byte up to which the registry has been told."""
        return int(_HEAD.unpack(os.pread(self.told, _HEAD.size, 0))[0])

    def is_told(self) -> bool:
        """Tell, without waiting for anybody, whether the registry has been told of all."""
        return self.told_up_to() >= os.fstat(self.accused).st_size


class AnswerTimes:
    """When children of each version last answered, whichever worker's they were.

    Versions may share a place; that makes one look livelier than it is, no more.
    """

    def __init__(self, evidence: Evidence | None = None) -> None:
        space = mmap.mmap(-1 if evidence is None else evidence.answers, _ANSWERS * _HEAD.size)
        self._times = memoryview(space).cast("d")

    def note(self, key: Key, now: float) -> None:
        """Take note of an answer at a moment of the machine's monotonic clock."""
        self._times[_place(key)] = now

    def of(self, key: Key) -> float:
        """Return the moment of the last one; 0 if there was none."""
        return self._times[_place(key)]


def _line(accusation: Accusation) -> bytes:
    return orjson.dumps(asdict(accusation)) + b"\n"


def _place(key: Key) -> int:
    return zlib.crc32(f"{key[0]}:{key[1]}".encode()) % _ANSWERS


def crashed_threads(words: bytes) -> set[int]:
    """Return the numbers of the threads in which workers have crashed, by their last words."""
    return {int(thread, 16) for thread in _CRASHED_THREAD.findall(words)}


def judge(ledger: Ledger, pid: int, exit_code: int, words: bytes) -> list[Accusation]:
    """Return whom a worker's death is laid to; nobody, if it has ended by itself or was inside no model.

    Args:
        ledger: of the worker.
        pid: its process id.
        exit_code: as ``subprocess`` has it: negative for a signal.
        words: what crashing workers have said lately.
    """
    if exit_code >= 0:
        return []
    marks = ledger.standing()
    crashed = crashed_threads(words)
    guilty = [mark for mark in marks if mark.thread in crashed]
    is_certain = bool(guilty) or (len(marks) == 1 and -exit_code not in _SAID_FROM_OUTSIDE)
    cause = signal.Signals(-exit_code).name
    return [
        Accusation(
            pid=pid, model=mark.key[0], version=mark.key[1], stage=mark.stage, cause=cause, is_certain=is_certain
        )
        for mark in guilty or marks
    ]


class LastWords:
    """What other workers say when they crash, as a worker sees it."""

    def __init__(self, evidence: Evidence | None = None) -> None:
        self._map = mmap.mmap(-1 if evidence is None else evidence.words, _WORDS_BYTES if evidence else mmap.PAGESIZE)
        self._evidence = evidence
        self._end = 0
        self.read()

    def are_new(self) -> bool:
        """Tell whether somebody has said something since the last reading."""
        return self._map[self._end] != 0

    def read(self) -> bytes:
        """Return what has been said since the last time."""
        if self._evidence is None:
            return b""
        said, end = self._evidence.words_since(self._end)
        self._end = min(end, _WORDS_BYTES - 1)
        return said
