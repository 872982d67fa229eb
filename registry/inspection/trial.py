"""A session made and run for trial, in the inspection child.

1. The session is made as a worker makes it: by path, ONNX format only, one thread or as many as are tried, no spinning.
2. What the runtime says that the model takes and gives must be what the graph says.
3. Memory is the growth of anonymous pages, from before the session to after its largest run, each time after freed
   pages have gone back: not the size of the file, which says nothing, and not mapped pages, which processes share.
   What the runtime takes once for all sessions of a process is taken before, by a session of no account.
4. A run on made-up inputs may fail: then nothing is known of its time, and nothing held against the model.
5. A run that does not end is terminated; if it cannot be, the child gives up with what it knows by then.
"""

import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from registry.batching import BatchReport, unproven
from registry.errors import InvalidArtifact
from registry.foreign_run import ForeignRun, obstacle
from registry.inspection.batch_proof import prove
from registry.inspection.host import host_key, usable_cpus
from registry.inspection.memory import anonymous_bytes
from registry.inspection.probes import Feed, Probe, larger_probes, small_probes
from registry.inspection.thread_trial import LONG_SECONDS, MOST_SECONDS, Model, Run, try_threads, varied_probes
from registry.inspection.watchdog import Watchdog
from registry.names import quoted
from registry.signature import Signature
from registry.threads import ThreadReport, one_thread

PROBING_SECONDS: Final = 5.0
"""For all runs together."""

_LARGE_RUN_SECONDS = 1.0
_TIMED_RUNS = 5
_MAX_DETAIL_CHARACTERS = 300
_NOT_PLAIN = "it takes or gives more than tensors of numpy's own types"

_RELU = bytes.fromhex(
    "08083a330a0c0a0178120179220452656c751201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a02080142040a00"
    "100d"
)
"""A model of one Relu from ``x`` to ``y``, both float32 [1]: what a session costs that costs nothing."""

_NO_MEMORY = re.compile(r"bad_alloc|failed to allocate|out of memory|cannot allocate", re.IGNORECASE)
_PLACE = re.compile(r"\[ONNXRuntimeError\] : \d+ : |/\S*onnxruntime_src/\S+ (?:.*?\)(?:::<lambda\(\)>)? (?:const )?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What loading and running a model took."""

    memory_bytes: int
    load_seconds: float
    run_seconds: float | None = None


class Trial:
    """One session of one model, loaded when made.

    Raises:
        InvalidArtifact: ``invalid_model`` if the runtime cannot load it or sees another signature;
            ``inspection_memory`` if there is not enough memory for it.
    """

    def __init__(self, path: Path, signature: Signature) -> None:
        self._path = path
        self._signature = signature
        if why_not := obstacle(signature):
            raise InvalidArtifact("unsupported_signature", why_not)
        warm_up()
        self._base_bytes = anonymous_bytes()
        began = time.perf_counter()
        self._session = _load(path)
        self.loaded = Measurement(
            load_seconds=time.perf_counter() - began, memory_bytes=max(0, anonymous_bytes() - self._base_bytes)
        )
        self._options = onnxruntime.RunOptions()
        self._accepted: Probe | None = None
        self._longest_seconds = 0.0
        _check_inputs(self._session, signature)
        _check_names("output", signature.outputs, self._session.get_outputs())

    def measure(self, watchdog: Watchdog, give_up: Callable[[], None]) -> Iterator[Measurement]:
        """Run the model on made-up inputs and yield what is known after each step that may have been the last.

        Args:
            watchdog: not armed yet.
            give_up: called from another thread where a run neither ends nor can be ended; must not return.
        """
        with watchdog.armed(PROBING_SECONDS, self._terminate, give_up):
            found = self._find_probe()
            if found is None:
                yield self.loaded
                return
            probe, feed = found
            self._accepted = probe
            measured = replace(self.loaded, run_seconds=self._time(feed), memory_bytes=self._grown_bytes())
            yield measured
            seconds = measured.run_seconds
            self._longest_seconds = seconds or 0.0
            for larger in larger_probes(probe):
                if seconds is not None and self._is_affordable(larger, probe, seconds):
                    began = time.perf_counter()
                    if self._try(larger):
                        # A small run says little of a large one's time, the largest so far says most.
                        probe, seconds = larger, time.perf_counter() - began
                        self._longest_seconds = max(self._longest_seconds, seconds)
                        measured = replace(measured, memory_bytes=max(measured.memory_bytes, self._grown_bytes()))
            yield measured

    def prove_rows(self, meeting: str, watchdog: Watchdog, give_up: Callable[[], None]) -> BatchReport | None:
        """Try to run rows together, after ``measure``; None if no made-up input was accepted.

        Args:
            meeting: where the graph takes its rows together; empty if that is not known.
            watchdog: another one, not armed yet.
            give_up: as of ``measure``.
        """
        if self._accepted is None or self._options.terminate:
            return None
        if meeting:
            return unproven(host_key(), f"rows influence each other: {meeting}")
        if not self._signature.is_plain:
            return unproven(host_key(), _NOT_PLAIN)
        with watchdog.armed(PROBING_SECONDS, self._terminate, give_up):
            return prove(self._answer, self._signature, self._accepted, host_key())

    def try_threads(self, obstacle: str, watchdog: Watchdog, give_up: Callable[[], None]) -> ThreadReport | None:
        """Try to run with several threads, after ``measure``; None if no made-up input was accepted.

        Args:
            obstacle: why that would prove nothing for this graph; empty if it would.
            watchdog: another one, not armed yet.
            give_up: as of ``measure``.
        """
        if self._accepted is None or self._options.terminate:
            return None
        if self._longest_seconds < LONG_SECONDS or obstacle:
            return one_thread(host_key(), obstacle or "its runs are short")
        if not self._signature.is_plain:
            return one_thread(host_key(), _NOT_PLAIN)
        model = Model(signature=self._signature, alone=self._answer, load=self._load_with)
        with watchdog.armed(MOST_SECONDS, self._terminate, give_up):
            return try_threads(model, list(varied_probes(self._accepted)), cpus=usable_cpus(), host=host_key())

    def _load_with(self, threads: int) -> Run | None:
        try:
            session = _open(self._path, threads)
        except Exception:  # noqa: BLE001 - as of _load; here it means that one thread will have to do
            return None
        return partial(self._answer, session=session)

    def _find_probe(self) -> tuple[Probe, Feed] | None:
        for probe in small_probes(self._signature):
            feed = probe.feed(self._signature)
            if feed is not None and self._run(feed):
                return probe, feed
            if self._options.terminate:
                break
        return None

    def _time(self, feed: Feed) -> float | None:
        runs: list[float] = []
        while len(runs) < _TIMED_RUNS and sum(runs) < _LARGE_RUN_SECONDS:
            began = time.perf_counter()
            if not self._run(feed):
                break
            runs.append(time.perf_counter() - began)
        return statistics.median(runs) if runs else None

    def _is_affordable(self, larger: Probe, probe: Probe, seconds: float) -> bool:
        elements, base = larger.elements(self._signature), probe.elements(self._signature)
        return elements > base and seconds * elements / max(1, base) < _LARGE_RUN_SECONDS

    def _try(self, probe: Probe) -> bool:
        feed = probe.feed(self._signature)
        return feed is not None and self._run(feed)

    def _run(self, feed: Feed) -> bool:
        """Return whether the runtime accepted the inputs; its refusals come in many classes, its own and Python's."""
        return self._answer(feed) is not None

    def _answer(self, feed: Feed, *, session: Any = None) -> Any:
        try:
            return _run(session or self._session, None, feed, self._options)
        except Exception:  # noqa: BLE001 - an error here is an answer: these inputs do not suit the model
            return None

    def _grown_bytes(self) -> int:
        return max(0, anonymous_bytes() - self._base_bytes)

    def _terminate(self) -> None:
        self._options.terminate = True


class Runs:
    """A session that is only run.

    Raises:
        InvalidArtifact: as of ``Trial``.
    """

    def __init__(self, path: Path) -> None:
        warm_up()
        self._session = _load(path)
        self._options = onnxruntime.RunOptions()

    def answer(self, outputs: list[str], feed: Feed) -> dict[str, Any]:
        """Return these outputs by name; raises whatever the runtime raises."""
        return dict(zip(outputs, _run(self._session, outputs, feed, self._options), strict=True))

    def try_all(self, feed: Feed) -> Any:
        """Return all outputs, or None if the runtime refuses these inputs."""
        try:
            return _run(self._session, None, feed, self._options)
        except Exception:  # noqa: BLE001 - as of Trial: an error here is an answer
            return None

    def terminate(self) -> None:
        """End the run that is under way, and all later ones; from any thread."""
        self._options.terminate = True


def _run(session: Any, outputs: list[str] | None, feed: Feed, options: Any) -> Any:
    inner = session._sess  # noqa: SLF001 - as the gateway does, which knows why
    if not ForeignRun.is_needed(inner):
        return session.run(outputs, dict(feed), options)
    return ForeignRun(inner, onnxruntime.OrtValue)(
        outputs or [output.name for output in session.get_outputs()], feed, options
    )


def warm_up() -> None:
    """Have the runtime take what it takes once a process; then it is not counted as the model's."""
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(_RELU, session_options(), providers=["CPUExecutionProvider"])
    session.run(None, {"x": np.zeros(1, dtype=np.float32)})


def session_options(threads: int = 1) -> Any:
    """Return the options of rule 1."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _open(path: Path, threads: int = 1) -> Any:
    return onnxruntime.InferenceSession(str(path), session_options(threads), providers=["CPUExecutionProvider"])


def _load(path: Path) -> Any:
    try:
        return _open(path)
    except MemoryError:
        raise
    except Exception as error:  # the runtime raises its own classes and half a dozen of Python's
        message = str(error)
        if _NO_MEMORY.search(message):
            raise InvalidArtifact("inspection_memory", "loading the model takes more memory than it may") from error
        raise InvalidArtifact(
            "invalid_model", f"ONNX Runtime cannot load the model: {one_line(message, Path.cwd())}"
        ) from error


def one_line(message: str, *folders: Path) -> str:
    """Return what the runtime said, without the places in its own source and in these folders."""
    for folder in folders:
        message = message.replace(f"{folder}/", "").replace(str(folder), "")
    said = " ".join(_PLACE.sub("", message).split())
    return quoted(said, limit=_MAX_DETAIL_CHARACTERS)[1:-1]


def _check_inputs(session: Any, signature: Signature) -> None:
    required = [spec for spec in signature.inputs if not spec.optional]
    optional = [spec for spec in signature.inputs if spec.optional]
    _check_names("input", required, session.get_inputs())
    _check_names("optional input", optional, session.get_overridable_initializers())


def _check_names(role: str, specs: Any, arguments: Any) -> None:
    ours = {spec.name: spec.runtime_type for spec in specs}
    theirs = {argument.name: argument.type for argument in arguments}
    if ours != theirs:
        name = min(set(ours.items()) ^ set(theirs.items()))[0]
        raise InvalidArtifact(
            "invalid_model",
            f"the {role} {quoted(name)} is {ours.get(name, 'absent')} in the graph and {theirs.get(name, 'absent')} "
            "to ONNX Runtime",
        )
