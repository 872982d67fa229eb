"""The tensors of a request as its JSON declares them, before any element is converted."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import NamedTuple

from gateway.codec.elements import describe, quoted_words
from gateway.codec.nesting import Leaves, from_lists, indexed
from gateway.codec.open_inference.reply import invalid, read_parameters
from gateway.codec.open_inference.words import Words, unsupported
from registry.errors import Violation
from registry.signature import shortened
from registry.tensor import MAX_RANK, TensorSpec


class Declared(NamedTuple):
    """One tensor."""

    name: str
    path: str
    """Where it stands in the body, as a JSON Pointer."""
    spec: TensorSpec | None
    """None if it cannot be read: a fault says why, or will."""
    shape: tuple[int, ...]
    leaves: Leaves | None
    """What its ``data`` holds; None if it comes as bytes."""
    size_bytes: int
    """How many bytes."""


def declare(words: Words, item: object, path: str) -> tuple[Declared | None, list[Violation]]:
    """Read one item of ``inputs``; None if it has no name to be known by."""
    if not isinstance(item, dict):
        return None, [invalid(path, "an object with name, shape, datatype and data", describe(item))]
    name = item.get("name")
    if not isinstance(name, str):
        received = describe(name) if "name" in item else "nothing"
        return None, [invalid(f"{path}/name", "the name of an input", received)]
    parameters, faults = read_parameters(item, f"{path}/parameters")
    shape, found = _read_shape(item, f"{path}/shape")
    faults += found
    size_bytes, found = _read_size(parameters, f"{path}/parameters/binary_data_size")
    faults += found
    spec = words.inputs.get(name)
    if spec is not None:
        faults += _datatype_faults(words, spec, item, path)
    leaves: Leaves | None = None
    if size_bytes is None and not found:
        leaves, found = _read_data(spec, item, shape, path)
        faults += found
    elif "data" in item:
        faults.append(invalid(path, "either data or binary_data_size", "both"))
    is_readable = spec is not None and not faults and shape is not None
    return Declared(name, path, spec if is_readable else None, shape or (), leaves, size_bytes or 0), faults


def _read_shape(item: Mapping[str, object], path: str) -> tuple[tuple[int, ...] | None, list[Violation]]:
    value = item.get("shape")
    if not isinstance(value, list):
        return None, [invalid(path, "a list of sizes", describe(value) if "shape" in item else "nothing")]
    if len(value) > MAX_RANK:
        expected = f"at most {MAX_RANK} sizes"
        return None, [Violation(path=path, expected=expected, received=describe(value), code="invalid_shape")]
    faults = [
        Violation(path=f"{path}/{axis}", expected="a size", received=describe(size), code="invalid_shape")
        for axis, size in enumerate(value)
        if type(size) is not int or size < 0
    ]
    return (None, faults) if faults else (tuple(value), [])


def _read_size(parameters: Mapping[str, object], path: str) -> tuple[int | None, list[Violation]]:
    value = parameters.get("binary_data_size")
    if value is None:
        return None, []
    if type(value) is not int or value < 0:
        return None, [invalid(path, "a number of bytes", describe(value))]
    return value, []


def _datatype_faults(words: Words, spec: TensorSpec, item: Mapping[str, object], path: str) -> list[Violation]:
    wanted = words.datatypes.get(spec.name)
    if wanted is None:
        return [unsupported(path, spec)]
    given = item.get("datatype")
    if given == wanted:
        return []
    if not isinstance(given, str):
        return [invalid(f"{path}/datatype", wanted, describe(given) if "datatype" in item else "nothing")]
    return [Violation(path=f"{path}/datatype", expected=wanted, received=shortened(given), code="invalid_dtype")]


def _read_data(
    spec: TensorSpec | None, item: Mapping[str, object], shape: tuple[int, ...] | None, path: str
) -> tuple[Leaves | None, list[Violation]]:
    if "data" not in item:
        return None, [invalid(f"{path}/data", "a list of elements, or binary_data_size", "nothing")]
    if spec is None:  # nothing is known of what it should hold
        return None, []
    place = f"{path}/data"
    leaves = from_lists(spec, item["data"], lambda index: indexed(place, index))
    leaves = replace(leaves, elements=quoted_words(spec.dtype, leaves.elements))
    if leaves.faults or shape is None or leaves.shape == shape:
        return leaves, list(leaves.faults)
    if leaves.shape == (len(leaves.elements),) and len(leaves.elements) == prod(shape):
        return leaves, []
    expected = f"{prod(shape)} elements, flat or nested as {list(shape)}"
    received = f"{len(leaves.elements)} elements, nested as {list(leaves.shape or ())}"
    return leaves, [Violation(path=place, expected=expected, received=received, code="invalid_shape")]
