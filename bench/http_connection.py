"""One keep-alive connection to a server, on this machine unless told where, as thin as asyncio allows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bench.servers import HOST

ANSWER_SECONDS = 60
JSON_BODY: Mapping[str, str] = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (names in lower case) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Opened when first used, and again after ``close``. One request at a time.

    ``request`` raises OSError or EOFError where the connection fails, TimeoutError after a minute.

    Args:
        port: of the server.
        token: presented with each request, if there is one.
        host: the server's address.
    """

    def __init__(self, port: int, token: str | None = None, *, host: str = HOST) -> None:
        self._host, self._port = host, port
        self._always = "" if token is None else f"authorization: Bearer {token}\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON_BODY
    ) -> Answer:
        async with asyncio.timeout(ANSWER_SECONDS):
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._host, self._port)
            reader, writer = self._streams
            named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"{method} {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\n{self._always}{named}"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            answer = await read_answer(reader)
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    @property
    def local_port(self) -> int | None:
        """Our end's port, after a failure too; None before the first use and after ``close``."""
        return None if self._streams is None else int(self._streams[1].get_extra_info("sockname")[1])

    @property
    def is_closed_by_peer(self) -> bool:
        """True if the server has ended it while nothing was asked."""
        reader = None if self._streams is None else self._streams[0]
        return reader is not None and (reader.at_eof() or reader.exception() is not None)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer, or raise EOFError where the connection ends before it does."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split(" ", 2)[1]), headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return body
