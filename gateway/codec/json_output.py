"""Arrays to JSON.

1. orjson writes numbers so that they read back to the same bits, straight from the array.
2. It writes ``null`` for NaN and the infinities, and an array with a zero before its last size loses that size. Both
   are rare and both can be seen in the bytes of a short answer: only then, or if the answer is long, is each array
   looked at, and those that need it are written in their own way.
3. What orjson cannot write by itself (text, scalars, other memory layouts) it hands over one by one.
4. Elements of types that numpy lacks are written as the float32 or the small integer that they are: what reads them
   rounds to their type, and finds the same bits.
5. A sequence is a list, a map an object whose keys are text, an optional that is absent null.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np
import orjson

from gateway.codec.body import Array
from registry.errors import OutputNotText
from registry.tensor import is_foreign, kind_of
from registry.values import Value

_OPTION = orjson.OPT_SERIALIZE_NUMPY
_NULL = re.compile(rb"null")

_SHORT_BYTES = 4_096
"""Up to here looking through the bytes is quicker than looking at the arrays."""


def write_outputs(outputs: Mapping[str, Array]) -> bytes:
    """Return outputs by name as an object.

    Raises:
        OutputNotText: a string of the outputs cannot be written in UTF-8.
    """
    written = _write(outputs)
    if len(written) > _SHORT_BYTES or b"null" in written or b"[]" in written:
        special = {name: _special(array) for name, array in outputs.items()}
        if any(special[name] is not array for name, array in outputs.items()):
            return _write(special)
    return written


def write_values(outputs: Mapping[str, Value]) -> bytes:
    """Return outputs by name as an object, of which any may be no tensor, or of a type that numpy lacks.

    Raises:
        OutputNotText: as ``write_outputs``.
    """
    if all(isinstance(value, np.ndarray) and not is_foreign(value.dtype) for value in outputs.values()):
        return write_outputs(outputs)  # type: ignore[arg-type]  # they are arrays all
    return _write({name: _special(value) for name, value in outputs.items()})


def write_rows(outputs: Mapping[str, Array], counts: Sequence[int]) -> list[tuple[bytes, ...]] | None:
    """Return the rows of each of several answers as text: of each output, what stands between its outermost brackets.

    Args:
        outputs: of all together, at least one; arrays of numbers or booleans.
        counts: how many rows are each answer's, at least one.

    Returns:
        None if there are not as many rows, or something needs a second look: then ``write_outputs`` writes each answer.
    """
    columns, row_count = [], sum(counts)
    for array in outputs.values():
        written, rank = orjson.dumps(array, default=_plain, option=_OPTION), array.ndim
        if b"null" in written or b"[]" in written:
            return None
        between = b"]" * (rank - 1) + b"," + b"[" * (rank - 1)  # within a row, fewer brackets stand together
        rows = written[rank:-rank].split(between)
        if len(rows) != row_count:
            return None
        if len(rows) != len(counts):
            rest = iter(rows)
            rows = [between.join(islice(rest, count)) for count in counts]
        columns.append(rows)
    return list(zip(*columns, strict=True))


def _write(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=_plain, option=_OPTION)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, TypeError):
            raise
        raise OutputNotText("an output of the model holds text that is not UTF-8") from error


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} is no element of a tensor")
    if value.dtype.kind in "OSU":
        return value.tolist()
    if is_foreign(value.dtype):
        value = _native(value)
    if value.ndim:
        return np.ascontiguousarray(value)
    # The runtime's 64-bit integers are C's long long, which numpy tells from long and orjson does not know.
    return value.item() if value.dtype.kind in "iub" else value[()]


def _native(array: Array) -> Array:
    kind = kind_of(array.dtype)
    with np.errstate(invalid="ignore"):  # some NaN signal
        native: Array = array.astype(np.float32 if kind == "f" else np.int8 if kind == "i" else np.uint8)
    return native


def _special(array: Any) -> object:
    if array is None:
        return None
    if isinstance(array, list):
        return list(map(_special, array))
    if isinstance(array, dict):
        return {str(key): _special(inner) for key, inner in array.items()}
    if is_foreign(array.dtype):
        array = _native(array)
    return _special_array(array) if array.ndim else _scalar(array)


def _special_array(array: Array) -> object:
    if 0 in array.shape[:-1]:
        return {"shape": list(array.shape), "data": []}
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return orjson.Fragment(_write_with_words(array))
    return array


def _scalar(array: Array) -> object:
    """Return what is written of a scalar: maps have thousands, and each array costs what a row costs."""
    kind = array.dtype.kind
    if kind != "f":
        return array.item() if kind in "iub" else array
    value: Any = array[()]
    return value if isfinite(value) else orjson.Fragment(_word(value))


def _write_with_words(array: Array) -> bytes:
    words = iter([_word(value) for value in array[~np.isfinite(array)].tolist()])
    return _NULL.sub(lambda _: next(words), _write(array))


def _word(value: float) -> bytes:
    if np.isnan(value):
        return b'"NaN"'
    return b'"Infinity"' if value > 0 else b'"-Infinity"'
