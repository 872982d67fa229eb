"""Infer requests as clients write them, and their answers read back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gateway.codec.raw_tensors import read_raw, write_raw
from gateway.codec.spellings import DTYPE_OF_OPEN_INFERENCE, SPELLINGS
from registry.tensor import DTYPES
from tests.support.wire import Array

_NAMES = {dtype.numpy: name for name, dtype in DTYPES.items()}
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def in_json(name: str, array: Array, *, nested: bool = False) -> dict[str, Any]:
    """The tensor as JSON."""
    numbers = doubles_of(array) if array.dtype.kind in "fV" else array
    data = _spelled((numbers if nested else numbers.reshape(-1)).tolist())
    return {**_described(name, array), "data": data}


def doubles_of(array: Array) -> Array:
    """The same floats in float64; a signalling NaN is no reason to warn."""
    with np.errstate(invalid="ignore"):
        return array.astype(np.float64)


def in_bytes(name: str, array: Array) -> dict[str, Any]:
    """The tensor as its bytes that follow the JSON."""
    return {**_described(name, array), "parameters": {"binary_data_size": len(write_raw(array))}}


def body_of(document: Mapping[str, Any], *binary: Array) -> tuple[bytes, int]:
    """The body of a request, and how much of it is JSON."""
    head = json.dumps(document).encode()
    return b"".join([head, *map(write_raw, binary)]), len(head)


def arrays_of(payload: bytes, header_bytes: int | None) -> dict[str, Array]:
    """The outputs of an answer."""
    head = payload if header_bytes is None else payload[:header_bytes]
    place = len(head)
    found: dict[str, Array] = {}
    for output in json.loads(head)["outputs"]:
        dtype, shape = DTYPE_OF_OPEN_INFERENCE[output["datatype"]], tuple(output["shape"])
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = _from_list(output["data"], dtype.numpy).reshape(shape)
        else:
            found[output["name"]] = read_raw(dtype, payload[place : place + size], shape)
            place += size
    assert place == len(payload)
    return found


def _described(name: str, array: Array) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": SPELLINGS[_NAMES[array.dtype]].open_inference,
        "shape": list(array.shape),
    }


def _from_list(data: Sequence[Any], dtype: "np.dtype[Any]") -> Array:
    if dtype.kind in "fV":
        numbers = [_WORDS.get(value, value) if isinstance(value, str) else value for value in data]
        return np.array(numbers, np.float64).astype(dtype)
    return np.array(data, dtype)


def _spelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
