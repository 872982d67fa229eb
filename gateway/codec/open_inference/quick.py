"""Infer requests, quickly: what is written plainly, read by types made for it.

1. Any doubt ends the attempt, and the exact parse decides. What is accepted here is accepted there, with the same bits.
2. msgspec keeps the last of two equal keys and says nothing: the quotation marks of the JSON are counted, and one that
   the result does not account for is a doubt.
3. msgspec reads float literals of any length: the distances between commas must rule out one past the limit.
"""

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw, UnsetType

from gateway.codec.assembly import assemble
from gateway.codec.body import Array, PredictBody
from gateway.codec.fit import DOUBTS, Doubt
from gateway.codec.frame import list_of
from gateway.codec.limits import MAX_ID_CHARS, MAX_INTEGER_DIGITS
from gateway.codec.long_numbers import may_hold_long_number
from gateway.codec.open_inference.reply import Reply
from gateway.codec.open_inference.words import Words
from gateway.codec.raw_tensors import read_raw
from gateway.codec.rounding import narrow_if_certain
from registry.errors import SignatureMismatch, TooManyElements
from registry.tensor import MAX_RANK, DType, TensorSpec

_TOO_LARGE = 10.0**MAX_INTEGER_DIGITS
_MOST_FLOAT16 = float(np.finfo(np.float16).max)
_WORDS = Literal["NaN", "Infinity", "-Infinity"]
_FLOAT: Any = Annotated[float, Meta(gt=-_TOO_LARGE, lt=_TOO_LARGE)] | _WORDS
_FLOAT16: Any = Annotated[float, Meta(ge=-_MOST_FLOAT16, le=_MOST_FLOAT16)] | _WORDS
_KINDS: Mapping[str, Any] = {"i": int, "u": int, "b": bool, "O": str}
_QUICK = frozenset({"float16", "float32", "float64"})
_MOST_NESTED = 8

_Size = Annotated[int, Meta(ge=0)]


class _Flags(msgspec.Struct, forbid_unknown_fields=True):
    binary_data_size: _Size | UnsetType = UNSET
    binary_data: bool | UnsetType = UNSET
    binary_data_output: bool | UnsetType = UNSET

    @property
    def keys(self) -> int:
        return (
            (self.binary_data_size is not UNSET)
            + (self.binary_data is not UNSET)
            + (self.binary_data_output is not UNSET)
        )


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    datatype: str
    shape: Annotated[list[_Size], Meta(max_length=MAX_RANK)]
    data: Raw | UnsetType = UNSET
    parameters: _Flags | UnsetType = UNSET


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: _Flags | UnsetType = UNSET


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[_Input]
    outputs: Annotated[list[_Output], Meta(min_length=1)] | UnsetType = UNSET
    parameters: _Flags | UnsetType = UNSET
    id: Annotated[str, Meta(max_length=MAX_ID_CHARS)] | UnsetType = UNSET
    model_name: str | UnsetType = UNSET


_REQUEST = msgspec.json.Decoder(_Request)


class QuickDecoder:
    """Reads the plain requests of one version; any number of threads may use it."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._decoders: dict[tuple[str, int], msgspec.json.Decoder[Any]] = {}

    def decode(self, head: bytes, tail: memoryview) -> PredictBody | None:
        """Return what a plain request says; None if it takes the exact parse to tell."""
        if self._words.hindrances:
            return None
        try:
            return self._decode(head, tail)
        except (*DOUBTS, SignatureMismatch, TooManyElements):
            return None

    def _decode(self, head: bytes, tail: memoryview) -> PredictBody:
        request = _REQUEST.decode(head)
        names, reply, texts = self._read_outputs(request)
        tensors: dict[str, Array | None] = {}
        place = 0
        has_floats = False
        for item in request.inputs:
            spec = self._words.inputs.get(item.name)
            if spec is None or item.name in tensors or self._words.datatypes.get(item.name) != item.datatype:
                raise Doubt
            size = _size(item)
            if size is None:
                array, strings = self._read_json(spec, item)
                texts += strings
                has_floats = has_floats or spec.dtype.kind == "f"
            else:
                array = read_raw(spec.dtype, tail[place : place + size], tuple(item.shape))
                place += size
            tensors[item.name] = array
            # name, datatype, shape, and data or parameters; two of them have text beside them
            texts += 6 + (0 if item.parameters is UNSET else item.parameters.keys + (item.data is not UNSET))
        is_doubtful = place != len(tail) or head.count(b'"') != 2 * texts
        if is_doubtful or (has_floats and may_hold_long_number(head)):
            raise Doubt
        identity = None if request.id is UNSET else request.id
        return PredictBody(assemble(self._words.signature, tensors), names, identity, reply)

    def _read_outputs(self, request: _Request) -> tuple[tuple[str, ...] | None, Reply, int]:
        """Return the outputs, how to write them, and how many texts of the JSON the request has but for its inputs."""
        texts = 1 + 2 * (request.id is not UNSET) + 2 * (request.model_name is not UNSET)
        is_binary = False
        if request.parameters is not UNSET:
            is_binary = request.parameters.binary_data_output is True
            texts += 1 + request.parameters.keys
        if request.outputs is UNSET:
            return self._words.all_outputs, Reply(is_binary), texts
        names: list[str] = []
        exceptions: set[str] = set()
        texts += 1
        for output in request.outputs:
            if output.name in names or output.name not in self._words.output_datatypes:
                raise Doubt
            names.append(output.name)
            texts += 2
            if output.parameters is not UNSET:
                texts += 1 + output.parameters.keys
                wants_bytes = output.parameters.binary_data
                if wants_bytes is not UNSET and wants_bytes is not is_binary:
                    exceptions.add(output.name)
        return tuple(names), Reply(is_binary, frozenset(exceptions)), texts

    def _read_json(self, spec: TensorSpec, item: _Input) -> tuple[Array, int]:
        """Return the tensor that ``data`` holds, and how many texts are in it."""
        if item.data is UNSET:
            raise Doubt
        shape = tuple(item.shape)
        if not prod(shape) or len(shape) > _MOST_NESTED:
            raise Doubt  # the sizes beside a zero may be absurd
        octets = memoryview(item.data)
        is_nested = len(shape) > 1 and bytes(octets[:2]) == b"[["
        decoder = self._decoder(spec.dtype, len(shape) if is_nested else 1)
        array = _array(spec.dtype, decoder.decode(octets))
        if is_nested and array.shape != shape:
            raise Doubt
        return array.reshape(shape), _count_texts(spec.dtype, array)

    def _decoder(self, dtype: DType, rank: int) -> "msgspec.json.Decoder[Any]":
        found = self._decoders.get((dtype.name, rank))
        if found is None:
            found = self._decoders[dtype.name, rank] = msgspec.json.Decoder(_nested(dtype, rank))
        return found


def _size(item: _Input) -> int | None:
    if item.parameters is UNSET or item.parameters.binary_data_size is UNSET:
        return None
    if item.data is not UNSET:
        raise Doubt
    return item.parameters.binary_data_size


def _nested(dtype: DType, rank: int) -> Any:
    if dtype.kind == "f" and dtype.name not in _QUICK:
        raise Doubt
    nested = _KINDS.get(dtype.kind, _FLOAT16 if dtype.name == "float16" else _FLOAT)
    for _ in range(rank):
        nested = list_of(nested)
    return nested


def _array(dtype: DType, value: Any) -> Array:
    if dtype.kind != "f" or dtype.name == "float64":
        return np.array(value, dtype=dtype.numpy)
    array = narrow_if_certain(np.array(value, dtype=np.float64), dtype.numpy)
    if array is None:
        raise Doubt
    return array


def _count_texts(dtype: DType, array: Array) -> int:
    if dtype.kind == "O":
        return array.size
    return array.size - int(np.count_nonzero(np.isfinite(array))) if dtype.kind == "f" else 0
