"""Bodies that a version takes, in the words of each protocol: to be shown where another one was refused.

Each is the smallest: free dimensions are 1, and inputs with a default are left out. Element values come from
``gateway.codec.schemas``, which is where the native body is made.
"""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from gateway.codec.limits import MAX_DEPTH
from gateway.codec.schemas import example_body
from gateway.codec.spellings import SPELLINGS
from registry.signature import Signature
from registry.tensor import TensorSpec

MOST_SHOWN = 1024
"""Elements: a longer body is nothing to read."""

MOST_WRITTEN = 262_144
"""Elements: more than an image has, and few enough to be written while somebody waits."""

Body: TypeAlias = dict[str, Any]

OPEN_INFERENCE_NAMES: Mapping[str, str] = MappingProxyType(
    {name: spelling.open_inference for name, spelling in SPELLINGS.items() if spelling.open_inference is not None}
)
"""The Open Inference Protocol's name of each dtype that it has."""


def count_elements(signature: Signature) -> int:
    """Return how many elements the smallest body brings; a list with nothing in it counts as one."""
    specs = [spec for spec in signature.inputs if not spec.optional]
    return sum(math.prod(size or 1 for size in smallest_shape(spec)) for spec in specs)


def required(signature: Signature) -> tuple[TensorSpec, ...]:
    """Return the inputs that every body has to bring."""
    return tuple(spec for spec in signature.inputs if not spec.may_be_absent)


def smallest_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Return a shape that an input takes, its free dimensions of size 1."""
    return tuple(dim if isinstance(dim, int) else 1 for dim in ((None,) if spec.shape is None else spec.shape))


def whole_example(signature: Signature) -> Body | None:
    """Return a body of the native routes, as large as the fixed sizes make it; None if it would take too long."""
    return None if count_elements(signature) > MOST_WRITTEN else example_body(signature)


def native_example(signature: Signature) -> Body | None:
    """Return a body of the native routes; None if it would be too large to be shown."""
    return None if count_elements(signature) > MOST_SHOWN else example_body(signature)


def open_inference_example(signature: Signature) -> Body | None:
    """Return a body of the Open Inference Protocol; None if it would be too large, or has no name for a type."""
    specs = required(signature)
    if (
        unspeakable(signature)
        or not all(spec.is_tensor for spec in signature.inputs)
        or count_elements(signature) > MOST_SHOWN
    ):
        return None
    values = example_body(signature)["inputs"]
    return {
        "inputs": [
            {
                "name": spec.name,
                "shape": list(smallest_shape(spec)),
                "datatype": OPEN_INFERENCE_NAMES[spec.dtype.name],
                "data": list(_elements(values[spec.name])),
            }
            for spec in specs
        ]
    }


def unspeakable(signature: Signature) -> tuple[TensorSpec, ...]:
    """Return what keeps the Open Inference Protocol out: required inputs without a name, or outputs if none has one."""
    needed = [spec for spec in required(signature) if not _has_name(spec)]
    is_mute = bool(signature.outputs) and not any(map(_has_name, signature.outputs))
    return (*needed, *(signature.outputs if is_mute else ()))


def _has_name(spec: TensorSpec) -> bool:
    return spec.is_tensor and spec.dtype.name in OPEN_INFERENCE_NAMES


def tensorflow_example(signature: Signature) -> Body | None:
    """Return a body of TensorFlow Serving's routes; None if it would be too large, or cannot be written as lists.

    Rows where every input has a free first dimension, else columns.
    """
    specs = required(signature)
    if not all(map(_is_lists, specs)) or count_elements(signature) > MOST_SHOWN:
        return None
    values = example_body(signature)["inputs"]
    if not specs or not all(spec.shape and not isinstance(spec.shape[0], int) for spec in specs):
        return {"inputs": values}
    if len(signature.inputs) == 1:
        return {"instances": values[specs[0].name]}
    return {"instances": [{spec.name: values[spec.name][0] for spec in specs}]}


def _is_lists(spec: TensorSpec) -> bool:
    """True if nested lists say what shape the smallest tensor has, and may be nested so deep."""
    shape = smallest_shape(spec)
    return spec.is_tensor and 0 not in shape[:-1] and len(shape) + 2 <= MAX_DEPTH


def _elements(value: Any) -> Iterator[Any]:
    """Yield the elements of a tensor in row-major order."""
    if isinstance(value, dict):
        yield from value["data"]
    elif isinstance(value, list):
        for part in value:
            yield from _elements(part)
    else:
        yield value
