"""Predict bodies as JSON: bytes to arrays that fit a version's signature, and arrays to the bytes of its answer."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from math import prod
from typing import Any

import orjson

from gateway.codec.body import Array, PredictBody
from gateway.codec.exact_decode import decode_exactly
from gateway.codec.fast_decode import FastDecoder, can_read_fast, short_rows_reader
from gateway.codec.fit import DOUBTS, Doubt
from gateway.codec.joined_rows import JoinedRowsDecoder, has_joined_rows
from gateway.codec.json_output import write_outputs, write_rows, write_values
from gateway.codec.large_rows import LargeRowsDecoder
from registry.signature import Signature

__all__ = ["JsonCodec", "PredictBody", "drop_parsers"]

_LONG_ROW = 16
"""Elements; from here on a buffer costs less than Python's own numbers."""

_MOST_FRAMES = 16
"""Callers may ask for outputs in any order."""

BUFFERS_FROM_BYTES = 4096
"""From here on a body is parsed into buffers first; below, Python's own numbers cost less than the buffers' checks."""


PIECES_FROM_BYTES = 512 * 1024
"""From here on the rows of a plain body are parsed in pieces."""

MOST_IN_ONE_GO_BYTES = 128 * 1024
"""What is longer, of one input, and no buffers could be made of is wrong most often, or has to be looked at exactly. It
is not made numbers of in one go for that: nobody has a turn meanwhile, and 16 MiB take two seconds."""


class JsonCodec:
    """The JSON of one version's predict route, compiled once.

    ``decode(encode(names, arrays))`` gives the same arrays bit for bit, for every dtype that a signature can have (one
    NaN stands for all), and the same values where the signature says that they are no tensors (``registry.values``).
    Any number of threads may use one codec.

    Args:
        model: the model's name, as answers give it.
        version: the version's number.
        signature: what the version takes and gives.
    """

    def __init__(self, *, model: str, version: int, signature: Signature) -> None:
        self._signature = signature
        self._begin = b'{"model":%b,"version":%d,"outputs":' % (orjson.dumps(model), version)
        self._frames: dict[tuple[tuple[str, int], ...], bytes] = {}
        self._write: Callable[[dict[str, Any]], bytes] = write_outputs if signature.is_plain else write_values
        self._has_numbers_only = signature.is_plain and all(spec.dtype.kind in "fiub" for spec in signature.outputs)
        self._fast = FastDecoder(signature) if can_read_fast(signature) else None
        self._decode_into_buffers = _buffer_decoding(signature)
        self._large_rows = _large_rows_decoder(signature)
        self.plain_rows = _rows_decoder(signature)
        """Reads the plain bodies of many requests at once; None where the signature has no plain rows."""

    def decode(self, body: bytes) -> PredictBody:
        """Return what a body says.

        Raises:
            UndecodableBody: it is not strict JSON.
            TooManyElements: its tensors hold more elements than one request may bring.
            SignatureMismatch: it does not fit the signature; carries every violation.
        """
        decoded = self.decode_quickly(body)
        return decode_exactly(self._signature, body) if decoded is None else decoded

    def decode_quickly(self, body: bytes) -> PredictBody | None:
        """Return what a body says, or None if it takes ``decode`` to tell that, or what is wrong with it."""
        if len(body) >= BUFFERS_FROM_BYTES and self._decode_into_buffers is not None:
            try:
                decoded = self._large_rows.decode(body) if self._large_rows and len(body) >= PIECES_FROM_BYTES else None
                return decoded or self._decode_into_buffers(body)
            except Doubt:
                if len(body) > MOST_IN_ONE_GO_BYTES and len(self._signature.inputs) == 1:
                    return None
        if self._fast is not None:
            try:
                return self._fast.decode(body)
            except DOUBTS:
                pass
        return None

    def encode(self, names: Sequence[str], arrays: Sequence[Array], *, request_id: str | None) -> bytes:
        """Return the answer: model, version, the outputs by name, and the request's own id if it had one.

        Args:
            names: the outputs' names, each once.
            arrays: as many arrays, of the dtypes of ``registry.tensor.DTYPES``, in any memory layout.
            request_id: the ``id`` of the request.

        Raises:
            OutputNotText: a string is not text that UTF-8 can carry.
        """
        written = self._write(dict(zip(names, arrays, strict=True)))
        if request_id is None:
            return b"%b%b}" % (self._begin, written)
        return b'%b%b,"id":%b}' % (self._begin, written, orjson.dumps(request_id))

    def encode_rows(self, names: Sequence[str], arrays: Sequence[Array], counts: Sequence[int]) -> list[bytes] | None:
        """Return the answers to several requests without ids, as ``encode`` writes each, for less than it takes.

        Args:
            names: the outputs' names, each once.
            arrays: the rows of all, of one rank or more.
            counts: how many of them are each request's, at least one.

        Returns:
            None if they have to be written one by one.
        """
        if not self._has_numbers_only:
            return None
        answers = write_rows(dict(zip(names, arrays, strict=True)), counts)
        if answers is None:
            return None
        frame = self._frame(tuple([(name, array.ndim) for name, array in zip(names, arrays, strict=True)]))
        return [frame % answer for answer in answers]

    def _frame(self, outputs: tuple[tuple[str, int], ...]) -> bytes:
        """Return what stands around the rows of outputs (name, rank); it takes these by ``%``."""
        frame = self._frames.get(outputs)
        if frame is None:
            members = [
                b"%b:%b%%b%b" % (orjson.dumps(name).replace(b"%", b"%%"), b"[" * rank, b"]" * rank)
                for name, rank in outputs
            ]
            frame = b"%b{%b}}" % (self._begin.replace(b"%", b"%%"), b",".join(members))
            if len(self._frames) < _MOST_FRAMES:
                self._frames[outputs] = frame
        return frame


_HAS_SIMDJSON = find_spec("simdjson") is not None
"""There are no wheels of it for Python 3.14."""


def drop_parsers() -> None:
    """Let go of what is kept for the next large bodies; any thread may call this."""
    if _HAS_SIMDJSON:
        from gateway.codec import parsers

        parsers.drop_parsers()


def _rows_decoder(signature: Signature) -> JoinedRowsDecoder | None:
    if not (has_joined_rows(signature) and can_read_fast(signature)):
        return None
    spec = signature.inputs[0]
    elements = prod(size for size in (spec.shape or ())[1:] if isinstance(size, int))
    if _HAS_SIMDJSON and elements >= _LONG_ROW and spec.dtype.kind != "b":
        from gateway.codec.buffer_decode import long_rows_reader

        return JoinedRowsDecoder(signature, long_rows_reader(spec.dtype))
    return JoinedRowsDecoder(signature, short_rows_reader(spec))


def _large_rows_decoder(signature: Signature) -> LargeRowsDecoder | None:
    if not _HAS_SIMDJSON or not has_joined_rows(signature):
        return None
    from gateway.codec.buffer_decode import can_read_buffers, long_rows_reader

    if not can_read_buffers(signature):
        return None
    return LargeRowsDecoder(signature, long_rows_reader(signature.inputs[0].dtype))


def _buffer_decoding(signature: Signature) -> Callable[[bytes], PredictBody] | None:
    if not _HAS_SIMDJSON:
        return None
    from gateway.codec.buffer_decode import BufferDecoder, can_read_buffers

    return BufferDecoder(signature).decode if can_read_buffers(signature) else None
