"""Answers in fewer bytes, for those who ask: zstd, else gzip, by ``Accept-Encoding`` (RFC 9110, section 12.5.3).

1. Whoever asks for nothing gets plain bytes. So does who prefers them, and who can read nothing that we write.
2. Short answers stay as they are, unless the client refuses just that: what fits one packet gains nothing.
3. Compressing costs about 4 ns a byte: long answers are compressed in a thread.
4. Both at their fastest: the next level takes half as long again for a hundredth of the size.
"""

import threading
from functools import lru_cache
from typing import NamedTuple

from isal import isal_zlib
from zstandard import ZstdCompressor

LEAST_BYTES = 1_400
"""Of an answer that is compressed."""

MOST_BYTES_AT_ONCE = 32 * 1024
"""Of one that is compressed on the event loop."""

_LEVEL = 1
_GZIP_WINDOW = 31
_LONGEST_REMEMBERED = 128
_IDENTITY = b"identity"
_ALL = b"*"
_DEFAULT_WEIGHT = 1.0


class Coding(NamedTuple):
    """How a client wants its answers."""

    name: bytes
    is_forced: bool
    """True if it refuses plain bytes, however few."""

    @property
    def header(self) -> tuple[bytes, bytes]:
        """What says so in an answer."""
        return b"content-encoding", self.name


def coding_of(accept_encoding: bytes | None) -> Coding | None:
    """Return how an answer is to be compressed for a request with this header; None if it is not."""
    if accept_encoding is None:
        return None
    if len(accept_encoding) > _LONGEST_REMEMBERED:
        return _choose(accept_encoding)
    return _choose_once(accept_encoding)


def compress(coding: Coding, payload: bytes) -> bytes | None:
    """Return the bytes in that coding, or None if they are better left as they are; any thread may call this."""
    if len(payload) < LEAST_BYTES and not coding.is_forced:
        return None
    compressed = _zstd().compress(payload) if coding.name == b"zstd" else _gzip(payload)
    return compressed if coding.is_forced or len(compressed) < len(payload) else None


def _choose(accept_encoding: bytes) -> Coding | None:
    weights: dict[bytes, float] = {}
    for member in accept_encoding.lower().split(b","):
        name, _, parameter = member.partition(b";")
        weight = _weight(parameter)
        if weight is not None:
            weights[name.strip().removeprefix(b"x-")] = weight
    others = weights.get(_ALL, 0.0)
    # Plain bytes are acceptable unless they are refused, and come last unless they are asked for.
    plain = weights.get(_IDENTITY)
    best, weight = max(((name, weights.get(name, others)) for name in (b"zstd", b"gzip")), key=lambda pair: pair[1])
    if not weight or (plain is not None and plain > weight):
        return None
    return Coding(best, is_forced=plain == 0 or (plain is None and weights.get(_ALL) == 0))


_choose_once = lru_cache(256)(_choose)


def _weight(parameter: bytes) -> float | None:
    """Return the weight that stands beside a coding; None if it is none."""
    if not parameter.strip():
        return _DEFAULT_WEIGHT
    name, _, digits = parameter.strip().partition(b"=")
    whole, _, rest = digits.partition(b".")
    is_weight = name.strip() == b"q" and whole in (b"0", b"1") and (not rest or rest.isdigit())
    return min(float(digits), 1.0) if is_weight else None


class _Compressors(threading.local):
    def __init__(self) -> None:
        self.zstd = ZstdCompressor(level=_LEVEL)


_COMPRESSORS = _Compressors()


def _zstd() -> ZstdCompressor:
    return _COMPRESSORS.zstd


def _gzip(payload: bytes) -> bytes:
    return isal_zlib.compress(payload, _LEVEL, _GZIP_WINDOW)
