"""An application called in this process gets what a server would give it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from gateway.cli.local_transport import LocalTransport
from gateway.client import Response

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def mirror(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with the parts of the request, in two pieces, and then wait for the other side to go."""
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    headers = sorted(scope["headers"])
    parts = (scope["method"], scope["path"], scope["raw_path"], scope["query_string"], headers, body)
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
    transport = LocalTransport(mirror)
    try:
        response = transport.request(
            "PUT", "/a%20b?c=%20d", headers={"X-Y": "z"}, body=iter([b"one", b"two"]), content_length=6
        )
    finally:
        transport.close()

    headers = [(b"accept", b"application/json"), (b"content-length", b"6"), (b"host", b"localhost"), (b"x-y", b"z")]
    parts = ("PUT", "/a b", b"/a%20b", b"c=%20d", headers, b"onetwo")
    assert response == Response(status=203, headers={"x-kind": "mirror"}, body=repr(parts).encode() + b"!")


def test_requests_without_a_body_and_one_after_another_are_fine() -> None:
    transport = LocalTransport(mirror)
    try:
        answers = [transport.request("GET", "/", headers={}) for _ in range(3)]
    finally:
        transport.close()

    assert [answer.status for answer in answers] == [203, 203, 203]


def test_an_error_after_the_answer_belongs_to_the_log() -> None:
    transport = LocalTransport(fail_after_answering)
    try:
        assert transport.request("GET", "/", headers={}) == Response(status=500, headers={}, body=b"{}")
    finally:
        transport.close()


def test_an_error_without_an_answer_is_not_hidden() -> None:
    transport = LocalTransport(fail_before_answering)
    try:
        with pytest.raises(LookupError):
            transport.request("GET", "/", headers={})
    finally:
        transport.close()
