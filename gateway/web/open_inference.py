"""The infer route of the Open Inference Protocol, version 2, as Triton's and KServe's clients call it."""

from collections.abc import Mapping, Sequence

from gateway.codec.body import PredictBody
from gateway.codec.open_inference.codec import OpenInferenceCodec
from gateway.serving.runtime import Array
from gateway.web.endpoint import Endpoint
from gateway.web.wire import LARGE_BYTES, QUICK_BINARY_BYTES, Form, Written
from registry.errors import InvalidRequest, UnsupportedMediaType
from registry.names import quoted

HEADER_BYTES = b"inference-header-content-length"
"""The header that says how much of a body is JSON."""

_TYPES = (b"application/json", b"application/octet-stream")
_LONGEST_NUMBER = 18
_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")


class OpenInferenceWire:
    """JSON, bytes after JSON, or bytes alone; what the type says does not matter, since not all clients send one."""

    def form(self, headers: Mapping[bytes, bytes]) -> Form:
        """Return the form of a request with these headers.

        Raises:
            UnsupportedMediaType: the body is of a type that the protocol does not have.
            InvalidRequest: the length of its JSON is no number.
        """
        content_type = headers.get(b"content-type")
        if content_type is not None and content_type.split(b";", 1)[0].strip().lower() not in _TYPES:
            given = quoted(content_type.decode("latin-1"))
            raise UnsupportedMediaType(f"{given} is not supported here: send application/json or {_BINARY[1].decode()}")
        length = headers.get(HEADER_BYTES)
        if length is None:
            return _ALL_JSON
        if not length.isdigit() or len(length) > _LONGEST_NUMBER:
            given = quoted(length.decode("latin-1"))
            raise InvalidRequest(f"Inference-Header-Content-Length is the number of bytes of the JSON, not {given}")
        return _Form(int(length))


class _Form:
    """Args: header_bytes: how much of the body is JSON; None if all of it is."""

    def __init__(self, header_bytes: int | None) -> None:
        self._header_bytes = header_bytes
        self.quick_bytes = LARGE_BYTES if header_bytes is None else QUICK_BINARY_BYTES

    def decode_quickly(self, endpoint: Endpoint, body: bytes) -> PredictBody | None:
        codec = endpoint.compiled(OpenInferenceCodec)
        return None if self._takes_long(codec, body) else codec.decode_quickly(body, self._header_bytes)

    def decode(self, endpoint: Endpoint, body: bytes) -> PredictBody:
        return endpoint.compiled(OpenInferenceCodec).decode(body, self._header_bytes)

    def encode(self, endpoint: Endpoint, request: PredictBody, arrays: Sequence[Array]) -> Written:
        answer = endpoint.compiled(OpenInferenceCodec).encode(request, arrays)
        if answer.header_bytes is None:
            return Written(answer.payload, [_JSON])
        return Written(answer.payload, [_BINARY, (HEADER_BYTES, b"%d" % answer.header_bytes)])

    def _takes_long(self, codec: OpenInferenceCodec, body: bytes) -> bool:
        """True if a body is short for bytes of numbers, but has more JSON or text in it than others can wait for."""
        if self._header_bytes is None:
            return False
        tail_bytes = len(body) - self._header_bytes
        return self._header_bytes > LARGE_BYTES or (codec.words.has_texts and tail_bytes > LARGE_BYTES)


_ALL_JSON = _Form(None)
