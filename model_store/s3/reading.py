"""An answer's bytes, for as long as they come at a tolerable pace."""

from collections.abc import Iterator
from contextlib import closing
from time import monotonic
from typing import Any

from model_store.s3.client import Patience
from model_store.s3.failures import member_of, s3_errors, unavailable
from model_store.streams import CHUNK_BYTES

_SLOWEST_BYTES_PER_SECOND = 256 * 1024


def read_body(answer: Any, *, doing: str, patience: Patience) -> Iterator[bytes]:
    """Yield the bytes of a GetObject answer in chunks of about 1 MiB.

    Raises:
        StorageUnavailable: the connection is cut, or stays silent, or drips.
    """
    received, expected = 0, int(member_of(answer, "ContentLength", doing=doing))
    waited = 0.0
    with closing(answer["Body"]) as body:
        while received < expected:
            chunk = bytearray()
            while len(chunk) < CHUNK_BYTES and received < expected:
                began = monotonic()
                with s3_errors(doing):
                    # Not body.read: that waits until it has all it was asked for, however slowly each byte comes.
                    piece = body._raw_stream.read1(min(CHUNK_BYTES, expected - received))  # noqa: SLF001
                waited += monotonic() - began
                received += len(piece)
                if not piece:
                    raise unavailable(f"{doing} failed: the artifact store's answer was cut short")
                if waited > patience.read_seconds + received / _SLOWEST_BYTES_PER_SECOND:
                    raise unavailable(f"{doing} failed: the artifact store's answer comes too slowly")
                chunk += piece
            yield bytes(chunk)
