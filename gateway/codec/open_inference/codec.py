"""The Open Inference Protocol for one version, compiled once."""

from collections.abc import Sequence

from gateway.codec.body import Array, PredictBody
from gateway.codec.open_inference.answer import Answer, AnswerWriter
from gateway.codec.open_inference.quick import QuickDecoder
from gateway.codec.open_inference.reply import JSON
from gateway.codec.open_inference.request import decode_exactly, split
from gateway.codec.open_inference.words import Words
from registry.records import Version


class OpenInferenceCodec:
    """Reads the infer requests of one version and writes their answers; any number of threads may use it.

    Args:
        version: whose signature the requests are to fit.
    """

    def __init__(self, version: Version) -> None:
        self.words = Words(version)
        self._quick = QuickDecoder(self.words)
        self._writer = AnswerWriter(self.words)

    def decode_quickly(self, body: bytes, header_bytes: int | None) -> PredictBody | None:
        """Return what a plain body says, or None if it takes ``decode`` to tell that, or what is wrong with it."""
        if header_bytes == 0 or (header_bytes is not None and header_bytes > len(body)):
            return None
        return self._quick.decode(*split(body, header_bytes))

    def decode(self, body: bytes, header_bytes: int | None) -> PredictBody:
        """Return what a body says; raises what ``decode_exactly`` raises."""
        decoded = self.decode_quickly(body, header_bytes)
        return decode_exactly(self.words, body, header_bytes) if decoded is None else decoded

    def encode(self, request: PredictBody, arrays: Sequence[Array]) -> Answer:
        """Return the answer with the outputs that the request asks for.

        Raises:
            OutputNotText: a string is not text that UTF-8 can carry.
        """
        names = self._writer.names if request.outputs is None else request.outputs
        return self._writer.write(names, arrays, reply=request.reply or JSON, request_id=request.id)
