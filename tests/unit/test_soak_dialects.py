"""What the soak reads off an answer is the answer, in every dialect."""

import io

import numpy as np
import orjson
import pytest

from bench.http_connection import Answer
from bench.soak_dialects import DIALECTS, HEAD_LENGTH, Dialect, Told, rpc_request, told_by_rpc
from gateway.rpc.schema import message_class

OUTPUT = np.array([[0.1, -0.0, 1e38]], np.float32)
HEADERS = {"x-model-version": "3", "x-model-digest": "sha256:ab"}
BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def _npy() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, OUTPUT, allow_pickle=False)
    return file.getvalue()


NATIVE = orjson.dumps({"model": "soak-0", "version": 3, "outputs": {"y": OUTPUT.tolist()}})
NAMED = {"model_name": "soak-0", "model_version": "3"}
BINARY_HEAD = orjson.dumps(NAMED | {"outputs": [{"name": "y"}]})
ANSWERS = {
    "native JSON": (NATIVE, "soak-0", "3"),
    "native JSON, gzip": (NATIVE, "soak-0", "3"),
    "npy": (_npy(), None, None),
    "OIP JSON": (orjson.dumps(NAMED | {"outputs": [{"name": "y", "data": OUTPUT.ravel().tolist()}]}), "soak-0", "3"),
    "OIP binary": (BINARY_HEAD + OUTPUT.tobytes(), "soak-0", "3"),
    "TensorFlow": (orjson.dumps({"predictions": OUTPUT.tolist()}), None, None),
}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_bit_is_read(dialect: Dialect) -> None:
    body, model, version = ANSWERS[dialect.name]
    told = dialect.told(Answer(200, HEADERS | {HEAD_LENGTH: str(len(BINARY_HEAD))}, body))
    assert told == Told(
        version="3", digest="sha256:ab", output=OUTPUT.tobytes(), body_model=model, body_version=version
    )


def test_the_head_of_a_binary_question_is_as_long_as_its_header_says() -> None:
    dialect = BY_NAME["OIP binary"]
    body, length = dialect.encode(OUTPUT), int(dialect.head(OUTPUT)[HEAD_LENGTH])
    assert (orjson.loads(body[:length])["inputs"][0]["shape"], body[length:]) == ([1, 3], OUTPUT.tobytes())


def test_every_bit_is_read_over_grpc() -> None:
    answer = message_class("ModelInferResponse")(model_name="soak-0", model_version="3")
    answer.raw_output_contents.append(OUTPUT.tobytes())
    assert told_by_rpc(answer, HEADERS) == Told(
        version="3", digest="sha256:ab", output=OUTPUT.tobytes(), body_model="soak-0", body_version="3"
    )


def test_a_question_over_grpc_has_its_bytes() -> None:
    request = rpc_request("soak-0", OUTPUT)
    assert (request.model_name, list(request.inputs[0].shape), list(request.raw_input_contents)) == (
        "soak-0",
        [1, 3],
        [OUTPUT.tobytes()],
    )
