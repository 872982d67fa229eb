"""ONNX Runtime, seen as a session that can be loaded, run, cancelled and closed.

1. A session is made from a path, never from bytes, and the file is read as ONNX whatever it looks like: bytes would
   bring in the runtime's second parser and a search for external data in the working directory.
2. Every option is the default or changes no bit of an answer: one intra-op thread is what the reference has, spinning
   and logging touch no number. Parallelism comes from requests, not from inside a run; but for those shapes in which
   several threads were tried and had the same bits (``registry.threads``). For these, a prepared model may have a
   second session, which maps the same weights: a session's number of threads holds for all its runs. It is made when
   the first is at work already (``widen``): a first answer waits for one.
3. Each run has RunOptions of its own (0.2 us), so that a cancellation that comes too late hits nobody else's run.
4. What the runtime says about a failure stays here: its texts name nodes, files and addresses. Outside, only the class
   is told; the cause is chained for the log.
5. Whoever is inside the runtime has a mark in the crash ledger (``gateway.ledger``): nothing here can catch what a
   kernel does to the process. A version that has moved to a child process is not run here again, from that moment on.
"""

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final

from numpy.typing import NDArray

from gateway.ledger import Marks
from registry.errors import DeadlinePassed, LoadFailed, ModelOutOfMemory, OutputNotText, RunFailed, ServiceError
from registry.foreign_run import ForeignRun
from registry.threads import ThreadRule, WholeShapes

# The runtime reads this when it is imported; without it, it starts a thread that sends usage data to its makers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 - written for the runtime, not read by us

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

Array = NDArray[Any]

NO_MARKS: Final = Marks()
"""For sessions of whose death nobody would learn: in commands, in tests, in children."""

_FATAL_ONLY = 4

RUNTIME_ERRORS: Final[tuple[type[Exception], ...]] = (
    native.DeviceReset,
    native.EngineError,
    native.EPFail,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.ModelLoadCanceled,
    native.ModelLoaded,
    native.ModelRequiresCompilation,
    native.NoModel,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
)
"""Every error class of the runtime; they have no common ancestor below Exception."""

_REFUSALS: Final[tuple[type[Exception], ...]] = (*RUNTIME_ERRORS, MemoryError, RuntimeError, TypeError, ValueError)
"""What can come out of loading or running: the runtime's own errors and those of its Python binding."""

_AS_REQUESTED: Final = 1
"""Of the two ways in which an arena may grow."""

_NO_MEMORY: Final = re.compile(r"[Ff]ailed to allocate memory|bad[ _]alloc|Available memory of", re.ASCII)
"""What the runtime says where memory is short; it has no class for it."""


class DisplacedError(Exception):
    """The version is not run in this process any more; nothing has been run."""


class Cancellation:
    """The right to stop one run, from any thread and at any time: before it, in it (between two nodes), after it."""

    __slots__ = ("is_for_memory", "options")

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()
        self.is_for_memory = False
        """Whether it was cancelled for the memory that it took."""

    def cancel(self, *, is_for_memory: bool = False) -> None:
        """Make the run fail with DeadlinePassed as soon as the node that it is in has finished.

        Args:
            is_for_memory: to have it fail with ModelOutOfMemory instead.
        """
        self.is_for_memory = is_for_memory
        self.options.terminate = True

    @property
    def is_cancelled(self) -> bool:
        """True once ``cancel`` has been called."""
        return bool(self.options.terminate)


class Session:
    """A loaded model.

    Thread-safety: ``run`` may be called from several threads at once, also during ``widen``; ``close`` only when no run
    is under way.
    """

    __slots__ = (
        "_changing",
        "_closed",
        "_local",
        "_mark",
        "_run",
        "_run_wide",
        "_take_slot",
        "_wide_shapes",
        "_words",
        "is_displaced",
        "load_seconds",
        "memory_bytes",
        "threads",
    )

    is_elsewhere = False
    """Its runs are made in this process."""

    def __init__(
        self,
        inner: Any,
        memory_bytes: int | None = None,
        load_seconds: float = 0.0,
        *,
        marks: Marks = NO_MARKS,
        mark: int = 0,
    ) -> None:
        self._run = ForeignRun(inner, onnxruntime.OrtValue) if ForeignRun.is_needed(inner) else inner.run
        self._run_wide: Any = None
        self._wide_shapes: frozenset[WholeShapes] = frozenset()
        self._changing = threading.Lock()
        self._closed: Callable[[], None] | None = None
        self.memory_bytes = memory_bytes
        """What it takes, if that is not what inspection has measured."""
        self.load_seconds = load_seconds
        """What loading it took."""
        self.threads = 1
        """Of its runs in the shapes of its rule; all others have one."""
        self.is_displaced = False
        """Set once the version is not to be run here any more."""
        self._words, self._local, self._take_slot, self._mark = marks.words, marks.local, marks.take_slot, mark

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        prepared_bytes: int | None = None,
        marks: Marks = NO_MARKS,
        mark: int = 0,
        takes_exactly: bool = False,
    ) -> "Session":
        """Load the ``.onnx`` file at ``path``; blocks, without the GIL, for as long as the graph's optimisation takes.

        Args:
            path: of the graph; other files of the model lie beside it.
            prepared_bytes: for a prepared model, whose graph is optimised already, the memory that it takes; with a
                second session, that of both.
            marks: where it is marked what is inside the runtime.
            mark: the version's.
            takes_exactly: have its memory grow by what is asked for, for processes that may not have much. Else it
                grows by twice as much each time, and by all that is left after a run has asked for too much.

        Raises:
            LoadFailed: the runtime refused it.
        """
        began = monotonic()
        slot = marks.take_slot()
        marks.words[slot] = mark | 1
        try:
            inner = _open(path, is_prepared=prepared_bytes is not None, takes_exactly=takes_exactly)
        except _REFUSALS as error:
            raise LoadFailed(f"the runtime refused the model ({type(error).__name__})") from error
        finally:
            marks.words[slot] = 0
        return cls(inner, prepared_bytes, monotonic() - began, marks=marks, mark=mark)

    def widen(self, path: Path, rule: ThreadRule) -> None:
        """Have the runs of a rule's shapes made with its threads from now on, if these can be had; blocks as a load.

        Args:
            path: of the prepared graph that it was loaded from.
            rule: which runs have several threads.
        """
        if self.is_closed:
            return
        slot = self._take_slot()
        self._words[slot] = self._mark | 1
        try:
            wide = _open(path, is_prepared=True, threads=rule.threads)
        except _REFUSALS:
            return  # there are no more threads to be had, perhaps: one will do
        finally:
            self._words[slot] = 0
        with self._changing:
            if not self.is_closed:
                self._wide_shapes = rule.shapes
                self._run_wide = wide.run
                self.threads = rule.threads

    @property
    def is_closed(self) -> bool:
        """True once ``close`` has been called."""
        return self._run is None

    def when_closed(self, closed: Callable[[], None]) -> None:
        """Have this called once the session has been closed."""
        self._closed = closed

    def run(self, outputs: Sequence[str], feed: Mapping[str, Array], cancellation: Cancellation) -> list[Array]:
        """Run the model and return the arrays of ``outputs``, in that order.

        What a signature says is no tensor goes in and comes out as a ``registry.values.Value``.

        Args:
            outputs: names of the model's outputs, at least one.
            feed: an array for every input that has no default in the graph, checked against the signature before.
            cancellation: of this run only.

        Raises:
            RunFailed: the runtime refused these inputs.
            OutputNotText: a string output is not UTF-8.
            DeadlinePassed: the run was cancelled.
            ModelOutOfMemory: there was not enough memory for it.
            DisplacedError: the version has moved to another process.
        """
        if self.is_displaced:
            raise DisplacedError
        run: Any = self._run
        if self._run_wide is not None and tuple([array.shape for array in feed.values()]) in self._wide_shapes:
            run = self._run_wide
        try:
            slot = self._local.slot
        except AttributeError:
            slot = self._take_slot()
        self._words[slot] = self._mark
        try:
            return run(outputs, feed, cancellation.options)  # type: ignore[no-any-return]
        except UnicodeDecodeError as error:
            raise OutputNotText("an output of the model is not UTF-8 text") from error
        except _REFUSALS as error:
            raise _refusal(error, cancellation) from error
        finally:
            self._words[slot] = 0

    def close(self) -> None:
        """Give up the memory; holds the GIL for some 10 ms per 90 MB, so not on the event loop.

        In a worker large pieces go back to the system at once; for the others see ``gateway.serving.trimming``.
        """
        with self._changing:
            self._run = self._run_wide = None
        if self._closed is not None:
            self._closed()


def _refusal(error: Exception, cancellation: Cancellation) -> ServiceError:
    """Return what a caller is told of a run that the runtime has refused or given up."""
    if cancellation.is_for_memory:
        return ModelOutOfMemory("the run took more memory than a run may")
    if cancellation.is_cancelled:
        return DeadlinePassed("the run was stopped before it had finished")
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return ModelOutOfMemory("there was not enough memory to run the model on these inputs")
    return RunFailed(f"the runtime could not run the model on these inputs ({type(error).__name__})")


def _open(path: Path, *, is_prepared: bool, threads: int = 1, takes_exactly: bool = False) -> Any:
    options = _session_options(threads)
    if takes_exactly:
        _take_exactly(options)
    if is_prepared:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # The wrapper repeats checks that the signature has made already and looks names up anew: a quarter of a short run.
    # The object inside is the same session.
    return session._sess  # noqa: SLF001  the cheaper door to the same run, see above


def _take_exactly(options: Any) -> None:
    """Give a session the process's own arena, which grows by what is asked for; a session's own doubles each time."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({"arena_extend_strategy": _AS_REQUESTED}))
    options.add_session_config_entry("session.use_env_allocators", "1")


def _session_options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
