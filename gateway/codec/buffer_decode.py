"""The parse of large bodies: numbers go from the text into a buffer of their type, without an object for each.

1. simdjson parses the body, strictly, and gives all numbers of a list, lists within it joined, as float64 (correctly
   rounded), int64 or uint64. It refuses what is no number, a fraction for an integer, and what overflows.
2. What is joined has lost its shape. So the lengths of all lists are compared, rank by rank, and the body's brackets
   are counted: where it has none besides theirs, nothing else was joined in.
3. Keys that come twice are seen, for simdjson keeps both. A byte order mark, which it overlooks, is looked for.
4. The words of NaN and infinity, which are strings, are tried as numbers that stand for them and that nobody writes. In
   a body without a backslash strings are what stands between one quotation mark and the next: what is replaced is a
   whole one. A number can only stand where an element may, and as many as have been put in have to be found there.
5. Any doubt ends the attempt: ``gateway.codec.json_tensors`` knows who is asked next. What is accepted here is
   accepted by ``gateway.codec.exact_decode``, with the same arrays.

The parse takes a copy of the body, and some 24 bytes for each number, until it ends.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET
from simdjson import Array as List
from simdjson import Object

from gateway.codec.body import Array, PredictBody
from gateway.codec.fit import Doubt, FeedFit, ShapeFit
from gateway.codec.frame import frame_fields
from gateway.codec.joined_rows import RowsReader
from gateway.codec.limits import MAX_DEPTH
from gateway.codec.parsers import parse_with
from gateway.codec.rounding import narrow_if_certain
from registry.signature import Signature
from registry.tensor import MAX_RANK, DType, TensorSpec

_MOST_FIELDS = 3  # inputs or instances, outputs, id
_FLAT_FIELDS = 2  # shape and data, both of them lists
_LISTS_A_TURN = 16_384
_CACHED_BYTES = 256 * 1024  # so much is compared and counted without leaving the processor's cache
_BYTE_ORDER_MARK = b"\xef"  # simdjson overlooks it
_STAND_INS: Final = (
    (b'"NaN"', b" 7e-309 ", math.nan),
    (b'"Infinity"', b" 8e-309 ", math.inf),
    (b'"-Infinity"', b" 9e-309 ", -math.inf),
)
"""A word, what is written for it, and what it means."""
FAULTS: Final = (ValueError, TypeError, KeyError, IndexError, RuntimeError, OverflowError, msgspec.ValidationError)


class BufferDecoder:
    """Decodes the plain bodies of one signature whose inputs are all numbers. Any number of threads may use it."""

    def __init__(self, signature: Signature) -> None:
        self._inputs = {spec.name: _Input(spec, converter(spec.dtype)) for spec in signature.inputs}
        self._worded = {spec.name: _Input(spec, _converter_of_words(spec.dtype)) for spec in signature.inputs}
        self._required = frozenset(spec.name for spec in signature.inputs if not spec.optional)
        self._only = next(iter(self._inputs)) if len(self._inputs) == 1 else None
        self._frame = msgspec.defstruct("Frame", frame_fields(signature), forbid_unknown_fields=True)
        self._fit = FeedFit(signature)

    def decode(self, body: bytes) -> PredictBody:
        """Return what a plain body says.

        Raises:
            Doubt: a slower parse must decide.
        """
        if body.startswith(_BYTE_ORDER_MARK):
            raise Doubt
        try:
            return self._decode(body, self._inputs)
        except (Doubt, *FAULTS) as fault:
            if not _may_have_words(body):
                raise Doubt from fault
        try:
            return self._decode_words(body)
        except FAULTS as fault:
            raise Doubt from fault

    def _decode_words(self, body: bytes) -> PredictBody:
        """Do the same by rule 4."""
        written, words = body, 0
        for word, stand_in, _ in _STAND_INS:
            count = written.count(word)
            if count and count != _count_strings(body, word):
                raise Doubt
            words += count
            written = written.replace(word, stand_in)
        request = self._decode(written, self._worded)
        if sum(_count_words(array) for array in request.feed.values()) != words:
            raise Doubt
        return request

    def _decode(self, body: bytes, inputs: "Mapping[str, _Input]") -> PredictBody:
        request, lists = parse_with(partial(self._read, inputs), body)
        if lists != _count_brackets(body):
            raise Doubt
        self._fit.check(body, request.feed)
        return request

    def _read(self, inputs: "Mapping[str, _Input]", parsed: Any) -> tuple[PredictBody, int]:
        """Return what a parsed body says, and how many lists it accounts for."""
        members = _members(parsed, _MOST_FIELDS)
        is_rows = "instances" in members
        tensors = members.pop("instances" if is_rows else "inputs")
        frame: Any = msgspec.convert({key: _plain(value) for key, value in members.items()}, self._frame)
        outputs = None if frame.outputs is UNSET else tuple(frame.outputs)
        if outputs is not None and len(set(outputs)) != len(outputs):
            raise Doubt
        if is_rows and type(tensors) is not List:
            raise Doubt
        found = self._find_only(tensors) if type(tensors) is List else self._find(tensors)
        feed, lists = {}, int(outputs is not None)
        for name, item in inputs.items():
            if name in found:
                feed[name], count = item.read(found[name])
                lists += count
        return PredictBody(feed, outputs, None if frame.id is UNSET else frame.id), lists

    def _find(self, inputs: Any) -> dict[str, Any]:
        found = _members(inputs, max(len(self._inputs), _FLAT_FIELDS))
        if found.keys() == {"shape", "data"} and self._only not in found:
            return self._find_only(inputs)
        if not self._required <= found.keys() <= self._inputs.keys():
            raise Doubt
        return found

    def _find_only(self, tensor: Any) -> dict[str, Any]:
        if self._only is None:
            raise Doubt
        return {self._only: tensor}


class _Input:
    """How one input is read."""

    __slots__ = ("_fit", "_to_array")

    def __init__(self, spec: TensorSpec, to_array: Callable[[Any], Array]) -> None:
        self._fit = ShapeFit(spec)
        self._to_array = to_array

    def read(self, value: Any) -> tuple[Array, int]:
        """Return the array, and how many lists of the body it accounts for."""
        if type(value) is Object:
            members = _members(value, _FLAT_FIELDS)
            numbers, shape = members.pop("data"), _sizes_of(members.pop("shape"))
            if type(numbers) is not List:
                raise Doubt
            lists = _FLAT_FIELDS
        elif type(value) is List:
            numbers, shape = value, shape_of(value, self._fit.rank)
            lists = sum(math.prod(shape[:axis]) for axis in range(len(shape)))
        else:
            raise Doubt
        return self._fit.check(self._to_array(numbers).reshape(shape)), lists


def can_read_buffers(signature: Signature) -> bool:
    """Return whether all inputs are lists of numbers, of known ranks that fit the depth."""
    return all(
        spec.is_tensor
        and not spec.dtype.is_foreign
        and spec.dtype.kind in "fiu"
        and spec.shape is not None
        and 0 < len(spec.shape) <= MAX_DEPTH - 2
        for spec in signature.inputs
    )


def _members(value: Any, most: int) -> dict[str, Any]:
    if type(value) is not Object or len(value) > most:  # each key is searched for from the first on
        raise Doubt
    members = {key: value[key] for key in value}
    if len(members) != len(value):
        raise Doubt
    return members


def _may_have_words(body: bytes) -> bool:
    return any(word in body for word, _, _ in _STAND_INS) and b"\\" not in body


def _count_strings(body: bytes, word: bytes) -> int:
    """Return how many whole strings are this one, in a body without a backslash."""
    marks = np.flatnonzero(np.frombuffer(body, np.uint8) == ord('"'))
    begins, ends = marks[: len(marks) // 2 * 2 : 2], marks[1::2]
    return sum(body.startswith(word, begin) for begin in begins[ends - begins == len(word) - 1].tolist())


def _count_words(array: Array) -> int:
    return array.size - int(np.count_nonzero(np.isfinite(array))) if array.dtype.kind == "f" else 0


def _count_brackets(body: bytes) -> int:
    view = np.frombuffer(body, np.uint8)
    parts = (view[start : start + _CACHED_BYTES] for start in range(0, len(body), _CACHED_BYTES))
    return sum(int(np.count_nonzero(part == ord("["))) for part in parts)


def _plain(value: Any) -> Any:
    return value.as_list() if type(value) is List else value


def _sizes_of(value: Any) -> tuple[int, ...]:
    sizes: tuple[Any, ...] = tuple(value) if type(value) is List and len(value) <= MAX_RANK else (0,)
    if any(type(size) is not int or size < 1 for size in sizes):  # what stands beside a zero may be absurd
        raise Doubt
    return sizes


def shape_of(lists: Any, rank: int) -> tuple[int, ...]:
    """Return the lengths of lists in lists; that the innermost hold no lists is not looked at.

    Raises:
        Doubt: lists of one rank have different lengths.
        TypeError: something is no list.
    """
    if isinstance(lists, str):  # whose characters are strings, whose characters are strings
        raise TypeError
    if rank == 1:
        return (len(lists),)
    if rank == 2:  # noqa: PLR2004 - as below, in a third of the time: most lists are innermost ones
        sizes: set[int] = set()
        rest = iter(lists)
        for _ in range(0, len(lists), _LISTS_A_TURN):  # between two, other threads have theirs
            sizes.update(map(len, islice(rest, _LISTS_A_TURN)))
        if len(sizes) != 1:
            raise Doubt
        return (len(lists), sizes.pop())
    below = {shape_of(item, rank - 1) for item in lists}
    if len(below) != 1:
        raise Doubt
    return (len(lists), *below.pop())


def converter(dtype: DType) -> Callable[[Any], Array]:
    """Return what makes a flat array of a parsed list of numbers, lists within it joined.

    It raises Doubt for what needs a second look, and one of ``FAULTS`` for what is no such list.
    """
    target = dtype.numpy
    if dtype.kind == "f":
        return lambda numbers: _narrowed(np.frombuffer(numbers.as_buffer(of_type="d"), np.float64), target)
    letter, widest = ("u", np.dtype(np.uint64)) if dtype.name == "uint64" else ("i", np.dtype(np.int64))
    if target == widest:
        return lambda numbers: np.frombuffer(numbers.as_buffer(of_type=letter), widest)
    bounds = np.iinfo(target)

    def shorten(numbers: Any) -> Array:
        array = np.frombuffer(numbers.as_buffer(of_type=letter), widest)
        if array.min() < bounds.min or array.max() > bounds.max:
            raise Doubt
        return array.astype(target)

    return shorten


def long_rows_reader(dtype: DType) -> RowsReader:
    """Return what reads nested lists of numbers."""
    to_array = converter(dtype)

    def read(text: bytes, shape: tuple[int, ...]) -> Array | None:
        def convert(rows: Any) -> Array:
            if type(rows) is not List or shape_of(rows, len(shape)) != shape:
                raise Doubt
            return to_array(rows)

        try:
            array = parse_with(convert, text)
        except (Doubt, *FAULTS):
            return None
        # Every list has been counted, by its length and by its bracket: only numbers can be within the innermost ones.
        return array.reshape(shape) if array.size == math.prod(shape) else None

    return read


def _narrowed(doubles: Array, dtype: np.dtype[Any]) -> Array:
    if dtype == np.float64:
        return doubles
    with np.errstate(over="ignore"):
        array = narrow_if_certain(doubles, dtype)
    if array is None or not np.isfinite(array).all():
        raise Doubt
    return array


def _converter_of_words(dtype: DType) -> Callable[[Any], Array]:
    """Return what does as ``converter`` for floats among which numbers stand for words."""
    if dtype.kind != "f":
        return converter(dtype)

    def convert(numbers: Any) -> Array:
        doubles = np.frombuffer(numbers.as_buffer(of_type="d"), np.float64).copy()
        places = [(doubles == float(stand_in), meaning) for _, stand_in, meaning in _STAND_INS]
        for where, _ in places:
            doubles[where] = 0.0
        array = np.array(_narrowed(doubles, dtype.numpy))
        for where, meaning in places:
            array[where] = meaning
        return array

    return convert
