"""How each server is asked, and how its answer is read: the same numbers in the JSON that is its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from bench.models import Question

CLOSE = 1e-5
_DATATYPES = {"float32": "FP32"}

Array = np.ndarray[Any, Any]


class WrongAnswerError(Exception):
    """A server answered something else than the model does."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Both directions: an array to a body, and a body to nested lists by output."""

    encode: Callable[[Array], bytes]
    decode: Callable[[bytes], Mapping[str, Any]]


def _encode_lists(x: Array) -> bytes:
    return orjson.dumps({"inputs": x}, option=orjson.OPT_SERIALIZE_NUMPY)


def _encode_open_inference(x: Array) -> bytes:
    tensor = {"name": "x", "shape": x.shape, "datatype": _DATATYPES[str(x.dtype)], "data": x.ravel()}
    return orjson.dumps({"inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)


def _decode_open_inference(body: bytes) -> Mapping[str, Any]:
    return {output["name"]: output["data"] for output in orjson.loads(body)["outputs"]}


def _decode_rows(body: bytes) -> Mapping[str, Any]:
    rows = orjson.loads(body)
    return {name: [value for row in rows for value in row[name]] for name in rows[0]}


SARDONYX = Wire(_encode_lists, lambda body: orjson.loads(body)["outputs"])
LISTS = Wire(_encode_lists, orjson.loads)
OPEN_INFERENCE = Wire(_encode_open_inference, _decode_open_inference)
ROWS = Wire(_encode_lists, _decode_rows)


def compare(received: Mapping[str, Any], question: Question, *, exactly: bool) -> None:
    """Raise WrongAnswerError unless every output is the runtime's: to the last bit, or within 1e-5."""
    for name, expected in question.outputs.items():
        try:
            array = np.array(received[name], expected.dtype).reshape(expected.shape)
        except (KeyError, TypeError, ValueError) as error:
            raise WrongAnswerError(f"output {name}: {received}") from error
        is_same = array.tobytes() == expected.tobytes()
        if not is_same and (exactly or not np.allclose(array, expected, rtol=CLOSE, atol=CLOSE)):
            raise WrongAnswerError(f"output {name}: {array.tolist()} instead of {expected.tolist()}")
