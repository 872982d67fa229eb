"""The tensors of a request: raw contents or typed ones, read into arrays."""

from math import prod
from typing import Any

import numpy as np

from gateway.codec.body import Array
from gateway.codec.limits import MAX_ELEMENTS, MAX_NAMED
from gateway.codec.raw_tensors import BytesDoNotFit, read_raw
from gateway.codec.spellings import SPELLINGS
from gateway.rpc.outline import read_varint
from registry.errors import Violation
from registry.names import quoted
from registry.tensor import DType, TensorSpec

_PACKED = frozenset({"float32", "float64", "bool"})
"""The element types whose typed contents lie in a message as raw contents would."""

_AT_ONCE = 16 * 1024
"""So many elements are taken out of a message in one step."""


def read_raw_contents(spec: TensorSpec, octets: memoryview, shape: tuple[int, ...]) -> Array:
    """Return the tensor; it may be a view of the message.

    Raises:
        BytesDoNotFit: the bytes are no tensor of this type and shape.
    """
    array = read_raw(spec.dtype, octets, shape)
    return array if array.flags.aligned else array.copy()  # the runtime may read whole words


def read_typed_contents(spec: TensorSpec, contents: Any, shape: tuple[int, ...], path: str) -> Array | list[Violation]:
    """Return the tensor, or what is wrong with its elements.

    Args:
        spec: of the tensor; its type has typed contents.
        contents: an InferTensorContents.
        shape: of the tensor.
        path: where the contents stand, as a JSON Pointer.

    Raises:
        BytesDoNotFit: there are more or fewer elements than the shape has, or absurdly many.
    """
    field = SPELLINGS[spec.dtype.name].grpc_contents
    given = [descriptor.name for descriptor, _ in contents.ListFields()]
    if any(name != field for name in given):
        received = ", ".join(name for name in given if name != field)
        return [Violation(path=path, expected=str(field), received=received, code="invalid_dtype")]
    elements = getattr(contents, str(field))
    count = prod(shape)
    if len(elements) != count or count > MAX_ELEMENTS:
        raise BytesDoNotFit(f"{count} elements for {spec.dtype.name}{list(shape)}", f"{len(elements)} elements")
    if not count:
        return read_raw(spec.dtype, b"", shape)
    if spec.dtype.name in _PACKED:
        return read_raw(spec.dtype, _packed(contents), shape).copy()
    if spec.dtype.kind == "O":
        return _texts(elements, shape, f"{path}/{field}")
    return _integers(spec.dtype, elements, shape, f"{path}/{field}")


def _packed(contents: Any) -> memoryview:
    """Return the elements of the one field that is set as they lie in the message: their bits, whatever they are."""
    message = contents.SerializeToString()
    _, place = read_varint(message, 1)
    return memoryview(message)[place:]


def _integers(dtype: DType, elements: Any, shape: tuple[int, ...], path: str) -> Array | list[Violation]:
    wide = np.empty(len(elements), np.uint64 if dtype.kind == "u" else np.int64)
    for begin in range(0, len(wide), _AT_ONCE):  # no other thread runs while the library makes a list
        wide[begin : begin + _AT_ONCE] = elements[begin : begin + _AT_ONCE]
    bounds = np.iinfo(dtype.numpy)
    outside = np.flatnonzero((wide < bounds.min) | (wide > bounds.max))[:MAX_NAMED].tolist()
    if not outside:
        return wide.astype(dtype.numpy).reshape(shape)
    expected = f"{dtype.name} from {bounds.min} to {bounds.max}"
    return [
        Violation(path=f"{path}/{place}", expected=expected, received=str(wide[place]), code="out_of_range")
        for place in outside
    ]


def _texts(elements: Any, shape: tuple[int, ...], path: str) -> Array | list[Violation]:
    array = np.empty(len(elements), object)
    faults: list[Violation] = []
    for place, octets in enumerate(elements):
        try:
            array[place] = octets.decode("utf-8")
        except UnicodeDecodeError:
            if len(faults) < MAX_NAMED:
                received = quoted(octets[:64].decode("utf-8", "replace"))
                faults.append(
                    Violation(path=f"{path}/{place}", expected="text in UTF-8", received=received, code="invalid_dtype")
                )
    return faults or array.reshape(shape)
