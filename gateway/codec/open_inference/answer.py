"""Answers to infer requests: JSON, and after it the outputs that were asked for as bytes."""

from collections.abc import Sequence
from typing import NamedTuple

import ml_dtypes
import numpy as np
import orjson

from gateway.codec.body import Array
from gateway.codec.json_output import write_outputs
from gateway.codec.open_inference.reply import Reply
from gateway.codec.open_inference.words import Words
from gateway.codec.raw_tensors import write_raw
from registry.errors import OutputNotText

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_KEY_BYTES = len(b'{"":')


class Answer(NamedTuple):
    """The body of an answer."""

    payload: bytes
    header_bytes: int | None
    """How much of it is JSON; None if all of it is."""


class AnswerWriter:
    """Writes the answers of one version.

    Args:
        words: of the version.
    """

    def __init__(self, words: Words) -> None:
        self._begin = b'{"model_name":%b,"model_version":"%d",' % (orjson.dumps(words.model), words.number)
        self._heads = {
            name: b'{"name":%b,"datatype":"%b","shape":' % (orjson.dumps(name), datatype.encode())
            for name, datatype in words.output_datatypes.items()
        }
        self.names = tuple(words.output_datatypes)
        """What stands for all outputs."""

    def write(self, names: Sequence[str], arrays: Sequence[Array], *, reply: Reply, request_id: str | None) -> Answer:
        """Return the answer with these outputs.

        Args:
            names: of the outputs, each once.
            arrays: as many, in any memory layout.
            reply: which of them are bytes.
            request_id: the ``id`` of the request.

        Raises:
            OutputNotText: a string cannot be written in UTF-8.
        """
        outputs: list[bytes] = []
        tails: list[bytes] = []
        for name, array in zip(names, arrays, strict=True):
            shape = orjson.dumps(array.shape)
            if reply.wants_bytes(name):
                octets = _raw(array)
                tails.append(octets)
                outputs.append(b'%b%b,"parameters":{"binary_data_size":%d}}' % (self._heads[name], shape, len(octets)))
            else:
                outputs.append(b'%b%b,"data":%b}' % (self._heads[name], shape, _flat(array)))
        identity = b"" if request_id is None else b'"id":%b,' % orjson.dumps(request_id)
        head = b'%b%b"outputs":[%b]}' % (self._begin, identity, b",".join(outputs))
        return Answer(b"".join([head, *tails]), len(head)) if tails else Answer(head, None)


def _raw(array: Array) -> bytes:
    try:
        return write_raw(array)
    except UnicodeEncodeError as error:
        raise OutputNotText("an output of the model holds text that is not UTF-8") from error


def _flat(array: Array) -> bytes:
    """Return the elements as one list: a shape stands beside it."""
    row = array.reshape(-1)
    if row.dtype == _BFLOAT16:
        with np.errstate(invalid="ignore"):  # a NaN that signals is no news
            row = row.astype(np.float32)  # the shortest text that reads back to it does so in either type
    return write_outputs({"": row})[_KEY_BYTES:-1]
