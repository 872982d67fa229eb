"""Preparing a model, in a child process: optimised once, so that every later load only maps what is ready.

1. The runtime writes the optimised graph, and its weights, prepacked as its kernels want them, to a file of their own.
   A session that is made of the two maps the weights: processes share those pages, and the kernel may drop them.
2. Writing makes graph inputs of initialisers that nothing uses any more; they are taken out again.
3. What was written is loaded as a worker loads it and must be the same model: the same inputs and outputs, and on every
   made-up input the same answer, to the last bit, as from the session that wrote it.
4. Its memory is what loading it takes, measured after the session that wrote it has gone, and what runs take on top, as
   ``trial`` found it: what is saved is the weights.

Source: ONNX Runtime 1.32, onnxruntime_session_options_config_keys.h.
"""

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime

from registry.inspection.confinement import forbid_processes
from registry.inspection.memory import anonymous_bytes
from registry.inspection.probes import Feed, larger_probes, small_probes
from registry.inspection.trial import session_options, warm_up
from registry.signature import Signature
from registry.storage import PREPARED_GRAPH, PREPARED_WEIGHTS

_MIN_SIZE_BYTES: Final = "1024"
"""Smaller weights stay in the graph."""

_PROVIDERS = ["CPUExecutionProvider"]

_LARGE_RUN_SECONDS = 0.5
"""No made-up input is so large that its run is expected to take longer; each is run four times."""

Answers = Sequence[Any]


class NotTheSame(Exception):  # noqa: N818 - no error: the model is loaded plainly then
    """Why what was written cannot stand for the model."""


def prepare(graph: Path, into: Path, signature: Signature, inspected_bytes: int) -> int:
    """Write the prepared form of a model into a folder and return the memory that a session of it takes, in bytes.

    Args:
        graph: of a model that loads.
        into: an empty folder.
        signature: the model's.
        inspected_bytes: what a plain session takes that has made its largest run.

    Raises:
        NotTheSame: rule 3.
        Whatever the runtime raises where it cannot write or load it.
    """
    if any(spec.optional for spec in signature.inputs):
        raise NotTheSame("it has optional inputs, whose defaults the optimised graph may have taken for granted")
    warm_up()
    forbid_processes()
    empty_bytes = anonymous_bytes()
    plain = _write(graph, into)
    running_bytes = max(0, inspected_bytes - (anonymous_bytes() - empty_bytes))
    interface = _interface(plain)
    _remove_strays(into / PREPARED_GRAPH, {name for name, _, _ in interface[0]})
    expected = list(_answers(plain, signature))
    if not expected:
        raise NotTheSame("no made-up input is accepted, so nothing can be compared")
    if any(_differ(answers, _run(plain, feed)) for feed, answers in expected):
        raise NotTheSame("the model itself answers differently each time")
    del plain
    gc.collect()
    base_bytes = anonymous_bytes()
    prepared = load_prepared(into / PREPARED_GRAPH)
    loaded_bytes = anonymous_bytes() - base_bytes
    if _interface(prepared) != interface:
        raise NotTheSame("the inputs and outputs are not the same")
    for feed, answers in expected:
        if _differ(answers, _run(prepared, feed)):
            raise NotTheSame("the answers differ")
    return max(0, loaded_bytes + running_bytes, anonymous_bytes() - base_bytes)


def load_prepared(path: Path) -> Any:
    """Return a session of a prepared model, made as a worker makes it."""
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=_PROVIDERS)


def _write(graph: Path, into: Path) -> Any:
    options = session_options()
    options.optimized_model_filepath = str(into / PREPARED_GRAPH)
    for name, value in (
        ("session.optimized_model_external_initializers_file_name", PREPARED_WEIGHTS),
        ("session.optimized_model_external_initializers_min_size_in_bytes", _MIN_SIZE_BYTES),
        ("session.save_external_prepacked_constant_initializers", "1"),
    ):
        options.add_session_config_entry(name, value)
    return onnxruntime.InferenceSession(str(graph), options, providers=_PROVIDERS)


def _interface(session: Any) -> tuple[list[tuple[str, str, Any]], ...]:
    kinds = (session.get_inputs(), session.get_overridable_initializers(), session.get_outputs())
    return tuple([(argument.name, argument.type, argument.shape) for argument in kind] for kind in kinds)


def _remove_strays(path: Path, inputs: set[str]) -> None:
    model = onnx.load(path, load_external_data=False)
    kept = [value for value in model.graph.input if value.name in inputs]
    if len(kept) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(kept)
        path.write_bytes(model.SerializeToString())


def _answers(session: Any, signature: Signature) -> Iterator[tuple[Feed, Answers]]:
    """Yield made-up inputs that the model accepts, of different sizes, with its answers."""
    for probe in small_probes(signature):
        feed = probe.feed(signature)
        answers = None if feed is None else _try(session, feed)
        if feed is not None and answers is not None:
            yield feed, answers
            seconds, elements = _time(session, feed), max(1, probe.elements(signature))
            for larger in larger_probes(probe):
                growth = larger.elements(signature) / elements
                more = larger.feed(signature) if growth > 1 and growth * seconds < _LARGE_RUN_SECONDS else None
                answers = None if more is None else _try(session, more)
                if more is not None and answers is not None:
                    yield more, answers
                    seconds, elements = _time(session, more), larger.elements(signature)
            return


def _time(session: Any, feed: Feed) -> float:
    began = time.perf_counter()
    _run(session, feed)
    return time.perf_counter() - began


def _try(session: Any, feed: Feed) -> Answers | None:
    try:
        return _run(session, feed)
    except Exception:  # noqa: BLE001 - these inputs do not suit the model
        return None


def _run(session: Any, feed: Mapping[str, Any]) -> Answers:
    answers: Answers = session.run(None, dict(feed))
    return answers


def _differ(left: Answers, right: Answers) -> bool:
    return any(_content(one) != _content(other) for one, other in zip(left, right, strict=True))


def _content(value: Any) -> object:
    """Return what two equal answers have in common, to the last bit."""
    array = np.asarray(value)
    return array.dtype, array.shape, array.tolist() if array.dtype.kind == "O" else array.tobytes()
