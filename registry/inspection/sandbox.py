"""Inspection as the rest of the program sees it: a child process looks at the file, and may die of it.

1. The child is no fork of this process, which has threads, secrets and descriptors that it must not have: it is a new
   program, or a fork of one that has done no more than its imports (``forks``). It gets an empty environment, one pipe
   for its report, one for its last words, and nothing else.
2. It leads a process group of its own, so that it is killed with all that it may have started, whatever happens here.
3. What it says is bounded, and read as data from a stranger. A result, once said, stands: what kills it afterwards is
   a run on made-up inputs, and the runs of a worker have their own protections.
4. How it died is the answer: by which signal, in which stage, by whose limit.
5. At most two inspect at once, or run examples that are recorded, and at most two rehearse for promotions: the third
   waits, for a bounded time. What is rehearsed for a load does not wait. One prepares besides, and nobody waits for it;
   and one strips.
6. When this process ends, its children are killed rather than waited for.
7. After a child that came to a bad end, or said nothing that counts, no other is forked of what it was forked of.
"""

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from registry.artifact import Artifact
from registry.batching import Level
from registry.errors import ExamplesDiffer, InternalError, InvalidArtifact, Overloaded
from registry.examples import Examples
from registry.inspection.children import Children, Ending, says_no_memory
from registry.inspection.forks import FORKS
from registry.inspection.formats import check_format
from registry.inspection.host import runtime_name
from registry.inspection.limits import MIB, ChildLimits, WireLimits
from registry.inspection.report import Report, read_report
from registry.inspection.starting import as_descriptor
from registry.ports import Haste
from registry.records import Inspection
from registry.storage import MOST_STRIPPED_BYTES, Preparation

_DOING = {
    "scan": "while its bytes were checked",
    "parse": "while it was parsed",
    "load": "while ONNX Runtime loaded it",
    "run": "while it ran on inputs that fit its signature",
    "prepare": "while it was prepared",
    "strip": "while its graph was read",
    "examples": "while it ran on its examples",
}


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
        self._stripping = threading.Lock()
        self._children = Children()

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
            return _conclude(*self._run(folder, artifact, limits), limits)

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
        with _turn(turns, patience_seconds), as_descriptor(examples.document) as descriptor:
            ending, report = self._run(folder, artifact, limits, examples=descriptor, names=row_names)
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
            ending, report = self._run(folder, artifact, limits, into=into, memory_bytes=inspection.memory_bytes)
        if report.preparation is not None:
            return report.preparation
        error = _post_mortem(ending, report, limits)
        if isinstance(error, InternalError):
            raise error
        return Preparation(reason=error.detail, is_final=error.code == "inspection_crashed")

    def strip(self, folder: Path, artifact: Artifact, into: Path) -> None:
        """Write the model's graph without its weights into an empty folder, in a child; blocks until it has ended.

        Raises:
            InvalidArtifact, InternalError: as of ``inspect``; ``too_complex`` where it is large without weights, too.
            Overloaded: this process ends.
        """
        limits = replace(self._limits.for_size(artifact.graph.size_bytes), file_bytes=MOST_STRIPPED_BYTES)
        with self._stripping:
            ending, report = self._run(folder, artifact, limits, into=into, is_to_strip=True)
        if report.refusal is not None:
            raise report.refusal
        if not report.is_stripped:
            raise _post_mortem(ending, report, limits)

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
        is_to_strip: bool = False,
    ) -> tuple[Ending, Report]:
        orders = {
            "parent_pid": os.getpid(),
            "folder": str(folder.absolute()),
            "graph": artifact.graph.name,
            "files": {file.name: file.size_bytes for file in artifact.files[1:]},
            "names": list(names),
            "into": None if into is None else str(into.absolute()),
            "memory_bytes": memory_bytes,
            "is_to_strip": is_to_strip,
            "limits": asdict(limits),
            "wire_limits": asdict(self._wire_limits),
        }
        ending = self._children.run(orders, limits, examples=examples)
        report = read_report(bytes(ending.said))
        if ending.returncode != 0 or not report.has_result:
            FORKS.renew()
        return ending, report

    @property
    def child_count(self) -> int:
        """How many children run."""
        return self._children.count

    def close(self) -> None:
        """Kill the children that there are, and start no more; whoever waits for one gets Overloaded."""
        self._children.kill_all()


@contextmanager
def _turn(turns: threading.Semaphore, wait_seconds: float) -> Iterator[None]:
    if not turns.acquire(timeout=wait_seconds):
        raise Overloaded("other models are being inspected", retry_after_seconds=30)
    try:
        yield
    finally:
        turns.release()


def _conclude(ending: Ending, report: Report, limits: ChildLimits) -> Inspection:
    if report.refusal is not None:
        raise report.refusal
    if report.inspection is not None:
        return report.inspection
    raise _post_mortem(ending, report, limits)


def _post_mortem(ending: Ending, report: Report, limits: ChildLimits) -> InvalidArtifact | InternalError:
    doing = _DOING.get(report.stage, "")
    if ending.is_timed_out or ending.returncode == -signal.SIGXCPU:
        return InvalidArtifact("inspection_timeout", f"the model took too much time {doing}")
    if _died_of_memory(ending, limits):
        return InvalidArtifact("inspection_memory", f"the model took more memory than it may {doing}")
    if not doing:
        return InternalError(f"the inspection child failed to start: {ending.last_words.decode(errors='replace')}")
    how = signal.Signals(-ending.returncode).name if ending.returncode < 0 else f"exit status {ending.returncode}"
    return InvalidArtifact("inspection_crashed", f"the model crashed its process ({how}) {doing}")


def _died_of_memory(ending: Ending, limits: ChildLimits) -> bool:
    """Return whether it said so, was killed by the kernel, or fell over with its memory more than half used up.

    The last, because the runtime's own asserts are often the first to notice that an allocation has failed.
    """
    is_large = ending.peak_bytes > limits.memory_bytes // 2
    return ending.returncode == -signal.SIGKILL or is_large or says_no_memory(ending.last_words)
