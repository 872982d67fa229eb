import asyncio
import gzip
import zlib
from collections.abc import Iterable

import pytest

from gateway.web.limits import ClientGone, Message, check_json_type, read_body
from registry.errors import BodyTooLarge, UndecodableBody, UnsupportedEncoding, UnsupportedMediaType

GZIPPED = gzip.compress(b"12345", mtime=0)
"""Without the time of day: the name of a test that it is part of must be the same in every process."""


class Sender:
    """The receiving end of ASGI, fed from a list."""

    def __init__(self, chunks: Iterable[bytes], *, is_cut: bool = False) -> None:
        self._chunks = list(chunks)
        self._is_cut = is_cut
        self.taken = 0

    async def receive(self) -> Message:
        if self.taken == len(self._chunks):
            return {"type": "http.disconnect"}
        self.taken += 1
        is_last = self.taken == len(self._chunks) and not self._is_cut
        return {"type": "http.request", "body": self._chunks[self.taken - 1], "more_body": not is_last}


def read(sender: Sender, *, limit: int = 10, length: bytes | None = None, encoding: bytes | None = None) -> bytes:
    return asyncio.run(read_body(sender.receive, limit_bytes=limit, content_length=length, content_encoding=encoding))


@pytest.mark.parametrize("chunks", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
def test_a_body_within_the_cap_is_read_whole(chunks: list[bytes]) -> None:
    assert read(Sender(chunks)) == b"".join(chunks)


def test_a_content_length_over_the_cap_is_refused_before_a_byte_is_read() -> None:
    sender = Sender([b"x" * 11])
    with pytest.raises(BodyTooLarge):
        read(sender, length=b"11")
    assert sender.taken == 0


def test_chunks_are_counted_and_reading_stops_at_the_cap() -> None:
    sender = Sender([b"12345"] * 100)
    with pytest.raises(BodyTooLarge):
        read(sender)
    assert sender.taken == 3


def test_a_first_chunk_over_the_cap_is_refused_whether_or_not_another_comes() -> None:
    sender = Sender([b"x" * 11, b""])
    with pytest.raises(BodyTooLarge):
        read(sender)
    assert sender.taken == 1


def test_gzip_is_inflated() -> None:
    assert read(Sender([gzip.compress(b"12345")]), limit=100, encoding=b"gzip") == b"12345"


def test_deflate_is_inflated_too() -> None:
    assert read(Sender([zlib.compress(b"12345")]), limit=100, encoding=b"deflate") == b"12345"


def test_gzip_is_inflated_only_up_to_the_cap() -> None:
    with pytest.raises(BodyTooLarge):
        read(Sender([gzip.compress(bytes(10_000_000))]), limit=20_000, encoding=b"GZIP")


@pytest.mark.parametrize("body", [b"not gzip at all", GZIPPED[:-4], GZIPPED + b"more"])
def test_what_is_not_whole_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(UndecodableBody):
        read(Sender([body]), limit=100, encoding=b"gzip")


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, gzip", b"\xff"])
def test_other_encodings_are_refused(encoding: bytes) -> None:
    with pytest.raises(UnsupportedEncoding):
        read(Sender([b"x"]), encoding=encoding)


def test_a_client_that_leaves_in_the_middle_is_noticed() -> None:
    with pytest.raises(ClientGone):
        read(Sender([b"1", b"2"], is_cut=True))


@pytest.mark.parametrize("given", [None, b"application/json", b"Application/JSON; charset=utf-8"])
def test_json_and_silence_about_the_type_are_accepted(given: bytes | None) -> None:
    check_json_type(given)


@pytest.mark.parametrize("given", [b"text/plain", b"", b"application/x-www-form-urlencoded", b"application/jsonx"])
def test_other_types_are_refused(given: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_json_type(given)
