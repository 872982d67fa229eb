"""From nested lists, or a shape and data, to leaves in a row: what of a tensor is known before its dtype matters."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeAlias

import numpy as np

from gateway.codec.elements import describe
from gateway.codec.limits import MAX_NAMED, MAX_RAGGED_ELEMENTS
from registry.errors import Violation
from registry.signature import pointer_token, shortened
from registry.tensor import MAX_RANK, TensorSpec

Place: TypeAlias = Callable[[tuple[int, ...]], str]
"""From the index of an element, or of a list on the way to it, to its JSON Pointer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaves:
    """One tensor of a body, taken apart."""

    spec: TensorSpec
    elements: list[object] = field(default_factory=list)
    """In row-major order."""
    shape: tuple[int, ...] | None = None
    """None if the elements have no shape: then a fault says why."""
    pointer_of: Callable[[int], str]
    """From an element's place in the row to its JSON Pointer."""
    faults: tuple[Violation, ...] = ()


def indexed(path: str, index: tuple[int, ...]) -> str:
    """Return the JSON Pointer of the element at ``index`` of what stands at ``path``."""
    return path + "".join(f"/{position}" for position in index)


def take_apart(spec: TensorSpec, value: object, path: str) -> Leaves:
    """Take apart a tensor that stands at one place, in either of its forms."""
    if isinstance(value, dict):
        return _from_shape_and_data(spec, value, path)
    return from_lists(spec, value, lambda index: indexed(path, index))


def from_lists(spec: TensorSpec, value: object, place: Place) -> Leaves:
    """Take apart nested lists, all lists of one depth being of one length."""
    shape: tuple[int, ...] = ()
    level: list[Any] = [value]
    while level and isinstance(level[0], list):
        size = len(level[0])
        odd = next((i for i, item in enumerate(level) if not isinstance(item, list) or len(item) != size), None)
        if odd is not None:
            return _ragged(spec, value, place, at=_unravel(odd, shape), expected=f"a list of {size}, like the first")
        shape += (size,)
        level = list(chain.from_iterable(level))
    if list in set(map(type, level)):
        odd = next(i for i, item in enumerate(level) if isinstance(item, list))
        return _ragged(spec, value, place, at=_unravel(odd, shape), expected="an element, like the first")
    return Leaves(spec=spec, elements=level, shape=shape, pointer_of=lambda i: place(_unravel(i, shape)))


def _ragged(spec: TensorSpec, value: object, place: Place, *, at: tuple[int, ...], expected: str) -> Leaves:
    """Say where the lists part, and keep the first elements all the same: their own faults are named too."""
    found = value
    for position in at:
        found = found[position]  # type: ignore[index]  # it was a list when it was taken apart
    fault = Violation(path=place(at), expected=expected, received=describe(found), code="invalid_shape")
    walked = list(islice(_walk(value, ()), MAX_RAGGED_ELEMENTS))
    return Leaves(
        spec=spec,
        elements=[leaf for leaf, _ in walked],
        pointer_of=lambda index: place(walked[index][1]),
        faults=(fault,),
    )


def _walk(value: object, index: tuple[int, ...]) -> Iterator[tuple[object, tuple[int, ...]]]:
    if not isinstance(value, list):
        yield value, index
        return
    for position, item in enumerate(value):
        yield from _walk(item, (*index, position))


def _unravel(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.unravel_index(position, shape)) if shape else ()


def _from_shape_and_data(spec: TensorSpec, value: Mapping[str, object], path: str) -> Leaves:
    faults = [
        Violation(
            path=f"{path}/{pointer_token(shortened(key))}",
            expected="shape, data",
            received=shortened(key),
            code="unknown_field",
        )
        for key in islice((key for key in value if key not in {"shape", "data"}), MAX_NAMED)
    ]
    shape, data = value.get("shape"), value.get("data")
    faults += (
        _shape_faults(shape, f"{path}/shape") if "shape" in value else _lacking(f"{path}/shape", "a list of sizes")
    )
    faults += _data_faults(data, f"{path}/data") if "data" in value else _lacking(f"{path}/data", "a list of elements")
    elements = [item for item in data if not isinstance(item, list)] if isinstance(data, list) else []
    sizes: tuple[int, ...] | None = None
    if not faults and isinstance(shape, list):
        sizes = tuple(shape)
        faults += _product_faults(sizes, len(elements), path)
    return Leaves(
        spec=spec,
        elements=elements,
        shape=None if faults else sizes,
        pointer_of=lambda i: f"{path}/data/{i}",
        faults=tuple(faults),
    )


def _lacking(path: str, expected: str) -> list[Violation]:
    return [Violation(path=path, expected=expected, received="nothing", code="invalid_field")]


def _shape_faults(shape: object, path: str) -> list[Violation]:
    if not isinstance(shape, list):
        return [Violation(path=path, expected="a list of sizes", received=describe(shape), code="invalid_field")]
    if len(shape) > MAX_RANK:
        received = describe(shape)
        return [Violation(path=path, expected=f"at most {MAX_RANK} sizes", received=received, code="invalid_shape")]
    return [
        Violation(path=f"{path}/{axis}", expected="a size", received=describe(size), code="invalid_shape")
        for axis, size in enumerate(shape)
        if type(size) is not int or size < 0
    ]


def _data_faults(data: object, path: str) -> list[Violation]:
    if not isinstance(data, list):
        return [Violation(path=path, expected="a list of elements", received=describe(data), code="invalid_field")]
    nested = next((i for i, item in enumerate(data) if isinstance(item, list)), None)
    if nested is None:
        return []
    received = describe(data[nested])
    return [Violation(path=f"{path}/{nested}", expected="an element", received=received, code="invalid_shape")]


def _product_faults(shape: tuple[int, ...], count: int, path: str) -> list[Violation]:
    # A zero anywhere makes the product zero, and yet numpy cannot have an array of [0, 2**62].
    countable = math.prod(size for size in shape if size) < np.iinfo(np.int64).max // np.dtype(np.float64).itemsize
    if countable and math.prod(shape) == count:
        return []
    expected = f"as many elements as the shape {list(shape)} has"
    return [Violation(path=path, expected=expected, received=f"{count} elements", code="invalid_shape")]
