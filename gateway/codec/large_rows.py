"""Plain bodies of megabytes, parsed piece by piece, so that other threads have their turn in between.

A body is cut between rows, where one ends and the next begins with a comma between, or a comma and a space. Each piece
is then what ``gateway.codec.joined_rows`` calls the text of a plain body, and is parsed as one; what the parser needs
for a piece stays in the processor's cache, so that this costs no more than one parse of all.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from gateway.codec.body import PredictBody
from gateway.codec.fit import Doubt
from gateway.codec.joined_rows import JoinedRowsDecoder, RowsReader
from gateway.codec.limits import MAX_ELEMENTS
from registry.signature import Signature

PIECE_BYTES: Final = 128 * 1024


class LargeRowsDecoder:
    """Reads the plain bodies of one signature. Any number of threads may use it.

    Args:
        signature: one that ``has_joined_rows``.
        read_rows: of the signature's input.
        piece_bytes: a piece has so many at least, and one row more at most.
    """

    def __init__(self, signature: Signature, read_rows: RowsReader, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._rows = JoinedRowsDecoder(signature, read_rows)
        self._piece_bytes = piece_bytes
        self._depth = len(signature.inputs[0].shape or ()) - 1
        self._seams = [b"%b%b%b" % (b"]" * self._depth, comma, b"[" * self._depth) for comma in (b",", b", ")]

    def decode(self, body: bytes) -> PredictBody | None:
        """Return what a plain body says; None if it is not plain, or does not fit.

        Raises:
            Doubt: it has more elements than a request may have.
        """
        plain = self._rows.read(body)
        if plain is None:
            return None
        if plain.rows * self._rows.row_size > MAX_ELEMENTS:
            raise Doubt
        feeds = []
        for text in self._pieces(plain.text):
            piece = self._rows.count(text)
            feed = None if piece is None else self._rows.join([piece])
            if feed is None:
                return None
            feeds.append(feed)
        return PredictBody({name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}, None, None)

    def _pieces(self, text: bytes) -> Iterator[bytes]:
        seam = next((seam for seam in self._seams if text.find(seam, 0, self._piece_bytes) >= 0), self._seams[0])
        start = 0
        while (end := text.find(seam, start + self._piece_bytes)) >= 0:
            yield text[start : end + self._depth]
            start = end + len(seam) - self._depth
        yield text[start:]
