"""The first parse: what is written plainly, in a few microseconds.

1. From the signature come msgspec types, strict, unknown fields forbidden, and readers that make arrays of what they
   decode. Ranges that need no second look are part of the types.
2. Any doubt ends the attempt: another form, a fault, an unusual number. The caller then asks
   ``gateway.codec.exact_decode``. What is accepted here is accepted there, with the same arrays.
3. msgspec keeps the last of two equal keys and says nothing. So the quotation marks of the body are counted: a key or
   text that the result does not account for is a doubt.
4. msgspec reads float literals of any length. Where a body has room for one past the limit, the distances between its
   commas must rule it out.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from gateway.codec.body import Array, PredictBody
from gateway.codec.fit import DOUBTS, Doubt, FeedFit, ShapeFit
from gateway.codec.frame import frame_fields, list_of
from gateway.codec.joined_rows import RowsReader
from gateway.codec.limits import MAX_DEPTH, MAX_INTEGER_DIGITS
from gateway.codec.rounding import narrow_if_certain, row_narrowing
from registry.signature import Signature
from registry.tensor import DTYPES, MAX_RANK, TensorSpec

_WORDS = Literal["NaN", "Infinity", "-Infinity"]
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
# What is larger may be an integer literal of too many digits.
_TOO_LARGE = 10.0**MAX_INTEGER_DIGITS
_FEW = 8

_FLOAT: Any = Annotated[float, Meta(gt=-_TOO_LARGE, lt=_TOO_LARGE)] | _WORDS
_FLOAT16: Any = Annotated[float, Meta(ge=-_LARGEST_FLOAT16, le=_LARGEST_FLOAT16)] | _WORDS
_KINDS: Mapping[str, Any] = {"f": _FLOAT, "i": int, "u": int, "b": bool, "O": str}
_ELEMENTS: Mapping[str, Any] = {
    name: _FLOAT16 if name == "float16" else _KINDS[dtype.kind]
    for name, dtype in DTYPES.items()
    if not dtype.is_foreign
}


_SIZES: Any = Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=MAX_RANK)]
_FLAT: Mapping[str, type[msgspec.Struct]] = {
    name: msgspec.defstruct(f"Flat_{name}", [("shape", _SIZES), ("data", list_of(element))], forbid_unknown_fields=True)
    for name, element in _ELEMENTS.items()
}


_MOST_INPUTS = 128


class FastDecoder:
    """Decodes the plain bodies of one signature. Stateless after construction: any number of threads may use it."""

    def __init__(self, signature: Signature) -> None:
        self._inputs = tuple(_Input(spec, f"tensor_{index}") for index, spec in enumerate(signature.inputs))
        self._only = self._inputs[0] if len(self._inputs) == 1 else None
        self._fit = FeedFit(signature)
        self._named_type = _struct("Named", {item: item.tensor_type for item in self._inputs})
        self._decode_request = msgspec.json.Decoder(_request_type(signature, self._named_type, self._inputs)).decode

    def decode(self, body: bytes) -> PredictBody:
        """Return what a plain body says.

        Raises:
            Those of ``DOUBTS``: the second parse must decide.
        """
        request: Any = self._decode_request(body)
        feed, texts = self._read_inputs(request)
        outputs, identity = None, None
        if request.outputs is not UNSET:
            outputs = tuple(request.outputs)
            texts += 1 + len(outputs)
            if len(set(outputs)) != len(outputs):
                raise Doubt
        if request.id is not UNSET:
            identity = request.id
            texts += 2
        if body.count(b'"') != 2 * texts and body.count(b'"') != 2 * (texts + _count_words(feed)):
            raise Doubt
        self._fit.check(body, feed)
        return PredictBody(feed, outputs, identity)

    def _read_inputs(self, request: Any) -> tuple[dict[str, Array], int]:
        """Return the arrays, and how many keys and texts of the body they account for."""
        inputs, rows = request.inputs, request.instances
        if (inputs is UNSET) is (rows is UNSET):
            raise Doubt
        if self._only is not None and type(inputs) is not self._named_type:
            array = self._only.read(rows if inputs is UNSET else inputs)
            return {self._only.name: array}, 1 + array.size * self._only.is_text
        if inputs is UNSET:
            return self._read_rows(rows)
        feed: dict[str, Array] = {}
        texts = 1
        for item in self._inputs:
            value = getattr(inputs, item.attribute)
            if value is not UNSET:
                feed[item.name] = array = item.read(value)
                texts += 3 if type(value) is item.flat else 1
                if item.is_text:
                    texts += array.size
        return feed, texts

    def _read_rows(self, rows: list[Any]) -> tuple[dict[str, Array], int]:
        if not rows:
            raise Doubt
        feed: dict[str, Array] = {}
        texts = 1
        for item in self._inputs:
            values = [getattr(row, item.attribute) for row in rows]
            if any(value is UNSET for value in values):
                raise Doubt
            feed[item.name] = array = item.read(values)
            texts += len(rows) + array.size * item.is_text
        return feed, texts


class _Input:
    """How one input is read: its types, and from what they decode to an array that fits its shape."""

    __slots__ = ("_convert", "_fit", "attribute", "flat", "is_text", "name", "spec", "tensor_type")

    def __init__(self, spec: TensorSpec, attribute: str) -> None:
        self.spec = spec
        self.name = spec.name
        self.attribute = attribute
        self.is_text = spec.dtype.kind == "O"
        self.flat: Any = _FLAT[spec.dtype.name]
        self.tensor_type = self.list_type() | self.flat
        self._convert = _converter(spec)
        self._fit = ShapeFit(spec)

    def list_type(self, *, of_row: bool = False) -> Any:
        """Return the type of the tensor, or of one row of it, as nested lists."""
        nested = _ELEMENTS[self.spec.dtype.name]
        for _ in range(len(self.spec.shape or ()) - of_row):
            nested = list_of(nested)
        return nested

    def read(self, value: Any) -> Array:
        if type(value) is self.flat:
            array = self._convert(value.data)
            if not array.size:
                raise Doubt  # the sizes beside a zero may be absurd
            array = array.reshape(value.shape)
        elif self._fit.rank:
            array = self._convert(value)
        else:
            array = self._convert([value]).reshape(())
        return self._fit.check(array)


def short_rows_reader(spec: TensorSpec) -> RowsReader:
    """Return what reads nested lists of numbers or booleans; marks of what is missing may be among them."""
    item = _Input(spec, "rows")
    decode = msgspec.json.Decoder(item.list_type()).decode

    def read(text: bytes, shape: tuple[int, ...]) -> Array | None:
        try:
            array = item.read(decode(text))
        except DOUBTS:
            return None
        return array if array.shape == shape else None

    return read


def can_read_fast(signature: Signature) -> bool:
    """Return whether msgspec has types for this signature: known ranks that fit the depth, and plain names.

    Making types for hundreds of inputs takes longer than others should wait on the event loop where it is done.
    """
    return len(signature.inputs) <= _MOST_INPUTS and all(
        spec.is_tensor
        and not spec.dtype.is_foreign
        and spec.shape is not None
        and len(spec.shape) + 2 <= MAX_DEPTH
        and not any(character in '"\\' or character < " " for character in spec.name)
        for spec in signature.inputs
    )


def _converter(spec: TensorSpec) -> Callable[[Any], Array]:
    dtype = spec.dtype.numpy
    if dtype.kind != "f" or dtype == np.float64:
        return lambda value: np.array(value, dtype=dtype)

    def narrow(value: Any) -> Array:
        return _certain(narrow_if_certain(np.array(value, dtype=np.float64), dtype))

    _, width = spec.shape if spec.shape and len(spec.shape) == 2 else (None, None)  # noqa: PLR2004 - rows
    if dtype == np.float32 and isinstance(width, int) and width <= _FEW:
        return _one_row_converter(width, narrow)
    return narrow


def _one_row_converter(width: int, convert: Callable[[Any], Array]) -> Callable[[Any], Array]:
    """Return what converts a single short row in its own way, and everything else as ``convert`` does."""
    narrow_row = row_narrowing(width)

    def narrow(value: Any) -> Array:
        if len(value) != 1 or type(value[0]) is not list or len(value[0]) != width:
            return convert(value)
        try:
            return _certain(narrow_row(value[0]))
        except TypeError:  # a word
            return convert(value)

    return narrow


def _certain(array: Array | None) -> Array:
    if array is None:
        raise Doubt
    return array


def _struct(name: str, types: Mapping[_Input, Any]) -> type[msgspec.Struct]:
    fields = [
        (item.attribute, kind | UnsetType, UNSET) if item.spec.optional else (item.attribute, kind)
        for item, kind in types.items()
    ]
    names = {item.attribute: item.name for item in types}
    return msgspec.defstruct(name, fields, rename=names, forbid_unknown_fields=True, kw_only=True)


def _request_type(
    signature: Signature, named: type[msgspec.Struct], inputs: tuple[_Input, ...]
) -> type[msgspec.Struct]:
    fields: list[Any] = frame_fields(signature)
    if len(inputs) == 1 and inputs[0].spec.shape:
        tensor = inputs[0].list_type()
        fields += [("inputs", named | tensor | UnsetType, UNSET), ("instances", tensor | UnsetType, UNSET)]
    else:
        rows = _rows_type(inputs)
        fields += [("inputs", named | UnsetType, UNSET), ("instances", rows | UnsetType, UNSET)]
    return msgspec.defstruct("Request", fields, forbid_unknown_fields=True)


def _rows_type(inputs: tuple[_Input, ...]) -> Any:
    if not all(item.spec.shape for item in inputs):
        return UnsetType  # a scalar has no rows
    return list_of(_struct("Row", {item: item.list_type(of_row=True) for item in inputs}))


def _count_words(feed: Mapping[str, Array]) -> int:
    floats = (array for array in feed.values() if array.dtype.kind == "f")
    return sum(array.size - int(np.count_nonzero(np.isfinite(array))) for array in floats)
