"""Reading a body without ever holding more of it than its cap.

1. A Content-Length over the cap is refused before a byte is read.
2. What comes in chunks is counted while it comes, and inflated only up to the cap.
3. After a refusal the rest is left unread: the server closes the connection.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from registry.errors import BodyTooLarge, UndecodableBody, UnsupportedEncoding, UnsupportedMediaType
from registry.names import quoted

_INFLATED = (b"gzip", b"deflate")

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Scope: TypeAlias = MutableMapping[str, Any]

_EITHER_WINDOW = 47
"""zlib finds out itself whether a body is gzip (RFC 1952) or, as HTTP's ``deflate`` is, its own format (RFC 1950)."""


class ClientGone(Exception):  # noqa: N818 - an event, not an error: nobody is left to answer
    """The client closed the connection before its request was complete."""


async def read_body(
    receive: Receive, *, limit_bytes: int, content_length: bytes | None, content_encoding: bytes | None
) -> bytes:
    """Return the whole body, inflated.

    Raises:
        BodyTooLarge: it is longer than ``limit_bytes``, as sent or inflated.
        UnsupportedEncoding: the encoding is neither gzip, deflate nor identity.
        UndecodableBody: it says gzip or deflate and is neither.
        ClientGone: the client left.
    """
    encoding = (content_encoding or b"").strip().lower()
    if encoding not in (b"", b"identity", *_INFLATED):
        raise UnsupportedEncoding(f"{quoted(encoding.decode('latin-1'))} is not supported: send gzip or plain bytes")
    check_length(content_length, limit_bytes)
    body = await _read_whole(receive, limit_bytes)
    if encoding not in _INFLATED:
        return body
    return await asyncio.to_thread(inflate, body, limit_bytes)  # a few kilobytes may be megabytes


def check_length(content_length: bytes | None, limit_bytes: int) -> None:
    """Refuse a body that says itself that it is too long.

    Raises:
        BodyTooLarge: it is longer than ``limit_bytes``.
    """
    if content_length is not None and content_length.isdigit() and int(content_length) > limit_bytes:
        raise _too_large(limit_bytes)


async def _read_whole(receive: Receive, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:  # known before the next part is waited for: it may never come
            raise _too_large(limit_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def inflate(body: bytes, limit_bytes: int) -> bytes:
    """Return what a compressed body holds, stopping at the cap.

    Raises:
        BodyTooLarge: it holds more.
        UndecodableBody: it is not compressed, or cut short.
    """
    inflater = zlib.decompressobj(_EITHER_WINDOW)
    try:
        plain = inflater.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise UndecodableBody("the body says that it is compressed, but cannot be inflated") from error
    if len(plain) > limit_bytes:
        raise _too_large(limit_bytes)
    if not inflater.eof or inflater.unused_data:
        raise UndecodableBody("the body says that it is compressed, but is cut short or followed by something else")
    return plain


def check_json_type(content_type: bytes | None) -> None:
    """Accept JSON, with or without parameters, and a body that says nothing about its type.

    Raises:
        UnsupportedMediaType: it says that it is something else.
    """
    if content_type is None or content_type == b"application/json":
        return
    if content_type.split(b";", 1)[0].strip().lower() != b"application/json":
        given = quoted(content_type.decode("latin-1"))
        raise UnsupportedMediaType(f"{given} is not supported here: send Content-Type: application/json")


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body may have at most {limit_bytes} bytes")
