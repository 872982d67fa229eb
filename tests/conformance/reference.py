"""The reference: ONNX Runtime in process, a plain CPU session with default optimisation and one intra-op thread.

What numpy has no type for goes in and comes out as OrtValues, whose memory is read and written here: elements of less
than a byte are packed, lower bits first.
"""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from tests.conformance.values import Array, Value, bits_of, is_foreign

_FATAL_ONLY = 4


class Reference:
    """A model in a session of this process."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input_types = {value.name: value.type for value in self._session.get_inputs()}
        self.output_types = {value.name: value.type for value in self._session.get_outputs()}

    def run(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Return what the model makes of these inputs."""
        feed = {name: _fed(value) for name, value in inputs.items() if value is not None}
        names = list(self.output_types)
        if not any(word in type_name for type_name in self.output_types.values() for word in _FOREIGN_WORDS):
            return dict(zip(names, map(_plain, self._session.run(names, feed)), strict=True))
        feed = {
            n: v if isinstance(v, onnxruntime.OrtValue) else onnxruntime.OrtValue.ortvalue_from_numpy(v)
            for n, v in feed.items()
        }
        return dict(zip(names, map(_read, self._session.run_with_ort_values(names, feed)), strict=True))


_FOREIGN_WORDS = ("bfloat16", "float8", "float4", "int4", "int2")


def _fed(value: Value) -> Any:
    if isinstance(value, list):
        return [_fed(item) for item in value]
    assert isinstance(value, np.ndarray)
    if not is_foreign(value.dtype):
        return value
    code = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(_packed(value), code)


def _packed(array: Array) -> Array:
    bits = bits_of(array.dtype)
    raw = np.ascontiguousarray(array).reshape(array.shape).view(f"u{array.itemsize}")
    if bits >= 8:
        return raw
    per_byte = 8 // bits
    flat = raw.ravel() & (2**bits - 1)
    flat = np.pad(flat, (0, -flat.size % per_byte)).reshape(-1, per_byte)
    packed = np.bitwise_or.reduce(flat << (np.arange(per_byte, dtype=np.uint8) * bits), axis=1).astype(np.uint8)
    whole = np.zeros(array.size, np.uint8)
    whole[: packed.size] = packed
    return whole.reshape(array.shape)


def _plain(value: Any) -> Value:
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return np.asarray(value)


def _read(value: Any) -> Value:
    if not value.has_value():
        return None
    code = value.element_type()
    dtype = onnx.helper.tensor_dtype_to_np_dtype(code)
    if not is_foreign(dtype):
        return np.asarray(value.numpy())
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return _unpacked(data, dtype, tuple(value.shape()))


def _unpacked(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    bits = bits_of(dtype)
    if bits >= 8:
        return np.frombuffer(data, dtype).reshape(shape)
    size = int(np.prod(shape, dtype=np.int64))
    shifts = np.arange(8 // bits, dtype=np.uint8) * bits
    raw = ((np.frombuffer(data, np.uint8)[:, None] >> shifts) & (2**bits - 1)).ravel()[:size].astype(np.uint8)
    if dtype.name.startswith("int"):
        raw = np.where(raw >= 2 ** (bits - 1), raw | (0xFF << bits & 0xFF), raw).astype(np.uint8)
    return raw.view(dtype).reshape(shape)
