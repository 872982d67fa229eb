"""A whole gateway in this process, behind its real protocol class: bytes go in as they would come off a socket.

1. The transport is ours, so that what a callback of the protocol raises comes out where the bytes were fed.
2. After each piece the gateway gets the time that it needs: until all that has come is answered, or waits for more.
3. Whatever logs an error, answers with 500 or fails in a task of its own is a broken promise.
"""

import asyncio
import logging
import re
import time
import traceback
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
import uvicorn
import uvloop
from uvicorn.server import ServerState

from gateway.app import Application
from gateway.settings import load_settings
from gateway.web.fast_path import PredictProtocol
from tests.fuzz.target import BrokenPromiseError
from tests.support import models

MODELS = {
    "same": models.identity,
    "pair": models.two_inputs_one_symbol,
    "scalar": models.scalar_scale,
    "text": models.string_twice,
    "rows": models.linear,
    "optional": models.optional_bias,
}
"""All are promoted."""

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_PATIENCE_SECONDS = 30.0
_HUNGRY_TURNS = 4
_QUICK_TURNS = 30


class Gateway:
    """Takes connections, one after the other."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._mistakes: list[str] = []
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._take_failure)
        structlog.configure(processors=[self._take_event])
        logging.getLogger("uvicorn.error").handlers = [_Listening(self._mistakes)]
        settings = load_settings(data_dir=Path(self._folder.name) / "data", auth="off", allowed_hosts=None)
        self._config = uvicorn.Config(
            Application(settings, is_worker=False),
            http=PredictProtocol,
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self._config.load()
        self._state = ServerState()
        self._lifespan = self._config.lifespan_class(self._config)
        self._loop.run_until_complete(self._lifespan.startup())
        for name, make in MODELS.items():
            self._need(f"POST /registry/models/{name}/versions", "application/octet-stream", make().SerializeToString())
            self._need(f"PUT /registry/models/{name}/aliases/production", "application/json", b'{"version": 1}')

    def converse(self, pieces: Sequence[bytes]) -> bytes:
        """Send pieces on a connection of their own, and return all that came back.

        Raises:
            BrokenPromiseError: something went wrong that no caller may bring about.
        """
        answered = self._loop.run_until_complete(self._converse(pieces))
        if b"500" in _STATUS.findall(answered):
            self._mistakes.append(f"it was answered with 500: {answered[:2000]!r}")
        if self._mistakes:
            mistakes, self._mistakes[:] = "\n".join(self._mistakes), []
            raise BrokenPromiseError(mistakes)
        return answered

    def close(self) -> None:
        """End the gateway."""
        self._loop.run_until_complete(self._lifespan.shutdown())
        self._folder.cleanup()

    async def _converse(self, pieces: Sequence[bytes]) -> bytes:
        protocol, transport = PredictProtocol(self._config, self._state, {}, _loop=self._loop), _Transport()
        protocol.connection_made(transport)
        for piece in pieces:
            protocol.data_received(piece)
            await self._settle(protocol, transport)
            if transport.is_closing():
                break
        protocol.connection_lost(None)
        until = time.monotonic() + _PATIENCE_SECONDS
        while self._state.tasks:
            await asyncio.sleep(0.001)
            if time.monotonic() > until:
                raise BrokenPromiseError("a task goes on although its client has left")
        return b"".join(transport.written)

    async def _settle(self, protocol: PredictProtocol, transport: "_Transport") -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        turns = hungry = 0
        while not transport.is_closing():
            turns += 1
            await asyncio.sleep(0 if turns < _QUICK_TURNS else 0.001)
            cycle: Any = protocol.cycle
            is_answered = cycle is None or cycle.response_complete
            if is_answered and protocol._asked is None and not protocol.pipeline:
                return
            hungry += not is_answered and cycle.more_body and not cycle.body
            if hungry > _HUNGRY_TURNS:
                return
            if time.monotonic() > until:
                raise BrokenPromiseError("no answer came")

    def _need(self, line: str, content_type: str, body: bytes) -> None:
        head = (
            f"{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        answer = self.converse([head.encode() + body])
        if not answer.startswith(b"HTTP/1.1 20"):
            raise BrokenPromiseError(answer.decode("latin-1"))

    def _take_event(self, _: object, method: str, event: MutableMapping[str, Any]) -> str:
        if method in ("error", "exception", "critical"):
            error = event.get("exc_info")
            story = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else str(event)
            self._mistakes.append(story)
        raise structlog.DropEvent

    def _take_failure(self, _: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._mistakes.append("".join(traceback.format_exception(error)) if error else str(context))


class _Listening(logging.Handler):
    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._mistakes = mistakes

    def emit(self, record: logging.LogRecord) -> None:
        self._mistakes.append(logging.Formatter().format(record))


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000), "sockname": ("127.0.0.1", 8000)})
        self.written: list[bytes] = []
        self._is_closing = False

    def write(self, data: Any) -> None:
        if not self._is_closing:
            self.written.append(bytes(data))

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def is_closing(self) -> bool:
        return self._is_closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass
