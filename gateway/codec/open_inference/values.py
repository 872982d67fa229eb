"""From what a request declares to arrays: elements of JSON, or the bytes after it."""

from collections.abc import Sequence

import numpy as np

from gateway.codec.body import Array
from gateway.codec.elements import read_elements
from gateway.codec.open_inference.declared import Declared
from gateway.codec.raw_tensors import BytesDoNotFit, read_raw
from registry.errors import Violation
from registry.tensor import TensorSpec


def read_values(declared: Sequence[Declared], tail: memoryview) -> tuple[dict[str, Array | None], list[Violation]]:
    """Return the arrays by name, None for those that cannot be read, and every fault of their values.

    Args:
        declared: in the order of the request.
        tail: the bytes after the JSON.
    """
    arrays: dict[str, Array | None] = {}
    faults: list[Violation] = []
    place = 0
    for tensor in declared:
        octets = tail[place : place + tensor.size_bytes]
        place += tensor.size_bytes
        array, found = (None, []) if tensor.spec is None else _read(tensor, tensor.spec, octets)
        arrays[tensor.name] = array
        faults += found
    if place != len(tail):
        expected = f"{place} bytes after the JSON, as the inputs' binary_data_size say"
        received = f"{len(tail)} bytes; Inference-Header-Content-Length says where the JSON ends"
        faults.append(Violation(path="", expected=expected, received=received, code="invalid_field"))
    return arrays, faults


def _read(tensor: Declared, spec: TensorSpec, octets: memoryview) -> tuple[Array | None, list[Violation]]:
    try:
        if tensor.leaves is None:
            if len(octets) != tensor.size_bytes:
                return None, []  # the body ends before: that is said once, for all
            return read_raw(spec.dtype, octets, tensor.shape), []
        elements, found = read_elements(spec.dtype, tensor.leaves.elements)
        faults = [fault.at(tensor.leaves.pointer_of(fault.index)) for fault in found]
        return (None, faults) if faults else (_reshaped(elements, tensor.shape), [])
    except BytesDoNotFit as fault:
        path = tensor.path
        return None, [Violation(path=path, expected=fault.expected, received=fault.received, code=fault.code)]


def _reshaped(elements: Array, shape: tuple[int, ...]) -> Array:
    try:
        return elements.reshape(shape) if elements.size else np.empty(shape, elements.dtype)
    except ValueError as error:  # numpy has no array of [0, 2**62]
        raise BytesDoNotFit("a shape of sane size", str(list(shape))) from error
