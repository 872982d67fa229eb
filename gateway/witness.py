"""How a worker learns of the crashes of its siblings, and that the registry is told of them.

1. What a crashing worker says is seen before the next request is run, and the version that it was running is not run
   here any more: whoever sends what kills may do so again at once.
2. Who is accused by the supervisor, or by a worker that ends itself, is read a few times a second, and told to the
   registry by whichever worker comes first. A worker that starts begins with that.
"""

import asyncio
import os
import re
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.evidence import Accusation, AnswerTimes, Evidence, LastWords, crashed_threads
from gateway.ledger import Key, Ledger, Marks
from gateway.parts import Parts
from gateway.serving.isolating import Isolating
from gateway.trials import OURSELVES
from registry.crashes import Crashes
from registry.records import Version
from registry.standing import HANG, Stage

_LOOK_SECONDS: Final = 0.1
_TELL_AGAIN_SECONDS: Final = 5.0
_EXITING: Final = 0x4
"""A flag of the kernel's, in /proc/<pid>/stat."""
_STAT = re.compile(r"\) (\S)(?: \S+){5} (\d+)")


class NotToldError(Exception):
    """The registry does not answer now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashMemory:
    """What a supervisor has made for its workers to remember crashes in, as one of them has it."""

    ledgers: Sequence[Ledger]
    place: int
    """Whose of the ledgers is this worker's."""
    evidence: Evidence


class Witness:
    """Belongs to one event loop, but for ``accuse``.

    Args:
        memory: None where there are no siblings: nothing is seen or told.
        isolating: is told what is seen.
        executor: where the registry is told.
    """

    def __init__(self, memory: CrashMemory | None, isolating: Isolating, executor: Executor) -> None:
        self._memory = memory
        self._isolating = isolating
        self._executor = executor
        self.marks = Marks(None if memory is None else memory.ledgers[memory.place])
        self._words = LastWords(None if memory is None else memory.evidence)
        self._read_up_to = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at what there is, and go on looking."""
        if self._memory is not None:
            self._words.read()  # the supervisor knows by now whose they were, and their ledger is empty
            self._read_accused(self._memory.evidence)
            self._task = asyncio.get_running_loop().create_task(self._keep_looking(self._memory.evidence))

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look(self) -> None:
        """Take note at once of a crash that has just happened; takes no time where there was none."""
        if self._words.are_new() and self._memory is not None:
            self._isolating.move(self._suspects(self._memory, self._words.read()))
            self._read_accused(self._memory.evidence)

    def accuse(self, thread: int, cause: str) -> None:
        """Write down that what a thread of this worker runs will end this worker; it may be the last thing it does."""
        mark = self.marks.mark_of(thread)
        key = self.marks.key_of(mark)
        if key is not None:
            self._write(key, Stage.LOAD if mark & 1 else Stage.RUN, cause)

    def accuse_version(self, version: Version, cause: str) -> None:
        """Suspect a version of what this worker has not died of; any thread may."""
        self._write((version.model, version.number), Stage.RUN, cause, is_certain=False)

    def _write(self, key: Key, stage: Stage, cause: str, *, is_certain: bool = True) -> None:
        if self._memory is None:
            self._isolating.move([key])
            return
        accused = Accusation(
            pid=os.getpid(), model=key[0], version=key[1], stage=stage, cause=cause, is_certain=is_certain
        )
        self._memory.evidence.accuse([accused])

    def _suspects(self, memory: CrashMemory, said: bytes) -> set[Key]:
        """Return what the crashed thread was running, or else whatever those run that are on their way out."""
        crashed = crashed_threads(said)
        standing = {
            ledger.pid: ledger.standing() for place, ledger in enumerate(memory.ledgers) if place != memory.place
        }
        guilty = {mark.key for marks in standing.values() for mark in marks if mark.thread in crashed}
        return guilty or {mark.key for pid, marks in standing.items() if _is_ending(pid) for mark in marks}

    async def _keep_looking(self, evidence: Evidence) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.look()
            self._read_accused(evidence)
            seconds = _LOOK_SECONDS
            if not evidence.is_told():
                try:
                    await loop.run_in_executor(self._executor, self._tell, evidence)
                except NotToldError:
                    seconds = _TELL_AGAIN_SECONDS
                except Exception as error:  # noqa: BLE001 - whatever it is, there will be other crashes
                    structlog.get_logger().error("crash_not_told", exc_info=error)
                    seconds = _TELL_AGAIN_SECONDS
            await asyncio.sleep(seconds)

    def _read_accused(self, evidence: Evidence) -> None:
        accused, self._read_up_to = evidence.accused_since(self._read_up_to or evidence.told_up_to())
        if accused:
            self._isolating.move({accusation.key for accusation in accused})

    def _tell(self, evidence: Evidence) -> None:
        with suppress(BlockingIOError):  # another worker is at it
            if not evidence.tell(self._isolating.record):
                raise NotToldError


def _is_ending(pid: int) -> bool:
    """Return whether a process has ended, or is about to, whatever it may still seem to be."""
    stat = ""
    with suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    found = _STAT.search(stat)
    return found is None or found[1] in "ZX" or bool(int(found[2]) & _EXITING)


def open_isolating(parts: Parts, memory: CrashMemory | None, executor: Executor) -> tuple[Isolating, Witness]:
    """Make what knows where versions run, and what sees the crashes; the registry is told in ``executor``."""
    isolating = Isolating(
        Crashes(parts.registry, parts.clock),
        executor=executor,
        answered=AnswerTimes(None if memory is None else memory.evidence),
        host=socket.gethostname(),
        actor=OURSELVES,
    )
    return isolating, Witness(memory, isolating, executor)


def end_process(witness: Witness, thread: int) -> None:
    """End this worker, the run in one of whose threads listens to nothing else; the supervisor starts another."""
    structlog.get_logger().error("run_is_stuck", pid=os.getpid())
    witness.accuse(thread, HANG)
    os.kill(os.getpid(), signal.SIGKILL)
