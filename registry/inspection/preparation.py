"""Preparing a model, in a child process: optimised once, so that every later load only maps what is ready.

1. The runtime writes the optimised graph, and its weights, prepacked as its kernels want them, to a file of their own.
   A session that is made of the two maps the weights: processes share those pages, and the kernel may drop them.
2. Sparse weights are made dense before that (``dense``).
3. Writing makes graph inputs of initialisers that nothing uses any more; they are taken out again.
4. What was written is loaded as a worker loads it and must be the same model (``comparison``) as a plain session of the
   model's own file.
5. Its memory is what loading it takes, measured after the plain session has gone, and what runs take on top, as
   ``trial`` found it: what is saved is the weights.

Source: ONNX Runtime 1.32, onnxruntime_session_options_config_keys.h.
"""

import gc
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import onnx
import onnxruntime

from registry.inspection.comparison import NotTheSame, compare, learn
from registry.inspection.confinement import forbid_processes
from registry.inspection.dense import remove_dense, write_dense
from registry.inspection.memory import anonymous_bytes
from registry.inspection.trial import session_options, warm_up
from registry.signature import Signature
from registry.storage import PREPARED_GRAPH, PREPARED_WEIGHTS

_MIN_SIZE_BYTES: Final = "1024"
"""Smaller weights stay in the graph."""

_PROVIDERS = ["CPUExecutionProvider"]


def prepare(graph: Path, into: Path, signature: Signature, inspected_bytes: int) -> int:
    """Write the prepared form of a model into a folder and return the memory that a session of it takes, in bytes.

    Args:
        graph: of a model that loads.
        into: an empty folder.
        signature: the model's.
        inspected_bytes: what a plain session takes that has made its largest run.

    Raises:
        NotTheSame: rule 4.
        Whatever the runtime raises where it cannot write or load it.
    """
    if not signature.is_plain:
        raise NotTheSame("it takes or gives more than tensors of numpy's own types")
    warm_up()
    forbid_processes()
    dense = write_dense(graph, into)
    empty_bytes = anonymous_bytes()
    plain = _write(graph, into) if dense is None else _load(graph, session_options())
    running_bytes = max(0, inspected_bytes - (anonymous_bytes() - empty_bytes))
    expected = learn(plain, signature)
    del plain
    if dense is not None:
        _write(dense, into)
        remove_dense(dense)
    _remove_strays(into / PREPARED_GRAPH, expected.names())
    gc.collect()
    base_bytes = anonymous_bytes()
    prepared = load_prepared(into / PREPARED_GRAPH)
    loaded_bytes = anonymous_bytes() - base_bytes
    compare(prepared, expected, signature)
    return max(0, loaded_bytes + running_bytes, anonymous_bytes() - base_bytes)


def load_prepared(path: Path) -> Any:
    """Return a session of a prepared model, made as a worker makes it."""
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _load(path, options)


def _write(graph: Path, into: Path) -> Any:
    options = session_options()
    options.optimized_model_filepath = str(into / PREPARED_GRAPH)
    for name, value in (
        ("session.optimized_model_external_initializers_file_name", PREPARED_WEIGHTS),
        ("session.optimized_model_external_initializers_min_size_in_bytes", _MIN_SIZE_BYTES),
        ("session.save_external_prepacked_constant_initializers", "1"),
    ):
        options.add_session_config_entry(name, value)
    return _load(graph, options)


def _load(path: Path, options: Any) -> Any:
    return onnxruntime.InferenceSession(str(path), options, providers=_PROVIDERS)


def _remove_strays(path: Path, inputs: Collection[str]) -> None:
    model = onnx.load(path, load_external_data=False)
    kept = [value for value in model.graph.input if value.name in inputs]
    if len(kept) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(kept)
        path.write_bytes(model.SerializeToString())
