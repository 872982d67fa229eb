"""The rules for every TensorProto of a file, wherever it stands.

1. It says once where its data is: in one field of the message or in a listed file, never in two places or in parts.
2. The data is as long as dtype and dimensions say, computed in whole numbers that cannot overflow.
3. A file is named by its bare name, and is one of those that were uploaded together; nothing else is a place.

Source: onnx.proto, TensorProto; the traversals and overflows that rule 3 and rule 2 shut out are CVE-2022-25882,
CVE-2024-27318, CVE-2026-34446 and CVE-2026-34447.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from registry.errors import InvalidArtifact
from registry.inspection.wire import FIXED32, FIXED64, LENGTH, VARINT, Bytes, Field, Tally, fields, malformed, varints
from registry.names import quoted

_DIMS = 1
_DTYPE, _SEGMENT, _FLOATS, _INT32S, _STRINGS, _INT64S, _RAW, _DOUBLES, _UINT64S = 2, 3, 4, 5, 6, 7, 9, 10, 11
EXTERNAL_DATA: Final = 13
_LOCATION = 14
_EXTERNAL = 1
_EXTERNAL_KEYS = frozenset({b"location", b"offset", b"length"})

_FIXED_SIZES = {_FLOATS: 4, _DOUBLES: 8}
_TYPED = {_FLOATS, _INT32S, _STRINGS, _INT64S, _DOUBLES, _UINT64S}

_STRING = 8
_COMPLEX = {14, 15}
_BITS: Mapping[int, int] = {
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}
"""Bits an element, by TensorProto.DataType; strings and types younger than this table are not in it."""

_HOW_TO_SEND = (
    "Upload the .onnx file together with the files that its weights are in, under the names that it knows them by, "
    "or make it one file: onnx.save(onnx.load('model.onnx'), 'single.onnx', save_as_external_data=False)"
)


@dataclass(slots=True)
class Tensor:
    """One TensorProto, as far as the rules need it."""

    dims: list[int] = field(default_factory=list)
    dtype: int = 0
    is_external: bool = False
    external: dict[bytes, bytes] = field(default_factory=dict)
    raw_bytes: int | None = None
    typed: dict[int, int] = field(default_factory=dict)
    """Elements by field number of the typed fields that are there."""

    def take(self, data: Bytes, found: Field, *, max_rank: int) -> None:
        """Note one field of the message.

        Raises:
            InvalidArtifact: ``invalid_model``: more dimensions than any tensor has, raw data twice, a segment,
                or a type many times over.
        """
        number, wire, begin, end = found
        if number == _DIMS and wire in (VARINT, LENGTH):
            for dim in varints(data, found):
                self.dims.append(dim)
                if len(self.dims) > max_rank or dim < 0:
                    raise InvalidArtifact("invalid_model", f"a tensor has the dimensions {self.dims}")
        elif number == _RAW and wire == LENGTH:
            self._take_raw(end - begin)
        elif number in _TYPED:
            self.typed[number] = self.typed.get(number, 0) + _count(data, found)
        elif number in (_DTYPE, _LOCATION) and wire == VARINT:
            self._take_scalar(number, varints(data, found))
        elif number == _SEGMENT:
            raise InvalidArtifact("invalid_model", "a tensor is stored in segments, which no runtime reads")

    def take_entry(self, data: Bytes, begin: int, end: int, tally: Tally) -> None:
        """Note one entry of ``external_data``."""
        entry = {
            number: data[start : min(stop, start + 1024)] for number, _, start, stop in fields(data, begin, end, tally)
        }
        key = entry.get(1, b"")
        if key in self.external:
            raise InvalidArtifact("external_data", "a tensor says twice where its external data is")
        if key in _EXTERNAL_KEYS:  # others are not kept, however many there are
            self.external[key] = entry.get(2, b"")
        self.is_external = True  # without the flag too: two halves of a message may yet be merged

    def check(self, files: Mapping[str, int]) -> None:
        """Hold the whole message against the rules; ``files`` has the sizes of the files that came with the graph.

        Raises:
            InvalidArtifact: ``external_data`` or ``invalid_model``.
        """
        if (self.raw_bytes is not None) + len(self.typed) + self.is_external > 1:
            raise InvalidArtifact("invalid_model", "a tensor has its data in two places at once")
        if self.is_external:
            _check_external(self.external, self._data_bytes(), files)
        elif not self._fits():
            raise InvalidArtifact(
                "invalid_model", f"a tensor's data does not have the length that its dimensions {self.dims} ask for"
            )

    def _take_raw(self, size_bytes: int) -> None:
        if self.raw_bytes is not None:
            raise InvalidArtifact("invalid_model", "a tensor has its data twice")
        self.raw_bytes = size_bytes

    def _take_scalar(self, number: int, values: Iterator[int]) -> None:
        value = next(values)
        if next(values, None) is not None:
            raise InvalidArtifact("invalid_model", "a tensor says many times what it is")
        if number == _DTYPE:
            self.dtype = value
        else:
            self.is_external = self.is_external or value == _EXTERNAL

    def _elements(self) -> int:
        product = 1
        for dim in self.dims:
            product *= dim
        return product

    def _data_bytes(self) -> int | None:
        bits = _BITS.get(self.dtype)
        return None if bits is None else -(-self._elements() * bits // 8)

    def _fits(self) -> bool:
        if self.raw_bytes is not None:
            return self._data_bytes() in (None, self.raw_bytes)
        elements = self._elements()
        if self.dtype in _COMPLEX:
            elements *= 2
        if self.dtype == _STRING or self.dtype not in _BITS:
            return self.dtype != _STRING or sum(self.typed.values()) == elements
        packed = max(1, 8 // _BITS[self.dtype])  # types of less than a byte stand several to a number
        return sum(self.typed.values()) == -(-elements // packed)


def _count(data: Bytes, found: Field) -> int:
    """Return the number of elements that a typed field holds."""
    number, wire, begin, end = found
    if number == _STRINGS:
        return 1
    if number in _FIXED_SIZES:
        size = _FIXED_SIZES[number] + (wire in (FIXED32, FIXED64))  # unpacked, each has a tag before it
        if (end - begin) % size:
            raise malformed(begin)
        return (end - begin) // size
    ends = np.count_nonzero(np.frombuffer(data, np.uint8, end - begin, begin) < 0x80)  # noqa: PLR2004 - a varint's last
    return int(ends) // (2 if wire == VARINT else 1)


def _check_external(entries: Mapping[bytes, bytes], size_bytes: int | None, files: Mapping[str, int]) -> None:
    location = entries.get(b"location", b"").decode("utf-8", "replace")
    if location not in files:
        raise InvalidArtifact(
            "external_data",
            f"the model keeps weights in a file {quoted(location)} that did not come with it. {_HOW_TO_SEND}",
        )
    offset, length = (_number(entries.get(key, b"0")) for key in (b"offset", b"length"))
    wanted = length if size_bytes is None or b"length" not in entries else size_bytes
    is_length_right = b"length" not in entries or length == wanted
    if not is_length_right or offset + (size_bytes or length) > files[location]:
        raise InvalidArtifact(
            "external_data",
            f"a tensor's data is not where the model says it is in {quoted(location)}: "
            "the files do not belong together, or one was cut off",
        )


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:  # noqa: PLR2004 - the digits of 2**64
        raise InvalidArtifact("external_data", "an offset or length of external data is not a number")
    return int(text)
