"""Sardonyx's own predict route: JSON, or files of tensors, in and out."""

from collections.abc import Mapping, Sequence

from gateway.codec.json_tensors import PredictBody
from gateway.serving.runtime import Array
from gateway.web.endpoint import Endpoint
from gateway.web.media_types import choose_type, essence
from gateway.web.tensor_forms import JSON, KINDS, OUTPUTS_HEADER, TensorForm
from gateway.web.wire import LARGE_BYTES, Form, Written
from registry.errors import UnsupportedMediaType
from registry.names import quoted

_OFFERED = (JSON, *KINDS)
_PLAIN_TYPES = (None, JSON.encode("ascii"))
_PLAIN_ACCEPTS = (None, b"*/*", JSON.encode("ascii"))


class NativeWire:
    """The request's form is that of its Content-Type, the answer's what Accept likes best.

    Where Accept does not say, the answer has the form of the request.
    """

    def form(self, headers: Mapping[bytes, bytes]) -> Form:
        """Return the form that the headers ask for.

        Raises:
            UnsupportedMediaType: the body is of a type that cannot be read.
            NotAcceptable: none of the types that Accept names can be written.
        """
        content_type, accept = headers.get(b"content-type"), headers.get(b"accept")
        if content_type in _PLAIN_TYPES and accept in _PLAIN_ACCEPTS:
            return JSON_FORM
        taken = JSON if content_type is None else essence(content_type)
        if taken not in _OFFERED:
            given = quoted((content_type or b"").decode("latin-1"))
            raise UnsupportedMediaType(
                f"{given} is not supported here: send Content-Type: application/json, or {', '.join(KINDS)}"
            )
        given = choose_type(accept, (taken, *(kind for kind in _OFFERED if kind != taken)))
        return JSON_FORM if taken == given == JSON else TensorForm(JSON_FORM, taken, given, headers.get(OUTPUTS_HEADER))


class _JsonForm:
    quick_bytes = LARGE_BYTES

    def decode_quickly(self, endpoint: Endpoint, body: bytes) -> PredictBody | None:
        return endpoint.codec.decode_quickly(body)

    def decode(self, endpoint: Endpoint, body: bytes) -> PredictBody:
        return endpoint.codec.decode(body)

    def encode(self, endpoint: Endpoint, request: PredictBody, arrays: Sequence[Array]) -> Written:
        names = request.outputs or endpoint.output_names
        payload = endpoint.codec.encode(names, arrays, request_id=request.id)
        return Written(payload, [endpoint.headers[0]])


JSON_FORM = _JsonForm()
"""JSON in and out."""
