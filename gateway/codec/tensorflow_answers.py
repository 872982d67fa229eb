"""Answers as TensorFlow Serving's REST has them: ``predictions`` to rows, ``outputs`` to columns.

1. Numbers and words are written as our own answers have them (``gateway.codec.json_output``).
2. A model with one output has its tensor there, one with several an object by name: for each row, or of columns.
3. The dialect has no other form for a tensor than nested lists: what is behind a size of zero cannot be seen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from gateway.codec.json_output import write_values
from registry.errors import SignatureMismatch, Violation
from registry.signature import Signature
from registry.tensor import format_shape

_BEGIN, _END = len(b'{"":'), -len(b"}")


def write_columns(outputs: Mapping[str, Any]) -> bytes:
    """Return the answer to a request in columns.

    Raises:
        OutputNotText: a string of the outputs cannot be written in UTF-8.
    """
    nested = {name: _without_the_unseen(value) for name, value in outputs.items()}
    if len(nested) == 1:
        (value,) = nested.values()
        return write_values({"outputs": value})
    return b'{"outputs":%b}' % write_values(nested)


def write_predictions(outputs: Mapping[str, Any], count: int) -> bytes:
    """Return the answer to a request of ``count`` rows.

    Raises:
        SignatureMismatch: an output has not as many rows.
        OutputNotText: a string of the outputs cannot be written in UTF-8.
    """
    faults = [_not_rows(_spelled(name, value), count) for name, value in outputs.items() if _count_rows(value) != count]
    if faults:
        raise SignatureMismatch(faults)
    if len(outputs) == 1:
        (value,) = outputs.values()
        return write_values({"predictions": _without_the_unseen(value)})
    columns = [_write_rows(value) for value in outputs.values()]
    row = b"{%b}" % b",".join(b"%b:%%b" % orjson.dumps(name).replace(b"%", b"%%") for name in outputs)
    return b'{"predictions":[%b]}' % b",".join([row % texts for texts in zip(*columns, strict=True)])


def rows_faults(signature: Signature, count: int) -> list[Violation]:
    """List the outputs that cannot have ``count`` rows, as far as the signature tells."""
    return [
        _not_rows(f"{spec.name}: {spec}", count)
        for spec in signature.outputs
        if spec.is_tensor
        and spec.shape is not None
        and (not spec.shape or (isinstance(spec.shape[0], int) and spec.shape[0] != count))
    ]


def _not_rows(received: str, count: int) -> Violation:
    expected = f"outputs with a row for each of the {count} instances (send inputs, and the answer is in columns)"
    return Violation(path="/instances", expected=expected, received=received, code="outputs_not_rows")


def _count_rows(value: Any) -> int | None:
    if isinstance(value, np.ndarray):
        return value.shape[0] if value.ndim else None
    return len(value) if isinstance(value, list) else None


def _spelled(name: str, value: Any) -> str:
    return f"{name}: {value.dtype.name}{format_shape(value.shape)}" if isinstance(value, np.ndarray) else name


def _write_rows(value: Any) -> Sequence[bytes]:
    """Return the rows, each written by itself; of many numbers, by writing them at once and taking that apart."""
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OSU" and value.size:
        rank = value.ndim
        written = write_values({"": value})[_BEGIN + rank : _END - rank]
        opening, closing = b"[" * (rank - 1), b"]" * (rank - 1)  # within a row, fewer brackets stand together
        return [b"%b%b%b" % (opening, row, closing) for row in written.split(closing + b"," + opening)]
    rows = [value[place, ...] for place in range(len(value))] if isinstance(value, np.ndarray) else value
    return [write_values({"": _without_the_unseen(row)})[_BEGIN:_END] for row in rows]


def _without_the_unseen(value: Any) -> Any:
    """Return a tensor as far as nested lists show it: up to its first size of zero."""
    if not isinstance(value, np.ndarray) or value.size:
        return value
    return value.reshape(value.shape[: value.shape.index(0) + 1])
