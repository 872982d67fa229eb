"""The process that tries inputs, one after the other, and says on a pipe what it finds.

1. Input number i of a target depends on the seed, the target and i alone: whichever process tries it, it is the same.
2. An input is in shared memory before it is tried. What ends the process (a signal, the timer, the limit of memory) is
   for the parent to tell, which starts another one behind that input.
3. The timer counts processor time and its signal has no handler: what hangs in C is ended too, and a busy machine is no
   hang.
4. What takes longer than it may is tried twice more, and the least time counts.
"""

import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.fuzz.slot import MOST_BYTES, Slot
from tests.fuzz.target import Made, Target

Inputs = Iterator[tuple[int, bytes]]
"""Indexes and inputs."""

_MORE_TRIES = 2
_STORY_CHARACTERS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a child says of one input."""

    index: int
    kind: str
    what: str
    """One line, the same for all inputs that show the same."""
    story: str = ""


def path_of(folder: Path, target: Target, said: Said) -> Path:
    """Return where the input is kept."""
    return folder / f"{target.name}-{said.index}-{said.kind}"


def drawn_inputs(made: Made, *, target: str, seed: int, begin: int, end: int | None) -> Inputs:
    """Yield inputs from index ``begin`` on, for ever where there is no end."""
    index = begin
    while end is None or index < end:
        yield index, made.draw(Random(f"{seed}:{target}:{index}"))[:MOST_BYTES]
        index += 1


class Child:
    """Tries inputs.

    Args:
        target: what is tried.
        slot: shared with the parent.
        pipe: where to say what is found.
        folder: where to keep its inputs.
    """

    def __init__(self, target: Target, slot: Slot, pipe: int, folder: Path) -> None:
        self._target = target
        self._slot = slot
        self._pipe = pipe
        self._folder = folder
        self._known: set[tuple[str, str]] = set()

    def work(self, inputs: Callable[[Made], Inputs], seconds: float | None) -> None:
        """Try inputs until there are no more, or the time is over."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        warnings.simplefilter("error")
        made = self._target.make()
        gc.collect()
        gc.freeze()
        _limit_memory(self._target.room_bytes)
        until = None if seconds is None else time.monotonic() + seconds
        for index, octets in inputs(made):
            self._slot.begin(index, octets)
            self._slot.end(is_taken=self._try(made, index, octets))
            if until is not None and time.monotonic() > until:
                break
        signal.setitimer(signal.ITIMER_PROF, 0)
        made.close()

    def _try(self, made: Made, index: int, octets: bytes) -> bool:
        """Return whether the input was taken."""
        size, peak_before = len(octets), _peak_bytes()
        took, error = self._attempt(made, octets)
        allowed = self._target.cpu_allowance(size)
        if took > allowed:
            took = min(took, *(self._attempt(made, octets)[0] for _ in range(_MORE_TRIES)))
        grown = _peak_bytes() - peak_before
        if isinstance(error, MemoryError):
            self._say(octets, index, "memory", "it takes all memory", f"{self._target.room_bytes} bytes for {size}")
        elif error is not None and not isinstance(error, self._target.allowed):
            self._say(octets, index, "error", _gist(error), "".join(traceback.format_exception(error)))
        if took > allowed:
            story = f"{took:.2f} s of processor time for {size} bytes, where {allowed:.2f} s are allowed"
            self._say(octets, index, "slow", "it takes longer than its size allows", story)
        if grown > self._target.memory_allowance(size):
            story = f"{grown} bytes above the peak before, for {size} bytes"
            self._say(octets, index, "memory", "it takes more memory than its size allows", story)
        return error is None

    def _attempt(self, made: Made, octets: bytes) -> tuple[float, Exception | None]:
        """Return how much processor time it took, and what was raised."""
        signal.setitimer(signal.ITIMER_PROF, self._target.hang_seconds)
        begun = time.process_time()
        try:
            made.attempt(octets)
        except Exception as error:  # noqa: BLE001 - whatever comes is judged
            return time.process_time() - begun, error
        return time.process_time() - begun, None

    def _say(self, octets: bytes, index: int, kind: str, what: str, story: str) -> None:
        is_known = (kind, what) in self._known
        said = Said(index=index, kind=kind, what=what, story="" if is_known else story[-_STORY_CHARACTERS:])
        if not is_known:
            self._known.add((kind, what))
            path_of(self._folder, self._target, said).write_bytes(octets)
        os.write(self._pipe, json.dumps(asdict(said)).encode() + b"\n")


def end_with(work: Callable[[], None]) -> None:
    """Do the work and end the process, whatever comes: nothing of the parent's may go on here."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - as above
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _gist(error: Exception) -> str:
    """Return the class of an error, and where it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-2:]]
    return f"{type(error).__name__} at {' < '.join(reversed(places))}"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit_memory(room_bytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + room_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
