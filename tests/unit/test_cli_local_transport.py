"""An application called in this process gets what a server would give it."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.cli.local_transport import ACTOR, LocalTransport
from gateway.client import Response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = Callable[[Message, Receive, Send], Awaitable[None]]


class Application:
    """A small application with a life: it starts, gives one kind of answer, and ends."""

    def __init__(self, answer: Answer, *, can_start: bool = True) -> None:
        self._answer = answer
        self._can_start = can_start
        self.is_alive = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
            return
        assert (await receive()) == {"type": "lifespan.startup"}
        if not self._can_start:
            raise LookupError("no database")
        self.is_alive = True
        await send({"type": "lifespan.startup.complete"})
        assert (await receive()) == {"type": "lifespan.shutdown"}
        self.is_alive = False
        await send({"type": "lifespan.shutdown.complete"})


@contextmanager
def calling(answer: Answer) -> Iterator[LocalTransport]:
    transport = LocalTransport(Application(answer), actor="alice")
    try:
        yield transport
    finally:
        transport.close()


async def mirror(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with the parts of the request, in two pieces, and then wait for the other side to go."""
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    headers = sorted(scope["headers"])
    parts = (scope["method"], scope["path"], scope["raw_path"], scope["query_string"], headers, body, scope[ACTOR])
    await send({"type": "http.response.start", "status": 203, "headers": [(b"X-Kind", b"mirror")]})
    await send({"type": "http.response.body", "body": repr(parts).encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"!"})
    assert (await receive()) == {"type": "http.disconnect"}


async def fail_after_answering(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})
    raise LookupError("reported to the log")


async def fail_before_answering(scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    raise LookupError("a bug")


def test_a_request_arrives_whole_and_the_answer_comes_back_whole() -> None:
    with calling(mirror) as transport:
        response = transport.request(
            "PUT", "/a%20b?c=%20d", headers={"X-Y": "z"}, body=iter([b"one", b"two"]), content_length=6
        )

    headers = [(b"accept", b"application/json"), (b"content-length", b"6"), (b"host", b"localhost"), (b"x-y", b"z")]
    parts = ("PUT", "/a b", b"/a%20b", b"c=%20d", headers, b"onetwo", "alice")
    assert response == Response(status=203, headers={"x-kind": "mirror"}, body=repr(parts).encode() + b"!")


def test_requests_without_a_body_and_one_after_another_are_fine() -> None:
    with calling(mirror) as transport:
        answers = [transport.request("GET", "/", headers={}) for _ in range(3)]

    assert [answer.status for answer in answers] == [203, 203, 203]


def test_an_error_after_the_answer_belongs_to_the_log() -> None:
    with calling(fail_after_answering) as transport:
        assert transport.request("GET", "/", headers={}) == Response(status=500, headers={}, body=b"{}")


def test_an_error_without_an_answer_is_not_hidden() -> None:
    with calling(fail_before_answering) as transport, pytest.raises(LookupError):
        transport.request("GET", "/", headers={})


def test_the_application_lives_from_the_beginning_to_the_close() -> None:
    application = Application(mirror)

    transport = LocalTransport(application, actor="alice")
    was_alive = application.is_alive
    transport.close()

    assert (was_alive, application.is_alive) == (True, False)


def test_what_keeps_the_application_from_starting_is_raised() -> None:
    with pytest.raises(LookupError, match="no database"):
        LocalTransport(Application(mirror, can_start=False), actor="alice")
