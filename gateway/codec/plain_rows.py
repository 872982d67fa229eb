"""Many plain bodies at once: the rows of all become one array, so that what an array costs is paid once.

This is for what ``gateway.codec.joined_rows`` does not take: inputs of rank one, of short rows, of booleans, or
where there is no simdjson.

1. Only for signatures of one input that has rows: a free first dimension, and nothing else free.
2. A body is plain if it has rows as nested lists and perhaps an id, and nothing that needs a second look: no words for
   infinity, no ``outputs``, no flat tensor. Its numbers are read by the types of ``gateway.codec.fast_decode``.
3. Whatever is not plain, and whatever does not fit once it is put together, is left to the codec: each body by itself,
   so that a fault is found in the body that has it.
"""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import UNSET

from gateway.codec.body import Array
from gateway.codec.fast_decode import FastDecoder
from gateway.codec.fit import Doubt
from gateway.codec.long_numbers import may_hold_long_number
from registry.batching import Shapes
from registry.signature import Signature

_UNREADABLE = (Doubt, ValueError, OverflowError, msgspec.DecodeError)


class PlainRows(NamedTuple):
    """What a plain body says."""

    rows: int
    id: str | None
    """The request's own."""
    content: Any
    """The rows, in the form that ``join`` takes."""


class RowsDecoder(Protocol):
    """Reads the plain bodies of one signature, and puts their rows together."""

    @property
    def shapes(self) -> Shapes:
        """The inner shapes of whatever ``join`` returns."""
        ...

    def read(self, body: bytes) -> PlainRows | None:
        """Return the rows of a plain body, at least one; None if it is not plain."""
        ...

    def join(self, bodies: Sequence[PlainRows]) -> dict[str, Array] | None:
        """Return the feed of all rows, in the order of the bodies; None if they do not fit the signature."""
        ...


class PlainRowsDecoder:
    """Reads the plain bodies of one signature, and puts their rows together.

    Args:
        fast: the signature's decoder.
        signature: one that ``has_plain_rows``.
    """

    def __init__(self, fast: FastDecoder, signature: Signature) -> None:
        self._fast = fast
        shape: Any = signature.inputs[0].shape
        self.shapes: Shapes = (tuple(shape[1:]),)
        """The inner shapes of whatever ``join`` returns."""
        self._decode = fast.decode_request
        self._named = fast.named_type
        self._rows_of = attrgetter("tensor_0")

    def read(self, body: bytes) -> PlainRows | None:
        """Return the rows of a plain body, at least one; None if it is not plain."""
        try:
            request: Any = self._decode(body)
        except ValueError:  # msgspec's own, and what Python makes of octets that are no UTF-8
            return None
        rows: Any = request.inputs
        quotes = 2
        if rows is UNSET:
            rows = request.instances
        elif request.instances is not UNSET:
            return None
        elif type(rows) is self._named:
            rows, quotes = self._rows_of(rows), 4
        identity = request.id
        if identity is UNSET:
            identity = None
        else:
            quotes += 4
        if type(rows) is not list or not rows or request.outputs is not UNSET or body.count(b'"') != quotes:
            return None
        if may_hold_long_number(body):
            return None
        return PlainRows(len(rows), identity, rows)

    def join(self, bodies: Sequence[PlainRows]) -> dict[str, Array] | None:
        """Return the feed of all rows, in the order of the bodies; None if they do not fit the signature."""
        try:
            return self._fast.read_rows_together(list(chain.from_iterable([body.content for body in bodies])))
        except _UNREADABLE:
            return None


def has_plain_rows(signature: Signature) -> bool:
    """Return whether rule 1 holds."""
    if len(signature.inputs) != 1:
        return False
    shape = signature.inputs[0].shape
    return bool(shape) and not isinstance(shape[0], int) and all(isinstance(dim, int) for dim in shape[1:])  # type: ignore[index]
