"""The same model without sparse weights, which ONNX Runtime reads but cannot write beside the graph.

Of a model with sparse initialisers the runtime writes them back as sparse ones, into the graph: what its kernels have
prepacked of them has no place then, and the writer fails (1.32, Graph::AddExternalInitializersToGraphProtoImpl). It
computes with dense tensors in any case, so a model that has them from the beginning is the same one.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

_GRAPH, _WEIGHTS = "dense.onnx", "dense.bin"


def write_dense(graph: Path, folder: Path) -> Path | None:
    """Write the model with all weights dense, and return its path; None if they are so already.

    Raises:
        OSError, ValueError, MemoryError: it cannot be written, or its sparse tensors make no sense.
    """
    if not any(map(_sparse_count, _parts(onnx.load(graph, load_external_data=False)))):
        return None
    model = onnx.load(graph)
    for part in _parts(model):
        _make_dense(part)
    onnx.save_model(model, folder / _GRAPH, save_as_external_data=True, location=_WEIGHTS)
    return folder / _GRAPH


def remove_dense(path: Path) -> None:
    """Remove what ``write_dense`` has written."""
    path.unlink()
    path.with_name(_WEIGHTS).unlink(missing_ok=True)


Part = onnx.GraphProto | onnx.FunctionProto


def _parts(model: onnx.ModelProto) -> Iterator[Part]:
    """Yield all graphs and functions, the inner ones too."""
    waiting: list[Part] = [model.graph, *model.functions]
    while waiting:
        part = waiting.pop()
        yield part
        for node in part.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _sparse_count(part: Part) -> int:
    initializers = part.sparse_initializer if isinstance(part, onnx.GraphProto) else ()
    return len(initializers) + len(list(_sparse_constants(part)))


def _sparse_constants(part: Part) -> Iterator[onnx.AttributeProto]:
    for node in part.node:
        if node.op_type == "Constant":
            yield from (attribute for attribute in node.attribute if attribute.HasField("sparse_tensor"))


def _make_dense(part: Part) -> None:
    if isinstance(part, onnx.GraphProto):
        part.initializer.extend(map(_dense, part.sparse_initializer))
        del part.sparse_initializer[:]
    for attribute in _sparse_constants(part):
        tensor = _dense(attribute.sparse_tensor)
        attribute.Clear()
        attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
        attribute.t.CopyFrom(tensor)


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """Return the tensor with its zeros; indices are either of each dimension or of the flat tensor."""
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dims = tuple(sparse.dims)
    places = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dims)
    dense = np.zeros(dims, values.dtype)
    dense.reshape(-1)[places] = values
    return numpy_helper.from_array(dense, sparse.values.name)
