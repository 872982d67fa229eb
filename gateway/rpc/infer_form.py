"""How a ModelInferRequest comes in and its answer goes out: a form like those of the other dialects."""

from collections.abc import Sequence
from typing import Final

from gateway.codec.body import Array, PredictBody
from gateway.codec.open_inference.words import Words
from gateway.codec.raw_tensors import write_raw
from gateway.rpc.infer_request import read_request
from gateway.rpc.outline import Outline, write_varint
from gateway.rpc.schema import message_class
from gateway.web.endpoint import Endpoint
from gateway.web.wire import QUICK_BINARY_BYTES, Written
from registry.errors import OutputNotText

_RESPONSE: Final = message_class("ModelInferResponse")
_QUICK_BYTES: Final = 16 * 1024
"""So much of what is read element by element, typed contents and text, takes about a millisecond or two."""
_RAW_OUTPUT: Final = b"\x32"
"""How an entry of ``raw_output_contents`` begins: the field's number and that it is counted."""


class InferForm:
    """The form of one request.

    Args:
        outline: of its message.
    """

    quick_bytes = QUICK_BINARY_BYTES

    def __init__(self, outline: Outline) -> None:
        self._outline = outline

    def decode_quickly(self, endpoint: Endpoint, body: bytes) -> PredictBody | None:
        """Return what the request says, None if others cannot wait for that; raises what ``decode`` raises."""
        words = endpoint.compiled(Words)
        counted_bytes = len(body) if words.has_texts else len(self._outline.head)
        return None if counted_bytes > _QUICK_BYTES else read_request(words, self._outline)

    def decode(self, endpoint: Endpoint, body: bytes) -> PredictBody:  # noqa: ARG002 - the outline has it
        """Return what the request says; raises what ``read_request`` raises."""
        return read_request(endpoint.compiled(Words), self._outline)

    def encode(self, endpoint: Endpoint, request: PredictBody, arrays: Sequence[Array]) -> Written:
        """Return the answer; its tensors are raw, as Triton's are.

        Raises:
            OutputNotText: a string is not text that UTF-8 can carry.
        """
        words = endpoint.compiled(Words)
        response = _RESPONSE(model_name=words.model, model_version=str(words.number), id=request.id or "")
        tails: list[bytes] = []
        for name, array in zip(request.outputs or endpoint.output_names, arrays, strict=True):
            response.outputs.add(name=name, datatype=words.output_datatypes[name], shape=array.shape)
            octets = _raw(array)
            tails += (_RAW_OUTPUT, write_varint(len(octets)), octets)
        return Written(b"".join([response.SerializeToString(), *tails]), [])


def _raw(array: Array) -> bytes:
    try:
        return write_raw(array)
    except UnicodeEncodeError as error:
        raise OutputNotText("an output of the model holds text that is not UTF-8") from error
