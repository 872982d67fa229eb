"""Many plain bodies at once, by joining their texts: one parse fills one buffer with the rows of all.

1. Only for signatures of one input of numbers that has rows: a free first dimension, nothing else free, two ranks or
   more. Short rows are left to ``gateway.codec.plain_rows``, which has less to do for each of them.
2. A body is plain if it is framed in one of the few usual ways, and begins and ends with as many brackets as its rank
   has. Its outermost brackets are left out, and what remains is put between commas into one list.
3. What is joined is parsed as ``gateway.codec.buffer_decode`` parses a body: strictly, every list's length compared, no
   bracket more than the rows need. So numbers stand at one depth only, which is the rank. Each body's text begins with
   as many opening brackets as lead down there, and ends with as many closing ones: it neither begins nor ends within
   another's row, and has as many rows as it has brackets for.
4. Whatever is not plain, and whatever does not fit once it is joined, is left to the codec: each body by itself, so
   that a fault is found in the body that has it.
"""

import math
from collections.abc import Sequence
from typing import Any

import orjson
from simdjson import Array as List

from gateway.codec.body import Array
from gateway.codec.buffer_decode import FAULTS, converter, shape_of
from gateway.codec.fit import Doubt
from gateway.codec.long_numbers import may_hold_long_number
from gateway.codec.parsers import parse_with
from gateway.codec.plain_rows import PlainRows
from registry.batching import Shapes
from registry.signature import Signature

_LEAST_ELEMENTS = 16
"""Of a row; from here on joining costs no more than Python's own numbers."""


class JoinedRowsDecoder:
    """Reads the plain bodies of one signature, and puts their rows together. Any number of threads may use it.

    Args:
        signature: one of rule 1, whatever the length of its rows.
    """

    def __init__(self, signature: Signature) -> None:
        spec = signature.inputs[0]
        inner = [size for size in (spec.shape or ())[1:] if isinstance(size, int)]
        self.shapes: Shapes = (tuple(inner),)
        """The inner shapes of whatever ``join`` returns."""
        self._name = spec.name
        self._inner = tuple(inner)
        self._has_floats = spec.dtype.kind == "f"
        self._to_array = converter(spec.dtype)
        self._brackets = sum(math.prod(inner[:axis]) for axis in range(len(inner)))
        """How many lists a row is made of."""
        self._opening, self._closing = b"[" * (1 + len(inner)), b"]" * (1 + len(inner))
        name = orjson.dumps(spec.name)
        self._frames = {
            b'{"inputs":': b"}",
            b'{"inputs": ': b"}",
            b'{"instances":': b"}",
            b'{"instances": ': b"}",
            b'{"inputs":{%b:' % name: b"}}",
            b'{"inputs": {%b: ' % name: b"}}",
        }
        """What stands before the rows, and behind them."""

    def read(self, body: bytes) -> PlainRows | None:
        """Return the rows of a plain body as text; None if it is not plain."""
        start = body.find(b"[")
        tail = self._frames.get(body[:start])
        if tail is None or not body.startswith(self._opening, start) or not body.endswith(self._closing + tail):
            return None
        text = body[start + 1 : -1 - len(tail)]
        rows, rest = divmod(text.count(b"["), self._brackets)
        return None if rest else PlainRows(rows, None, text)

    def join(self, bodies: Sequence[PlainRows]) -> dict[str, Array] | None:
        """Return the feed of all rows, in the order of the bodies; None if they do not fit the signature."""
        text = b"[%b]" % b",".join([body.content for body in bodies])
        if self._has_floats and may_hold_long_number(text):
            return None
        shape = (sum([body.rows for body in bodies]), *self._inner)

        def read(rows: Any) -> Array:
            if type(rows) is not List or shape_of(rows, len(shape)) != shape:
                raise Doubt
            return self._to_array(rows)

        try:
            array = parse_with(read, text)
        except (Doubt, *FAULTS):
            return None
        # Every list has been counted, by its length and by its bracket: only numbers can be within the innermost ones.
        return {self._name: array.reshape(shape)} if array.size == math.prod(shape) else None


def has_joined_rows(signature: Signature) -> bool:
    """Return whether rule 1 holds."""
    if len(signature.inputs) != 1 or signature.inputs[0].dtype.kind not in "fiu":
        return False
    shape = signature.inputs[0].shape or ()
    inner = [size for size in shape[1:] if isinstance(size, int) and size > 0]
    return 1 < len(shape) == 1 + len(inner) and not isinstance(shape[0], int) and math.prod(inner) >= _LEAST_ELEMENTS
