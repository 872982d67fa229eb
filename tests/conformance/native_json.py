"""The gateway's own JSON: nested lists; sequences are lists of tensors, maps objects, what is absent null."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx
import numpy as np

from tests.conformance.values import MAP, OPTIONAL, SEQUENCE, Array, Value, is_floating, is_foreign, name_of
from tests.conformance.wires import PLAIN, RefusedError

_INFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_FOREIGN = (
    *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("float4_e2m1fn", "int2", "int4", "uint2", "uint4"),
)


class NativeJson:
    """``POST /v1/models/{model}/predict``.

    Args:
        client: of the gateway.
        flat: True to write every tensor as its shape and its data.
    """

    one_nan = True
    types = PLAIN | frozenset(_FOREIGN) | {SEQUENCE, MAP, OPTIONAL}

    def __init__(self, client: httpx.Client, *, flat: bool = False) -> None:
        self.name = "native JSON, flat" if flat else "native JSON"
        self._client = client
        self._flat = flat

    def predict(self, model: str, inputs: Mapping[str, Value], like: Mapping[str, Value]) -> dict[str, Value]:
        """Run version 1 of a model."""
        body = json.dumps({"inputs": {name: self._spell(value) for name, value in inputs.items()}}, allow_nan=False)
        answer = self._client.post(
            f"/v1/models/{model}/predict", content=body, headers={"content-type": "application/json"}
        )
        if answer.status_code != 200:
            raise RefusedError(f"{answer.status_code} {answer.text[:600]}")
        outputs = json.loads(answer.content, parse_constant=_refuse_constant)["outputs"]
        if list(outputs) != list(like):
            raise RefusedError(f"outputs {list(like)} came as {list(outputs)}")
        return {name: read_value(outputs[name], like[name]) for name in like}

    def _spell(self, value: Value) -> Any:
        if isinstance(value, list):
            return [self._spell(item) for item in value]
        if isinstance(value, dict):
            return {str(key): self._spell(item) for key, item in value.items()}
        if value is None:
            return None
        numbers = json_numbers(value)
        if self._flat or 0 in value.shape[:-1]:
            return {"shape": list(value.shape), "data": numbers}
        return _nested(iter(numbers), value.shape)


def json_numbers(array: Array) -> list[Any]:
    """Return an array's elements, row by row, as JSON has them; what JSON has no number for as a word."""
    if not is_floating(array):
        return [int(item) if is_foreign(array.dtype) else item for item in array.ravel().tolist()]
    return [_word(number) for number in array.ravel().astype(np.float64).tolist()]


def _word(number: float) -> float | str:
    if number != number:  # noqa: PLR0124 - that is what NaN is
        return "NaN"
    return number if abs(number) != float("inf") else "Infinity" if number > 0 else "-Infinity"


def _nested(numbers: Iterator[Any], shape: tuple[int, ...]) -> Any:
    return [_nested(numbers, shape[1:]) for _ in range(shape[0])] if shape else next(numbers)


def read_value(given: Any, like: Value) -> Value:
    """Return what the JSON of an answer means, where its types are those of ``like``."""
    if isinstance(like, np.ndarray):
        return read_tensor(given, like)
    if isinstance(like, list) and isinstance(given, list):
        return [read_value(item, like[0] if like else None) for item in given]
    if isinstance(like, dict) and isinstance(given, dict):
        key = type(next(iter(like), ""))
        return {key(name): read_value(item, next(iter(like.values()), None)) for name, item in given.items()}
    if given is None:
        return None
    raise RefusedError(f"an output came as {json.dumps(given)[:200]}")


def read_tensor(given: Any, like: Array) -> Array:
    """Return the array that a tensor's JSON spells, with the element type of ``like``."""
    shape, data = None, given
    if isinstance(given, dict):
        shape, data = tuple(given["shape"]), given["data"]
    if shape is None:
        shape, data = _flattened(data)
    return read_elements(data, like).reshape(shape)


def read_elements(data: list[Any], like: Array) -> Array:
    """Return a flat array of JSON's elements, none of which may be of another kind than ``like`` has."""
    if name_of(like) == "string":
        _check(data, str)
        return np.array(data, object)
    if is_floating(like):
        numbers = [_INFINITE.get(item, item) if isinstance(item, str) else item for item in data]
        _check(numbers, int, float)
        return _rounded(np.array(numbers, np.float64), like.dtype)
    _check(data, bool if like.dtype.kind == "b" else int)
    if is_foreign(like.dtype):
        return np.array(data, np.int8).astype(like.dtype)
    return np.array(data, like.dtype)


def _rounded(numbers: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(all="ignore"), suppress(TypeError):
        return numbers.astype(dtype)
    return numbers.astype(np.float32).astype(dtype)


def _check(items: list[Any], *kinds: type) -> None:
    odd = next((item for item in items if type(item) not in kinds), None)
    if odd is not None:
        raise RefusedError(f"an element came as {odd!r}")


def _flattened(data: Any) -> tuple[tuple[int, ...], list[Any]]:
    shape: list[int] = []
    level = [data]
    while level and isinstance(level[0], list):
        shape.append(len(level[0]))
        if any(not isinstance(item, list) or len(item) != shape[-1] for item in level):
            raise RefusedError("a ragged list")
        level = [element for item in level for element in item]
    return tuple(shape), level


def _refuse_constant(word: str) -> float:
    raise RefusedError(f"{word} is not JSON")
