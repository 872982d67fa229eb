"""Elements one by one: which JSON values an element type takes, and what is wrong with the others.

Leaves are what ``gateway.codec.strict_json`` makes of JSON: ``bytes`` is the literal of a decimal.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.codec.body import INFINITE_WORDS, Array
from gateway.codec.foreign_floats import read_foreign_floats, words_of
from gateway.codec.limits import MAX_NAMED
from gateway.codec.rounding import narrow_exactly
from gateway.codec.strict_json import BareWord
from registry.errors import Violation
from registry.names import quoted
from registry.tensor import DType

_TYPES_OF_KIND: dict[str, frozenset[type]] = {
    "f": frozenset({int, bytes}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
    "O": frozenset({str}),
}

# Takes the place of a refused element, so that the others are still looked at.
_BLANKS: dict[str, object] = {"f": 0, "i": 0, "u": 0, "b": False, "O": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementFault:
    """What is wrong with one element of a tensor."""

    index: int
    """Which one, counted row-major."""
    expected: str
    received: str
    code: str

    def at(self, path: str) -> Violation:
        """Return the violation of the element that stands at ``path``."""
        return Violation(path=path, expected=self.expected, received=self.received, code=self.code)


def read_elements(dtype: DType, leaves: Sequence[object]) -> tuple[Array, list[ElementFault]]:
    """Turn leaves into an array [n] of ``dtype``; it is of use only if there are no faults.

    Decimals and integers become the nearest float, ties to even, however they are written. Returns the first
    ``MAX_NAMED`` faults of each code, in the order of the elements.
    """
    faults: list[ElementFault] = []
    wrong = _wrong_types(dtype, leaves)
    if wrong:
        faults += _faults(wrong, leaves, expected=f"an element of {dtype.name}", code="invalid_dtype")
        leaves = _blanked(dtype, leaves, wrong)
    array, outside = _READERS[dtype.kind](dtype, leaves)
    if outside:
        faults += _faults(outside, leaves, expected=_range(dtype), code="out_of_range")
    return array, sorted(faults, key=lambda fault: fault.index)


def quoted_words(dtype: DType, leaves: list[object]) -> list[object]:
    """Return leaves whose bare words are text where they stand for floats; elsewhere they stay what nothing takes."""
    if dtype.kind != "f" or BareWord not in set(map(type, leaves)):
        return leaves
    return [str(leaf) if type(leaf) is BareWord else leaf for leaf in leaves]


def describe(value: object) -> str:
    """Spell a JSON value for a message, short and on one line."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bytes):
        text = value.decode("ascii")
        return text if len(text) <= 64 else text[:64] + "..."  # noqa: PLR2004 - as long as a quoted text
    return json.dumps(value)


def _faults(indexes: Sequence[int], leaves: Sequence[object], *, expected: str, code: str) -> list[ElementFault]:
    return [
        ElementFault(index=index, expected=expected, received=describe(leaves[index]), code=code)
        for index in indexes[:MAX_NAMED]
    ]


def _wrong_types(dtype: DType, leaves: Sequence[object]) -> list[int]:
    right = _TYPES_OF_KIND[dtype.kind]
    if set(map(type, leaves)) <= right:
        return []
    words: tuple[str, ...] = ()
    if dtype.kind == "f":
        words = words_of(dtype) if dtype.is_foreign else INFINITE_WORDS
    return [
        index
        for index, leaf in enumerate(leaves)
        if type(leaf) not in right and not (type(leaf) is str and leaf in words)
    ]


def _blanked(dtype: DType, leaves: Sequence[object], refused: Iterable[int]) -> list[object]:
    kept = list(leaves)
    for index in refused:
        kept[index] = _BLANKS[dtype.kind]
    return kept


def _read_floats(dtype: DType, leaves: Sequence[Any]) -> tuple[Array, list[int]]:
    doubles = np.fromiter(map(float, leaves), dtype=np.float64, count=len(leaves))
    if dtype.is_foreign:
        return read_foreign_floats(dtype, doubles, leaves)
    array = narrow_exactly(doubles, dtype.numpy, leaves)
    infinite = np.flatnonzero(np.isinf(array)).tolist()
    return array, [index for index in infinite if not isinstance(leaves[index], str)]


def _read_integers(dtype: DType, leaves: Sequence[Any]) -> tuple[Array, list[int]]:
    least, most = dtype.least, dtype.most
    outside: list[int] = []
    if leaves and (min(leaves) < least or max(leaves) > most):
        outside = [index for index, leaf in enumerate(leaves) if not least <= leaf <= most]
        leaves = _blanked(dtype, leaves, outside)
    if dtype.is_foreign:  # made from integers, its bytes would not all be what their sign makes of them
        return np.array(leaves, np.int8 if dtype.kind == "i" else np.uint8).view(dtype.numpy), outside
    return np.array(leaves, dtype=dtype.numpy), outside


def _read_plainly(dtype: DType, leaves: Sequence[Any]) -> tuple[Array, list[int]]:
    return np.array(leaves, dtype=dtype.numpy), []


_READERS: dict[str, Callable[[DType, Sequence[Any]], tuple[Array, list[int]]]] = {
    "f": _read_floats,
    "i": _read_integers,
    "u": _read_integers,
    "b": _read_plainly,
    "O": _read_plainly,
}


def _range(dtype: DType) -> str:
    if dtype.kind == "f" and dtype.least == -dtype.most:
        most = f"{dtype.most:g}" if dtype.is_foreign else str(np.finfo(dtype.numpy).max)
        return f"{dtype.name}, at most {most} in size"
    return f"{dtype.name} from {dtype.least} to {dtype.most}"
