"""The predict route of TensorFlow Serving's REST, which is that of KServe's version 1."""

from collections.abc import Mapping, Sequence

from gateway.codec import tensorflow_answers, tensorflow_bodies
from gateway.codec.body import PredictBody
from gateway.serving.runtime import Array
from gateway.web.endpoint import Endpoint
from gateway.web.limits import check_json_type
from gateway.web.wire import LARGE_BYTES, Form, Written

_AS_CURL_HAS_IT = b"application/x-www-form-urlencoded"


class TensorflowWire:
    """JSON in and out, by rows or by columns."""

    def form(self, headers: Mapping[bytes, bytes]) -> Form:
        """Return the form of every request.

        Raises:
            UnsupportedMediaType: the body is of a type that cannot be read.
        """
        given = headers.get(b"content-type")
        if given != _AS_CURL_HAS_IT:  # of whatever ``curl -d`` sends; all examples of that server are so
            check_json_type(given)
        return _JSON


class _JsonForm:
    quick_bytes = LARGE_BYTES

    def decode_quickly(self, endpoint: Endpoint, body: bytes) -> PredictBody | None:
        return tensorflow_bodies.decode_quickly(endpoint.version.signature, endpoint.codec, body)

    def decode(self, endpoint: Endpoint, body: bytes) -> PredictBody:
        decoded = self.decode_quickly(endpoint, body)
        if decoded is not None:
            return decoded
        return tensorflow_bodies.decode(endpoint.version.signature, endpoint.codec, body)

    def encode(self, endpoint: Endpoint, request: PredictBody, arrays: Sequence[Array]) -> Written:
        outputs = dict(zip(endpoint.output_names, arrays, strict=True))
        if request.reply is None:
            payload = tensorflow_answers.write_columns(outputs)
        else:
            payload = tensorflow_answers.write_predictions(outputs, request.reply)
        return Written(payload, [endpoint.headers[0]])


_JSON = _JsonForm()
