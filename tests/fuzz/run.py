"""The parent: starts the process that tries inputs, watches it, and tells what it died of."""

import json
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.fuzz.child import Child, Inputs, Said, drawn_inputs, end_with, path_of
from tests.fuzz.slot import Slot
from tests.fuzz.target import Made, Target

_LOOK_SECONDS = 0.2
_START_SECONDS = 120.0
_MOST_FINDINGS = 20
"""Of one target; then it is broken enough."""


class BrokenFuzzerError(Exception):
    """The process ended before it tried anything, or while it made an input: that is no finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What should not have come of an input."""

    target: str
    said: Said
    path: Path
    """The input."""

    def __str__(self) -> str:
        """Say what it is, and how to have it again."""
        lines = [
            f"{self.target}, input {self.said.index}: {self.said.kind}: {self.said.what}",
            *(f"  {line}" for line in self.said.story.strip().splitlines()[-16:]),
            f"  again: python -m tests.fuzz --replay {self.path}",
        ]
        return "\n".join(lines)


@dataclass(slots=True)
class Result:
    """What one target has come to."""

    target: str
    tries: int = 0
    taken: int = 0
    findings: list[Finding] = field(default_factory=list)
    """One for each that is different."""
    repeats: int = 0
    """Findings that show the same as one of these."""

    def __str__(self) -> str:
        """Say it on one line."""
        refused = self.tries - self.taken
        counts = f"{self.tries:9} inputs, {self.taken} taken, {refused} refused, {len(self.findings)} findings"
        return f"{self.target:14}{counts}" + f" ({self.repeats} more like them)" * bool(self.repeats)


def fuzz(target: Target, *, seed: int, folder: Path, seconds: float | None = None, count: int | None = None) -> Result:
    """Try inputs of one target for a time, or so many of them; findings are kept in the folder."""
    result = Result(target.name)
    until = None if seconds is None else time.monotonic() + seconds
    begin = 0
    while count is None or begin < count:
        rest = None if until is None else until - time.monotonic()
        if (rest is not None and rest <= 0) or len(result.findings) >= _MOST_FINDINGS:
            break
        inputs = partial(drawn_inputs, target=target.name, seed=seed, begin=begin, end=count)
        died_at = _Watch(target, result, folder).run(inputs, rest)
        if died_at is None:
            break
        begin = died_at + 1
    return result


def replay(target: Target, path: Path, folder: Path) -> Result:
    """Try one input that has been kept."""
    result = Result(target.name)

    def only(_: Made) -> Inputs:
        yield 0, path.read_bytes()

    _Watch(target, result, folder).run(only, None)
    return result


class _Watch:
    """One process, from its start to its end."""

    def __init__(self, target: Target, result: Result, folder: Path) -> None:
        self._target = target
        self._result = result
        self._folder = folder
        self._slot = Slot()

    def run(self, inputs: Callable[[Made], Inputs], seconds: float | None) -> int | None:
        """Return the index of the input that the process died of, None if it did not die."""
        pipe, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(pipe)
            end_with(lambda: Child(self._target, self._slot, writing, self._folder).work(inputs, seconds))
        os.close(writing)
        is_hanging = self._listen(pipe, pid)
        os.close(pipe)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        index, octets = self._slot.read()
        self._result.tries += self._slot.tries
        self._result.taken += self._slot.taken
        self._slot.close()
        if status == 0:
            return None
        if octets is None:
            raise BrokenFuzzerError(f"{self._target.name}: the process ended with {status} while it tried nothing")
        said = Said(index=index, kind=_kind(status, is_hanging=is_hanging), what=_cause(status, is_hanging=is_hanging))
        path_of(self._folder, self._target, said).write_bytes(octets)
        self._keep(said)
        self._result.tries += 1
        return index

    def _listen(self, pipe: int, pid: int) -> bool:
        """Take what the process says until it ends; kill it if it stands still, and return whether it did."""
        hearing = select.poll()
        hearing.register(pipe, select.POLLIN)
        unread = b""
        last, since = -1, time.monotonic()
        is_hanging = False
        while True:
            if hearing.poll(_LOOK_SECONDS * 1000):
                octets = os.read(pipe, 65536)
                if not octets:
                    return is_hanging
                *lines, unread = (unread + octets).split(b"\n")
                for line in lines:
                    self._keep(Said(**json.loads(line)))
            is_ready = self._slot.read()[1] is not None or self._slot.tries > 0
            if self._slot.tries != last:
                last, since = self._slot.tries, time.monotonic()
            limit = self._target.wall_seconds + (0 if is_ready else _START_SECONDS)
            if not is_hanging and time.monotonic() - since > limit:
                os.kill(pid, signal.SIGKILL)
                is_hanging = True

    def _keep(self, said: Said) -> None:
        known = {(finding.said.kind, finding.said.what) for finding in self._result.findings}
        if (said.kind, said.what) in known:
            self._result.repeats += 1
        else:
            path = path_of(self._folder, self._target, said)
            self._result.findings.append(Finding(target=self._target.name, said=said, path=path))


def _kind(status: int, *, is_hanging: bool) -> str:
    return "hang" if is_hanging or status == -signal.SIGPROF else "death"


def _cause(status: int, *, is_hanging: bool) -> str:
    if is_hanging:
        return "it stands still"
    if status == -signal.SIGPROF:
        return "it does not end"
    return f"the process died of {signal.Signals(-status).name}" if status < 0 else f"the process ended with {status}"
