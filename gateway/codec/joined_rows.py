"""Many plain bodies at once, by joining their texts: one parse, and one array, for the rows of all.

1. Only for signatures of one input of numbers or booleans that has rows: a free first dimension, nothing else free, two
   ranks or more.
2. A body is plain if it is framed in one of the few usual ways, and begins and ends with as many brackets as its rank
   has. Its outermost brackets are left out, and what remains is put between commas into one list.
3. What is joined is parsed as a body is: strictly, every list's length compared, no bracket more than the rows need;
   short rows by ``gateway.codec.fast_decode``, long ones by ``gateway.codec.buffer_decode``. So numbers stand at one
   depth only, which is the rank. Each body's text begins with as many opening brackets as lead down there, and ends
   with as many closing ones: it neither begins nor ends within another's row, and has as many rows as it has brackets
   for.
4. Whatever is not plain, and whatever does not fit once it is joined, is left to the codec: each body by itself, so
   that a fault is found in the body that has it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import orjson

from gateway.codec.body import Array
from gateway.codec.long_numbers import may_hold_long_number
from registry.batching import Shapes
from registry.signature import Signature

RowsReader: TypeAlias = Callable[[bytes, tuple[int, ...]], Array | None]
"""Reads nested lists as an array of this shape; None if they are not just that."""


class PlainRows(NamedTuple):
    """What a plain body says: how many rows, and these as text."""

    rows: int
    text: bytes


class JoinedRowsDecoder:
    """Reads the plain bodies of one signature, and puts their rows together. Any number of threads may use it.

    Args:
        signature: one that ``has_joined_rows``.
        read_rows: of the signature's input.
    """

    def __init__(self, signature: Signature, read_rows: RowsReader) -> None:
        spec = signature.inputs[0]
        inner = [size for size in (spec.shape or ())[1:] if isinstance(size, int)]
        self.shapes: Shapes = (tuple(inner),)
        """The inner shapes of whatever ``join`` returns."""
        self._read_rows = read_rows
        self._name = spec.name
        self._inner = tuple(inner)
        self._has_floats = spec.dtype.kind == "f"
        self._brackets = sum(math.prod(inner[:axis]) for axis in range(len(inner)))
        """How many lists a row is made of."""
        self.row_size = math.prod(inner)
        """How many elements a row has."""
        self._opening = b"[" * (1 + len(inner))
        name, closing = orjson.dumps(spec.name), b"]" * (1 + len(inner))
        frames = {
            b'{"inputs":': b"}",
            b'{"inputs": ': b"}",
            b'{"instances":': b"}",
            b'{"instances": ': b"}",
            b'{"inputs":{%b:' % name: b"}}",
            b'{"inputs": {%b: ' % name: b"}}",
        }
        self._frames = {begin: (closing + end, -1 - len(end)) for begin, end in frames.items()}
        """What stands before the rows, what at their end and behind them, and where the outermost list ends."""

    def read(self, body: bytes) -> PlainRows | None:
        """Return the rows of a plain body; None if it is not plain."""
        start = body.find(b"[")
        frame = self._frames.get(body[:start])
        if frame is None or not body.startswith(self._opening, start) or not body.endswith(frame[0]):
            return None
        return self.count(body[start + 1 : frame[1]])

    def count(self, text: bytes) -> PlainRows | None:
        """Return rows that are a text; None if it has not as many brackets as rows would."""
        rows = text.count(b"[")
        if self._brackets != 1:
            rows, rest = divmod(rows, self._brackets)
            if rest:
                return None
        return PlainRows(rows, text)

    def join(self, bodies: Sequence[PlainRows]) -> dict[str, Array] | None:
        """Return the feed of all rows, in the order of the bodies; None if they do not fit the signature."""
        text = b"[%b]" % b",".join([body.text for body in bodies])
        if self._has_floats and may_hold_long_number(text):
            return None
        array = self._read_rows(text, (sum([body.rows for body in bodies]), *self._inner))
        return None if array is None else {self._name: array}


def has_joined_rows(signature: Signature) -> bool:
    """Return whether rule 1 holds."""
    if len(signature.inputs) != 1 or signature.inputs[0].dtype.kind not in "fiub" or not signature.is_plain:
        return False
    shape = signature.inputs[0].shape or ()
    inner = [size for size in shape[1:] if isinstance(size, int) and size > 0]
    return 1 < len(shape) == 1 + len(inner) and not isinstance(shape[0], int)
