"""Predict bodies with as many rows as one likes, made of one that the gateway itself says is valid.

A row is a step along the dimension that the first free one of the inputs is called; what bears the same name grows with
it, so that dimensions that have to agree still do. A model without such a dimension has one size of request only.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.client.errors import UnusableArgument

Spec = Mapping[str, Any]


def body_of(example: Mapping[str, Any], inputs: Sequence[Spec], rows: int) -> tuple[bytes, int]:
    """Return the example's body grown to so many rows, and how many rows it has.

    Args:
        example: a valid body, with its inputs by name.
        inputs: the signature's.
        rows: how many times each row is there.

    Raises:
        UnusableArgument: more rows than one are asked for, and nothing of the model is free to grow.
    """
    tensors = dict(example["inputs"])
    if rows == 1:
        return json.dumps({**example, "inputs": tensors}).encode(), 1
    specs = [spec for spec in inputs if spec["name"] in tensors]
    axis = _free_axis(specs)
    if axis is None:
        raise UnusableArgument("no input has a free first dimension: requests have one size only (--rows 1)")
    for spec in specs:
        places = _places(spec, axis)
        if places:
            tensors[spec["name"]] = _grown(tensors[spec["name"]], spec["shape"], places, rows)
    return json.dumps({**example, "inputs": tensors}).encode(), rows


def can_grow(inputs: Sequence[Spec]) -> bool:
    """Tell whether requests of a model may have several rows."""
    return _free_axis(inputs) is not None


def _free_axis(specs: Sequence[Spec]) -> str | None:
    """Return the name of the dimension that rows lie along, empty where it has none; None if there is no such."""
    if any(spec.get("containers") for spec in specs):
        return None
    firsts = [spec["shape"][0] for spec in specs if spec["shape"]]
    free = [first for first in firsts if not isinstance(first, int)]
    return None if not free else str(free[0] or "")


def _places(spec: Spec, axis: str) -> list[int]:
    """Return which dimensions of an input rows lie along."""
    shape = spec["shape"] or []
    if axis == "":
        return [0] if shape and shape[0] is None else []
    return [place for place, dim in enumerate(shape) if dim == axis]


def _grown(value: Any, shape: Sequence[Any], places: Sequence[int], rows: int) -> Any:
    """Return nested lists in which each of these dimensions is so many times as long."""
    if isinstance(value, Mapping):
        raise UnusableArgument("the example has a tensor without elements: requests have one size only (--rows 1)")

    def grow(inner: Any, depth: int) -> Any:
        if depth == len(shape):
            return inner
        items = [grow(item, depth + 1) for item in inner]
        return items * rows if depth in places else items

    return grow(value, 0)
