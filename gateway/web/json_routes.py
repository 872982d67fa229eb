"""Control-plane routes whose body is JSON: bounded, and of the right type, before the framework looks at it.

The framework's own limit answers in plain text, and a body of another type reaches its validation as bytes.
"""

from fastapi import Request, Response

from gateway.web.guarded import GuardedRoute, Handler
from gateway.web.limits import Message, Receive, check_json_type, read_body
from registry.errors import UnsupportedMediaType

MAX_JSON_BYTES = 1024 * 1024
"""Of a control-plane body; no description, tags or list of files needs as much."""

MAX_EXAMPLE_JSON_BYTES = 16 * 1024 * 1024
"""Of a body that may hold golden examples: their tensors take several times as much in JSON as they are kept in."""


class JsonRoute(GuardedRoute):
    """A route that reads its body itself and hands it on whole."""

    limit_bytes = MAX_JSON_BYTES

    def make_handler(self) -> Handler:
        """Return the framework's handler behind our reading; of a route without a body, only that."""
        handle = super().make_handler()
        if self.body_field is None:
            return handle

        async def read_and_handle(request: Request) -> Response:
            body = await read_json_bytes(request, self.limit_bytes)
            return await handle(Request(request.scope, _whole(body, request.receive)))

        return read_and_handle


class ExampleRoute(JsonRoute):
    """A route whose body may hold golden examples."""

    limit_bytes = MAX_EXAMPLE_JSON_BYTES


async def read_json_bytes(request: Request, limit_bytes: int = MAX_JSON_BYTES) -> bytes:
    """Return the bytes of a body that says it is JSON, or is empty.

    Raises:
        BodyTooLarge, UnsupportedEncoding, UndecodableBody, ClientGone: from ``read_body``.
        UnsupportedMediaType: it says that it is something else, or nothing.
    """
    headers = {name: request.headers[name].encode("latin-1") for name in request.headers}
    body = await read_body(
        request.receive,
        limit_bytes=limit_bytes,
        content_length=headers.get("content-length"),
        content_encoding=headers.get("content-encoding"),
    )
    if body:
        if "content-type" not in headers:
            raise UnsupportedMediaType("the body's type is missing: send Content-Type: application/json")
        check_json_type(headers["content-type"])
    return body


def _whole(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body at once, and then what the server says."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_whole() -> Message:
        return messages.pop() if messages else await receive()

    return receive_whole
