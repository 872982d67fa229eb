"""Sardonyx's own predict route."""

from collections.abc import Mapping, Sequence

from gateway.codec.json_tensors import PredictBody
from gateway.serving.runtime import Array
from gateway.web.endpoint import Endpoint
from gateway.web.limits import check_json_type
from gateway.web.wire import Form, Written


class NativeWire:
    """JSON in and out."""

    def form(self, headers: Mapping[bytes, bytes]) -> Form:
        """Return the form that the headers ask for.

        Raises:
            UnsupportedMediaType: the body is of a type that cannot be read.
        """
        check_json_type(headers.get(b"content-type"))
        return _JSON


class _JsonForm:
    def decode_quickly(self, endpoint: Endpoint, body: bytes) -> PredictBody | None:
        return endpoint.codec.decode_quickly(body)

    def decode(self, endpoint: Endpoint, body: bytes) -> PredictBody:
        return endpoint.codec.decode(body)

    def encode(self, endpoint: Endpoint, request: PredictBody, arrays: Sequence[Array]) -> Written:
        names = request.outputs or endpoint.output_names
        payload = endpoint.codec.encode(names, arrays, request_id=request.id)
        return Written(payload, [endpoint.headers[0]])


_JSON = _JsonForm()
