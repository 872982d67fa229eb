"""The Open Inference Protocol over REST: JSON, and its binary tensor extension."""

import json
import struct
from collections.abc import Mapping
from math import prod
from typing import Any

import httpx
import ml_dtypes
import numpy as np

from tests.conformance.native_json import json_numbers, read_elements
from tests.conformance.values import Array, Value, name_of
from tests.conformance.wires import PLAIN, RefusedError

DATATYPES = {
    "bool": "BOOL",
    **{f"{kind}int{bits}": f"{kind.upper()}INT{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
    "bfloat16": "BF16",  # in gRPC's description and the binary extension; the table of REST leaves it out
}
_LENGTH_HEADER = "inference-header-content-length"


class OpenInference:
    """``POST /v2/models/{model}/versions/1/infer``.

    Args:
        client: of the gateway.
        is_binary: True to send and to ask for all tensors as bytes after the JSON.
    """

    types = PLAIN | {"bfloat16"}

    def __init__(self, client: httpx.Client, *, is_binary: bool) -> None:
        self.name = "OIP binary" if is_binary else "OIP JSON"
        self.one_nan = not is_binary
        self._client = client
        self._is_binary = is_binary

    def predict(self, model: str, inputs: Mapping[str, Value], like: Mapping[str, Value]) -> dict[str, Value]:
        """Run version 1 of a model."""
        arrays = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
        head, tail = self._write(arrays)
        headers = {"content-type": "application/json"}
        if self._is_binary:
            headers = {"content-type": "application/octet-stream", _LENGTH_HEADER: str(len(head))}
        answer = self._client.post(f"/v2/models/{model}/versions/1/infer", content=head + tail, headers=headers)
        if answer.status_code != 200:
            raise RefusedError(f"{answer.status_code} {answer.text[:600]}")
        cut = int(answer.headers.get(_LENGTH_HEADER, len(answer.content)))
        outputs = _read(json.loads(answer.content[:cut]), answer.content[cut:], like)
        if list(outputs) != list(like):
            raise RefusedError(f"outputs {list(like)} came as {list(outputs)}")
        return outputs

    def _write(self, arrays: Mapping[str, Array]) -> tuple[bytes, bytes]:
        tensors: list[dict[str, Any]] = []
        tail = b""
        for name, array in arrays.items():
            tensor = {"name": name, "shape": list(array.shape), "datatype": DATATYPES[name_of(array)]}
            if self._is_binary:
                octets = to_bytes(array)
                tail += octets
                tensors.append(tensor | {"parameters": {"binary_data_size": len(octets)}})
            else:
                tensors.append(tensor | {"data": json_numbers(array)})
        document: dict[str, Any] = {"inputs": tensors}
        if self._is_binary:
            document["parameters"] = {"binary_data_output": True}
        return json.dumps(document, allow_nan=False).encode(), tail


def _read(document: Mapping[str, Any], tail: bytes, like: Mapping[str, Value]) -> dict[str, Value]:
    outputs: dict[str, Value] = {}
    place = 0
    for tensor in document["outputs"]:
        expected, shape = like.get(tensor["name"]), tuple(tensor["shape"])
        if not isinstance(expected, np.ndarray) or tensor["datatype"] != DATATYPES[name_of(expected)]:
            raise RefusedError(f"output {tensor['name']} came as {tensor['datatype']}")
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            outputs[tensor["name"]] = read_elements(tensor["data"], expected).reshape(shape)
        else:
            outputs[tensor["name"]] = from_bytes(tail[place : place + size], tensor["datatype"], shape)
            place += size
    if place != len(tail):
        raise RefusedError(f"{len(tail)} bytes after the JSON, of which {place} are spoken for")
    return outputs


def to_bytes(array: Array) -> bytes:
    """Return a tensor as the binary extension and gRPC's raw contents have it."""
    if name_of(array) != "string":
        return np.ascontiguousarray(array).tobytes()
    texts = [item.encode() for item in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def from_bytes(octets: bytes, datatype: str, shape: tuple[int, ...]) -> Array:
    """Return the tensor that ``to_bytes`` has written so."""
    if datatype != "BYTES":
        name = next(name for name, word in DATATYPES.items() if word == datatype)
        return np.frombuffer(octets, np.dtype(getattr(ml_dtypes, name, name))).reshape(shape)
    texts, place = [], 0
    for _ in range(prod(shape)):
        (size,) = struct.unpack_from("<I", octets, place)
        texts.append(octets[place + 4 : place + 4 + size].decode())
        place += 4 + size
    if place != len(octets):
        raise RefusedError(f"{len(octets)} bytes, of which {place} are spoken for")
    return np.array(texts, object).reshape(shape)
