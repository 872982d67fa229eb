"""Which coding an answer has, by what its client says; and what it then is."""

import gzip
import os

import pytest
import zstandard

from gateway.web.compression import LEAST_BYTES, Coding, coding_of, compress

ZSTD, GZIP = Coding(b"zstd", is_forced=False), Coding(b"gzip", is_forced=False)
LONG = b'{"outputs":[0.125,0.25,0.5]}' * 100


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        (b"", None),
        (b"gzip", GZIP),
        (b"x-gzip", GZIP),
        (b"GZip ; Q=0.5", GZIP),
        (b"gzip, deflate, br, zstd", ZSTD),
        (b"gzip;q=1.0, zstd;q=0.9", GZIP),
        (b"gzip;q=0.5,zstd;q=0.5", ZSTD),
        (b"gzip;q=0", None),
        (b"zstd;q=0, gzip", GZIP),
        (b"deflate, br", None),
        (b"*", ZSTD),
        (b"*, zstd;q=0", GZIP),
        (b"*;q=0", None),
        (b"*;q=0, gzip;q=0.001", Coding(b"gzip", is_forced=True)),
        (b"identity", None),
        (b"identity, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip", GZIP),
        (b"identity;q=0.5, gzip;q=0.5", GZIP),
        (b"identity;q=0, gzip", Coding(b"gzip", is_forced=True)),
        (b"identity;q=0", None),
        (b"identity;q=0, *", Coding(b"zstd", is_forced=True)),
        (b"gzip;q=2, zstd;q=-1", None),
        (b"gzip;q=nan, zstd;q=", None),
        (b"gzip;level=9", None),
        (b"gzip;q=1.5", GZIP),
        (b",,;q=1," + b"br," * 100 + b"gzip", GZIP),
        (b"\xff;q=\xff", None),
    ],
)
def test_the_client_says_how_it_wants_its_answers(header: bytes | None, coding: Coding | None) -> None:
    assert coding_of(header) == coding


def test_what_is_compressed_is_read_back() -> None:
    in_zstd, in_gzip = compress(ZSTD, LONG), compress(GZIP, LONG)
    assert in_zstd is not None
    assert in_gzip is not None
    assert [zstandard.decompress(in_zstd), gzip.decompress(in_gzip)] == [LONG, LONG]
    assert max(len(in_zstd), len(in_gzip)) < len(LONG) / 10


@pytest.mark.parametrize("coding", [ZSTD, GZIP])
@pytest.mark.parametrize(
    "payload", [pytest.param(LONG[: LEAST_BYTES - 1], id="short"), pytest.param(os.urandom(4_096), id="dense")]
)
def test_what_would_gain_nothing_stays_as_it_is(coding: Coding, payload: bytes) -> None:
    assert compress(coding, payload) is None


def test_whoever_refuses_plain_bytes_gets_none_however_few() -> None:
    compressed = compress(Coding(b"gzip", is_forced=True), b"{}")
    assert compressed is not None
    assert gzip.decompress(compressed) == b"{}"
