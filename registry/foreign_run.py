"""Runs of sessions whose values are more than numpy's own arrays.

1. The runtime's Python takes and gives arrays of numpy's types, lists, dicts and None. Elements of other types go in as
   an OrtValue made over their packed bytes, and come out as one whose bytes are read where they lie.
2. What takes lists, dicts or text cannot give such OrtValues, and the reverse: the two ways to run do not meet
   (``obstacle``). No model is served that would need both.
3. The values of a map come out as Python's numbers: they become scalars of their type again.
"""

import ctypes
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from registry.signature import Signature
from registry.tensor import DTYPES, DType, map_key
from registry.values import Value, pack, unpack

_FOREIGN = {dtype.runtime_name: dtype for dtype in DTYPES.values() if dtype.is_foreign}
_PLAIN = frozenset(dtype.runtime_name for dtype in DTYPES.values() if not dtype.is_foreign)
_OF_MAP = re.compile(r"map\(\w+,(tensor\(\w+\))\)")


def obstacle(signature: Signature) -> str:
    """Return why a model of this signature cannot be run from Python; empty if it can."""
    given = [spec for spec in signature.outputs if spec.dtype.is_foreign]
    taken = [spec for spec in signature.inputs if not spec.is_tensor or spec.dtype.kind == "O"]
    wrapped = [spec for spec in (*signature.inputs, *signature.outputs) if not spec.is_tensor and spec.dtype.is_foreign]
    if wrapped:
        return f"{wrapped[0].name} is {wrapped[0]}, which ONNX Runtime's Python can neither take nor give"
    maps = [spec for spec in signature.inputs if any(map(map_key, spec.containers)) and spec.dtype.name != "float32"]
    if maps:
        return f"{maps[0].name} is {maps[0]}, and ONNX Runtime's Python makes maps of float32 only"
    if given and taken:
        return f"ONNX Runtime's Python cannot give {given[0]} where it takes {taken[0]}"
    if given and not all(spec.is_tensor for spec in signature.outputs):
        return f"ONNX Runtime's Python cannot give {given[0]} beside what is no tensor"
    return ""


class ForeignRun:
    """A session's ``run`` for such values; any number of threads may use one.

    Args:
        session: the runtime's native session.
        values: the runtime's class ``OrtValue``.
    """

    def __init__(self, session: Any, values: Any) -> None:
        self._session = session
        self._values = values
        self._taken = {argument.name: _FOREIGN.get(argument.type) for argument in session.inputs_meta}
        self._taken |= {argument.name: _FOREIGN.get(argument.type) for argument in session.overridable_initializers}
        self._given = {argument.name: _FOREIGN.get(argument.type) for argument in session.outputs_meta}
        self._maps = {argument.name: _map_values(argument.type) for argument in session.outputs_meta}

    @staticmethod
    def is_needed(session: Any) -> bool:
        """Return whether the session takes or gives anything but tensors of numpy's own types."""
        arguments = (*session.inputs_meta, *session.overridable_initializers, *session.outputs_meta)
        return any(argument.type not in _PLAIN for argument in arguments)

    def __call__(self, outputs: Sequence[str], feed: Mapping[str, Value], options: Any) -> list[Value]:
        """Run and return the values of ``outputs``; raises whatever the runtime raises."""
        if any(self._given[name] is not None for name in outputs):
            return self._run_with_values(outputs, feed, options)
        whole = {name: self._taken_as(name, value) for name, value in feed.items()}
        answers = self._session.run(list(outputs), whole, options)
        return [_scalars(self._maps[name], value) for name, value in zip(outputs, answers, strict=True)]

    def _taken_as(self, name: str, value: Value) -> Any:
        dtype = self._taken[name]
        if isinstance(value, dict):
            return {key: inner.item() if isinstance(inner, np.ndarray) else inner for key, inner in value.items()}
        if dtype is None or not isinstance(value, np.ndarray):
            return value
        return self._value_over(dtype, value)

    def _run_with_values(self, outputs: Sequence[str], feed: Mapping[str, Value], options: Any) -> list[Value]:
        values = {}
        for name, value in feed.items():
            dtype = self._taken[name]
            if dtype is not None and isinstance(value, np.ndarray):
                values[name] = self._value_over(dtype, value)
            elif value is not None:
                values[name] = self._values.ortvalue_from_numpy(np.ascontiguousarray(value))
        native = {name: value._ortvalue for name, value in values.items()}  # noqa: SLF001 - what the wrapper does too
        answers = self._session.run_with_ort_values(native, list(outputs), options)
        return [_read(self._given[name], value) for name, value in zip(outputs, answers, strict=True)]

    def _value_over(self, dtype: DType, array: np.ndarray[Any, Any]) -> Any:
        """Return an OrtValue over an array of the same shape that has the packed bytes at its start."""
        packed = pack(dtype, array)
        if dtype.bits >= 8:  # noqa: PLR2004 - a byte
            octets: Any = packed.view(f"u{dtype.numpy.itemsize}").reshape(array.shape)
        else:
            octets = np.zeros(array.shape, np.uint8)
            octets.reshape(-1)[: packed.size] = packed
        return self._values.ortvalue_from_numpy_with_onnx_type(octets, dtype.onnx_code)


def _read(dtype: DType | None, value: Any) -> Value:
    if not value.has_value():
        return None
    if dtype is None:
        array: Value = value.numpy()
        return array
    size = value.tensor_size_in_bytes()
    return unpack(dtype, ctypes.string_at(value.data_ptr(), size) if size else b"", tuple(value.shape()))


def _map_values(runtime_type: str) -> DType | None:
    match = _OF_MAP.search(runtime_type)
    return next((dtype for dtype in DTYPES.values() if match and dtype.runtime_name == match[1]), None)


def _scalars(dtype: DType | None, value: Any) -> Value:
    if dtype is None:
        return value  # type: ignore[no-any-return]
    if isinstance(value, list):
        return [_scalars(dtype, inner) for inner in value]
    if isinstance(value, dict):
        return {key: np.array(inner, dtype.numpy) for key, inner in value.items()}
    return value  # type: ignore[no-any-return]
