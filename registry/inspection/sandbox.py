"""Inspection as the rest of the program sees it: a child process looks at the file, and may die of it.

1. The child is a new program, not a fork: this process has threads, secrets and descriptors that it must not have.
   It gets an empty environment, one pipe for its report, one for its last words, and nothing else.
2. It runs in a session of its own, so that it is killed with all that it may have started, whatever happens here.
3. What it says is bounded, and read as data from a stranger. A result, once said, stands: what kills it afterwards is
   a run on made-up inputs, and the runs of a worker have their own protections.
4. How it died is the answer: by which signal, in which stage, by whose limit.
5. At most two inspect at once, or run examples that are recorded, and at most two rehearse for promotions: the third
   waits, for a bounded time. What is rehearsed for a load does not wait. One prepares besides, and nobody waits for it.
6. When this process ends, its children are killed rather than waited for.
"""

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from registry.artifact import Artifact
from registry.batching import Level
from registry.errors import ExamplesDiffer, InternalError, InvalidArtifact, Overloaded
from registry.examples import Examples
from registry.inspection.formats import check_format
from registry.inspection.host import runtime_name
from registry.inspection.limits import MIB, ChildLimits, WireLimits
from registry.inspection.report import Report, read_report
from registry.ports import Haste
from registry.records import Inspection
from registry.storage import Preparation

_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # else the runtime starts an uploader, with threads and files of its own
    "PATH": os.defpath,
}

_LAST_WORDS_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024
_LOOK_SECONDS = 0.05
"""How often it is looked how much memory a child has."""
_NO_MEMORY = re.compile(rb"MemoryError|bad_alloc|[Cc]annot allocate|out of memory")

_DOING = {
    "scan": "while its bytes were checked",
    "parse": "while it was parsed",
    "load": "while ONNX Runtime loaded it",
    "run": "while it ran on inputs that fit its signature",
    "prepare": "while it was prepared",
    "examples": "while it ran on its examples",
}


@dataclass(slots=True)
class _Ending:
    """What is left of a child."""

    returncode: int = 0
    peak_bytes: int = 0
    is_timed_out: bool = False
    said: bytearray = field(default_factory=bytearray)
    last_words: bytearray = field(default_factory=bytearray)


class SandboxedInspector:
    """Inspects and prepares artifacts in child processes; safe to use from several threads.

    Args:
        limits: what a child may take.
        wire_limits: what the scan of the bytes lets pass.
        max_at_once: children at the same time.
    """

    def __init__(
        self, *, limits: ChildLimits | None = None, wire_limits: WireLimits | None = None, max_at_once: int = 2
    ) -> None:
        self._limits = limits or ChildLimits()
        self._wire_limits = wire_limits or WireLimits()
        self._turns = threading.BoundedSemaphore(max_at_once)
        self._rehearsing = threading.BoundedSemaphore(max_at_once)
        self._preparing = threading.Lock()
        self._children = _Children()

    @property
    def runtime(self) -> str:
        """Who measures: the runtime's name and version and the machine's architecture."""
        return runtime_name()

    def inspect(self, folder: Path, artifact: Artifact) -> Inspection:
        """Find out what the artifact in ``folder`` is; blocks until the child has ended and leaves nothing behind.

        Raises:
            UnsupportedFormat, BodyTooLarge: the file is not ONNX at all, or larger than ONNX can be.
            InvalidArtifact: it is refused; ``inspection_crashed``, ``inspection_timeout`` and ``inspection_memory`` say
                what it did to the child.
            Overloaded: other inspections take all turns.
            InternalError: the child cannot be started here.
        """
        check_format(folder / artifact.graph.name, self._wire_limits)
        limits = self._limits.for_size(artifact.size_bytes)
        with _turn(self._turns, limits.wall_seconds):
            return _conclude(self._run(folder, artifact, limits), limits)

    def rehearse(
        self,
        folder: Path,
        artifact: Artifact,
        examples: Examples,
        *,
        row_names: Sequence[str] = (),
        haste: Haste = Haste.PROMOTING,
    ) -> Level:
        """Load an artifact in a child that does nothing else, and run its examples; blocks until the child has ended.

        Args:
            folder: where the files lie.
            artifact: what they are.
            examples: what is run.
            row_names: the inputs whose rows may share runs, by what inspection has found; empty where none may.
            haste: whom it stands in line with.

        Returns:
            What the rows of the examples have shown together; exact if they contradict nothing.

        Raises:
            InvalidArtifact: as of ``inspect``.
            ExamplesDiffer: it loads, and does not give what its examples say.
            Overloaded, InternalError: as of ``inspect``.
        """
        limits = self._limits.for_size(artifact.size_bytes)
        turns = self._turns if haste is Haste.RECORDING else self._rehearsing
        patience_seconds = 0 if haste is Haste.LOADING else limits.wall_seconds
        with _turn(turns, patience_seconds), _as_descriptor(examples.document) as descriptor:
            ending = self._run(folder, artifact, limits, examples=descriptor, names=row_names)
        report = read_report(bytes(ending.said))
        if report.refusal is not None:
            raise report.refusal
        if report.faults is None:
            raise _post_mortem(ending, report, limits)
        if report.faults:
            first = report.faults[0]
            raise ExamplesDiffer(
                f"{first.path}: expected {first.expected}, received {first.received}", violations=report.faults
            )
        return report.level

    def prepare(self, folder: Path, artifact: Artifact, inspection: Inspection, into: Path) -> Preparation:
        """Write the model's prepared form into an empty folder, in a child; blocks for some plain loads.

        Raises:
            Overloaded: this process ends.
            InternalError: the child cannot be started here.
        """
        size_bytes = artifact.size_bytes + inspection.memory_bytes
        file_bytes = min(4 * size_bytes + 64 * MIB, shutil.disk_usage(into).free // 2)
        limits = replace(self._limits.for_size(size_bytes), file_bytes=file_bytes)
        with self._preparing:
            ending = self._run(folder, artifact, limits, into=into, memory_bytes=inspection.memory_bytes)
        report = read_report(bytes(ending.said))
        if report.preparation is not None:
            return report.preparation
        error = _post_mortem(ending, report, limits)
        if isinstance(error, InternalError):
            raise error
        return Preparation(reason=error.detail, is_final=error.code == "inspection_crashed")

    def _run(
        self,
        folder: Path,
        artifact: Artifact,
        limits: ChildLimits,
        *,
        examples: int | None = None,
        names: Sequence[str] = (),
        into: Path | None = None,
        memory_bytes: int = 0,
    ) -> "_Ending":
        orders = {
            "parent_pid": os.getpid(),
            "graph": artifact.graph.name,
            "files": {file.name: file.size_bytes for file in artifact.files[1:]},
            "examples": examples,
            "names": list(names),
            "into": None if into is None else str(into.absolute()),
            "memory_bytes": memory_bytes,
            "limits": asdict(limits),
            "wire_limits": asdict(self._wire_limits),
        }
        ending = _run_child(folder, orders, limits, self._children)
        if self._children.are_unwanted:
            raise _closing()
        return ending

    @property
    def child_count(self) -> int:
        """How many children run."""
        return self._children.count

    def close(self) -> None:
        """Kill the children that there are, and start no more; whoever waits for one gets Overloaded."""
        self._children.kill_all()


class _Children:
    """Those that run; killing one that has just ended would kill a stranger, hence the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pids: set[int] = set()
        self.are_unwanted = False

    @property
    def count(self) -> int:
        return len(self._pids)

    def start(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Start a child, which ``kill`` must be called for."""
        with self._lock:
            if self.are_unwanted:
                raise _closing()
            child = start()
            self._pids.add(child.pid)
        return child

    def kill(self, pid: int) -> None:
        """Kill a child that has not been waited for, for the last time."""
        with self._lock:
            self._pids.discard(pid)
            _kill_group(pid)

    def kill_all(self) -> None:
        """Kill all, and let no more be born."""
        with self._lock:
            self.are_unwanted = True
            for pid in self._pids:
                _kill_group(pid)


@contextmanager
def _turn(turns: threading.Semaphore, wait_seconds: float) -> Iterator[None]:
    if not turns.acquire(timeout=wait_seconds):
        raise Overloaded("other models are being inspected", retry_after_seconds=30)
    try:
        yield
    finally:
        turns.release()


@contextmanager
def _as_descriptor(text: str) -> Iterator[int]:
    """Give a descriptor that a child can read the text from: it has no files, and arguments are short."""
    descriptor = os.memfd_create("examples")
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _closing() -> Overloaded:
    return Overloaded("the gateway is shutting down", retry_after_seconds=5)


def _run_child(folder: Path, orders: dict[str, Any], limits: ChildLimits, children: _Children) -> _Ending:
    reading, writing = os.pipe()
    try:
        child = children.start(lambda: _start(folder, orders | {"report": writing}, writing))
    except BaseException as error:
        os.close(reading)
        if isinstance(error, OSError):
            raise InternalError(f"the inspection child cannot be started ({type(error).__name__})") from error
        raise
    finally:
        os.close(writing)
    ending = _Ending()
    exited = os.pidfd_open(child.pid)
    try:
        _listen(child, reading, exited, limits, ending)
    finally:
        children.kill(child.pid)
        _, status = os.waitpid(child.pid, 0)
        ending.returncode = child.returncode = os.waitstatus_to_exitcode(status)
        os.close(exited)
        os.close(reading)
        if child.stderr is not None:
            child.stderr.close()
    return ending


def _start(folder: Path, orders: dict[str, Any], report: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own module, by an argument list
        [sys.executable, "-I", "-B", "-m", "registry.inspection", json.dumps(orders)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=(report,) if orders["examples"] is None else (report, orders["examples"]),
        cwd=folder,
        env=_ENVIRONMENT,
        start_new_session=True,
    )


def _listen(child: subprocess.Popen[bytes], reading: int, exited: int, limits: ChildLimits, ending: _Ending) -> None:
    """Read both pipes until the child has exited and they are drained, or time is up."""
    assert child.stderr is not None  # noqa: S101 - it was asked for
    deadline = time.monotonic() + limits.wall_seconds
    pipes = {reading: (ending.said, limits.report_bytes), child.stderr.fileno(): (ending.last_words, _LAST_WORDS_BYTES)}
    with selectors.DefaultSelector() as selector:
        for descriptor in (*pipes, exited):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select(min(_LOOK_SECONDS, max(0.0, deadline - time.monotonic())))}
            ending.peak_bytes = max(ending.peak_bytes, _peak_bytes(child.pid))
            for descriptor in ready & pipes.keys():
                if not _drain(descriptor, *pipes[descriptor]):
                    selector.unregister(descriptor)
            if exited in ready and not ready & pipes.keys():
                return
            if time.monotonic() >= deadline:
                ending.is_timed_out = True
                return


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a child has had since it was started; 0 if it has ended.

    Its resource usage would not do: a program begins with the peak of the process that it was started from.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _drain(descriptor: int, kept: bytearray, limit_bytes: int) -> bool:
    """Keep what there is to read, up to the limit; return False at the end."""
    octets = os.read(descriptor, _CHUNK_BYTES)
    kept.extend(octets[: max(0, limit_bytes - len(kept))])
    return bool(octets)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _conclude(ending: _Ending, limits: ChildLimits) -> Inspection:
    report = read_report(bytes(ending.said))
    if report.refusal is not None:
        raise report.refusal
    if report.inspection is not None:
        return report.inspection
    raise _post_mortem(ending, report, limits)


def _post_mortem(ending: _Ending, report: Report, limits: ChildLimits) -> InvalidArtifact | InternalError:
    doing = _DOING.get(report.stage, "")
    if ending.is_timed_out or ending.returncode == -signal.SIGXCPU:
        return InvalidArtifact("inspection_timeout", f"the model took too much time {doing}")
    if _died_of_memory(ending, limits):
        return InvalidArtifact("inspection_memory", f"the model took more memory than it may {doing}")
    if not doing:
        return InternalError(f"the inspection child failed to start: {ending.last_words.decode(errors='replace')}")
    how = signal.Signals(-ending.returncode).name if ending.returncode < 0 else f"exit status {ending.returncode}"
    return InvalidArtifact("inspection_crashed", f"the model crashed its process ({how}) {doing}")


def _died_of_memory(ending: _Ending, limits: ChildLimits) -> bool:
    """Return whether it said so, was killed by the kernel, or fell over with its memory more than half used up.

    The last, because the runtime's own asserts are often the first to notice that an allocation has failed.
    """
    is_large = ending.peak_bytes > limits.memory_bytes // 2
    return ending.returncode == -signal.SIGKILL or is_large or _NO_MEMORY.search(ending.last_words) is not None
