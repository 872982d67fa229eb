"""Our own application, called in this process as a server would call it (ASGI 3)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.client.transport import Body, Response

ACTOR = "sardonyx.actor"
"""The key of a scope under which whoever calls the application in process says who acts."""

Message = MutableMapping[str, Any]
Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class LocalTransport:
    """One event loop for all requests of one command; used by one thread.

    Args:
        application: is started here, and ended by ``close``.
        actor: who acts, for the history.
    """

    def __init__(self, application: Application, *, actor: str) -> None:
        self._application = application
        self._actor = actor
        self._runner = asyncio.Runner()
        self._life = _Life()
        try:
            self._runner.run(self._life.start(application))
        except BaseException:
            self._runner.close()
            raise

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: Body = None,
        content_length: int | None = None,
        is_repeatable: bool = False,  # noqa: ARG002 - nothing can be lost on the way that would have to be repeated
    ) -> Response:
        """Call the application and return its answer; see Transport."""
        sent = {"host": "localhost", "accept": "application/json", **headers}
        chunks = iter(()) if body is None else iter((body,)) if isinstance(body, bytes) else iter(body)
        if body is not None:
            sent["content-length"] = str(len(body) if isinstance(body, bytes) else content_length)
        return self._runner.run(_Exchange(chunks).run(self._application, self._scope(method, path, sent)))

    def close(self) -> None:
        """End the application and close the event loop."""
        try:
            self._runner.run(self._life.end())
        finally:
            self._runner.close()

    def _scope(self, method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        return _scope(method, path, headers) | {ACTOR: self._actor}


class _Life:
    """The application's lifespan, held open between its two messages."""

    def __init__(self) -> None:
        self._is_over = asyncio.Event()
        self._is_started = asyncio.Event()
        self._received = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self, application: Application) -> None:
        """Return once the application has started; raises what kept it from starting."""

        async def live() -> None:
            await application({"type": "lifespan", "asgi": {"version": "3.0"}}, self._receive, self._send)

        self._task = asyncio.create_task(live())
        started = asyncio.create_task(self._is_started.wait())
        await asyncio.wait((self._task, started), return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            started.cancel()
            await self._task

    async def end(self) -> None:
        """Return once the application has ended."""
        self._is_over.set()
        if self._task is not None:
            await self._task

    async def _receive(self) -> Message:
        self._received += 1
        if self._received == 1:
            return {"type": "lifespan.startup"}
        await self._is_over.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._is_started.set()


class _Exchange:
    """One request and its answer."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._has_sent_all = False
        self._is_answered = asyncio.Event()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    async def run(self, application: Application, scope: dict[str, Any]) -> Response:
        """Call the application; an error after its answer has begun to arrive is its own business."""
        try:
            await application(scope, self._receive, self._send)
        except Exception:
            if not self._is_answered.is_set():
                raise
        return Response(status=self._status, headers=self._headers, body=b"".join(self._body))

    async def _receive(self) -> Message:
        if self._has_sent_all:
            await self._is_answered.wait()
            return {"type": "http.disconnect"}
        chunk = next(self._chunks, None)
        self._has_sent_all = chunk is None
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in _pairs(message)}
        elif message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._is_answered.set()


def _pairs(message: Message) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]


def _scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    parts = urlsplit(path)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode("ascii"),
        "query_string": parts.query.encode("ascii"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
    }
