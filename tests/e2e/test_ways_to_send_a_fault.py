"""One fault, one answer: with a length, in chunks, in pieces, between good requests, with tokens and without.

And in the words of each dialect, with a good request of that dialect right after.
"""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from tests.support import models
from tests.support.gateway_process import GatewayProcess, fixed_port, running_gateway
from tests.support.raw_http import RawAnswer, connected, request_bytes
from tests.support.rpc import RpcCaller, calling, floats, infer_request
from tests.support.serving_models import gather
from tests.support.tokens import bearer, make_token
from tests.support.uploads import promote, upload_all

GOOD = b'{"inputs": [1.5]}'
SERVED: dict[str, ModelProto] = {"same": models.identity(), "picked": gather(), "unpromoted": models.identity()}
EXAMPLE = {"inputs": {"x": [0.5]}}


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway for all dialects, and the header lines that each request has."""

    gateway: GatewayProcess
    rpc: RpcCaller
    lines: tuple[str, ...]


@pytest.fixture(scope="module", params=["off", "on"], ids=["without tokens", "with tokens"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, port = tmp_path_factory.mktemp("ways") / "data", fixed_port()
    with running_gateway(folder, auth=request.param, grpc_port=str(port)) as gateway:
        token = make_token(folder, "admin").text if request.param == "on" else None
        headers = {} if token is None else bearer(token)
        with gateway.client(headers=headers) as client, calling(port, token) as rpc:
            upload_all(client, SERVED)
            for name in SERVED.keys() - {"unpromoted"}:
                promote(client, name)
            lines = ("Host: localhost", "Content-Type: application/json")
            yield Served(gateway, rpc, (*lines, *(f"{name}: {value}" for name, value in headers.items())))


class Reader:
    """Answers read one after the other off a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def next(self) -> RawAnswer:
        status = int(self._file.readline().split(b" ")[1])
        headers = {}
        while line := self._file.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return RawAnswer(status, headers, self._file.read(int(headers["content-length"])))


def post(served: Served, path: str, body: bytes) -> bytes:
    return request_bytes(f"POST {path} HTTP/1.1", *served.lines, body=body)


def chunked(served: Served, path: str, body: bytes) -> bytes:
    head = request_bytes(f"POST {path} HTTP/1.1", *served.lines, "Transfer-Encoding: chunked")
    return head + b"".join(b"1\r\n%c\r\n" % octet for octet in body) + b"0\r\n\r\n"


WAYS: dict[str, Callable[[Served, str, bytes], bytes]] = {"with a length": post, "in chunks": chunked}

FAULTS: dict[str, tuple[bytes, int, dict[str, Any]]] = {
    "no JSON": (
        b"nul",
        400,
        {"code": "invalid_json", "detail": "the body is not JSON: Expecting value, at character 0"},
    ),
    "a key twice": (
        b'{"inputs": [1], "inputs": [1]}',
        400,
        {"code": "duplicate_key", "detail": "the key 'inputs' stands twice in one object"},
    ),
    "another dtype": (
        b'{"inputs": [true]}',
        422,
        {
            "code": "invalid_dtype",
            "detail": "/inputs/0: expected an element of float32, received true",
            "violations": [
                {
                    "path": "/inputs/0",
                    "expected": "an element of float32",
                    "received": "true",
                    "code": "invalid_dtype",
                }
            ],
        },
    ),
    "another rank": (
        b'{"inputs": [[1]]}',
        422,
        {
            "code": "invalid_shape",
            "detail": "/inputs: expected float32[batch], received float32[1, 1]",
            "violations": [
                {
                    "path": "/inputs",
                    "expected": "float32[batch]",
                    "received": "float32[1, 1]",
                    "code": "invalid_shape",
                }
            ],
        },
    ),
}


def assert_is_good(answer: RawAnswer) -> None:
    assert (answer.status, json.loads(answer.body)["outputs"]) == (200, {"y": [1.5]})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("is_in_pieces", [False, True], ids=["at once", "byte by byte"])
def test_a_fault_has_one_answer_however_it_is_sent(served: Served, way: str, fault: str, *, is_in_pieces: bool) -> None:
    path = "/v1/models/same/predict"
    body, status, says = FAULTS[fault]
    with connected(served.gateway.url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        octets = post(served, path, GOOD) + WAYS[way](served, path, body) + post(served, path, GOOD)
        for place in range(len(octets)) if is_in_pieces else ():
            connection.sendall(octets[place : place + 1])
        if not is_in_pieces:
            connection.sendall(octets)
        answers = Reader(connection)
        before, refusal, after = answers.next(), answers.next(), answers.next()
    problem = json.loads(refusal.body)
    assert problem.pop("instance") == refusal.headers["x-request-id"]
    assert isinstance(problem.pop("title"), str)
    assert (refusal.status, refusal.headers["content-type"]) == (status, "application/problem+json")
    assert problem == {
        "type": f"/docs/problems#{says['code']}",
        "status": status,
        "example": EXAMPLE,
        **says,
    }
    assert (refusal.headers["x-model-version"], "connection" in refusal.headers) == ("1", False)
    assert_is_good(before)
    assert_is_good(after)


# --- dialects ---------------------------------------------------------------------------------------------------------


def infer_body(**changed: object) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5], **changed}]}


INFER, ROWS = "/v2/models/{}/infer", "/v1/models/{}:predict"
INFER_EXAMPLE = '; this body would be taken: {"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[0.5]}]}'
ROWS_EXAMPLE = '; this body would be taken: {"instances":[0.5]}'
NO_JSON = "invalid_json: the body is not JSON: Expecting value, at character 0"
NOT_RUN = "model_execution_failed: the runtime could not run the model on these inputs (InvalidArgument)"
NOBODY = "model_not_found: there is no model 'nobody'"
NOT_PROMOTED = "no_active_version: no version of model 'unpromoted' is promoted yet"
NO_FLOAT = "expected an element of float32, received true (invalid_dtype)"
NO_VECTOR = "expected float32[batch], received float32[1, 1] (invalid_shape)"

IN_WORDS_OF_OTHERS: list[tuple[str, str, object, int, str]] = [
    (INFER, "same", "nul", 400, NO_JSON + INFER_EXAMPLE),
    (INFER, "same", infer_body(data=[True]), 422, f"invalid_dtype: /inputs/0/data/0: {NO_FLOAT}{INFER_EXAMPLE}"),
    (INFER, "same", infer_body(shape=[1, 1]), 422, f"invalid_shape: /inputs/0: {NO_VECTOR}{INFER_EXAMPLE}"),
    (INFER, "picked", infer_body(name="index", datatype="INT64", data=[99]), 422, NOT_RUN),
    (INFER, "nobody", infer_body(), 404, NOBODY),
    (INFER, "unpromoted", infer_body(), 409, NOT_PROMOTED),
    (ROWS, "same", "nul", 400, NO_JSON + ROWS_EXAMPLE),
    (ROWS, "same", {"instances": [True]}, 400, f"invalid_dtype: /instances/0: {NO_FLOAT}{ROWS_EXAMPLE}"),
    (ROWS, "same", {"instances": [[1]]}, 400, f"invalid_shape: /instances: {NO_VECTOR}{ROWS_EXAMPLE}"),
    (ROWS, "picked", {"instances": [99]}, 400, NOT_RUN),
    (ROWS, "nobody", {"instances": [1]}, 404, NOBODY),
    (ROWS, "unpromoted", {"instances": [1]}, 404, NOT_PROMOTED),
]
GOOD_IN: dict[str, tuple[dict[str, Any], str, object]] = {
    INFER: (infer_body(), "outputs", [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1.5]}]),
    ROWS: ({"instances": [1.5]}, "predictions", [1.5]),
}


@pytest.mark.parametrize(("path", "model", "body", "status", "says"), IN_WORDS_OF_OTHERS)
def test_each_dialect_has_the_fault_in_its_own_words(
    served: Served, path: str, model: str, body: object, status: int, says: str
) -> None:
    good, member, expected = GOOD_IN[path]
    octets = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with connected(served.gateway.url) as connection:
        connection.sendall(post(served, path.format(model), octets))
        connection.sendall(post(served, path.format("same"), json.dumps(good).encode()))
        answers = Reader(connection)
        refusal, after = answers.next(), answers.next()
    assert (refusal.status, refusal.headers["content-type"], json.loads(refusal.body)) == (
        status,
        "application/json",
        {"error": says},
    )
    assert (after.status, json.loads(after.body)[member]) == (200, expected)


@pytest.mark.parametrize(
    ("model", "inputs", "status", "says"),
    [
        (
            "same",
            {"x": ("INT32", np.zeros(1, np.int32))},
            "INVALID_ARGUMENT",
            "invalid_dtype: /inputs/0/datatype: expected FP32, received INT32 (invalid_dtype)",
        ),
        (
            "same",
            {"x": ("FP32", np.zeros((1, 1), np.float32))},
            "INVALID_ARGUMENT",
            f"invalid_shape: /inputs/0: {NO_VECTOR}",
        ),
        ("picked", {"index": ("INT64", np.array([99]))}, "INVALID_ARGUMENT", NOT_RUN),
        ("nobody", {"x": floats(1.5)}, "NOT_FOUND", NOBODY),
        ("unpromoted", {"x": floats(1.5)}, "FAILED_PRECONDITION", NOT_PROMOTED),
    ],
)
def test_a_fault_over_grpc_is_a_status_with_the_same_words(
    served: Served, model: str, inputs: dict[str, Any], status: str, says: str
) -> None:
    found, message, trailing = served.rpc.refused("ModelInfer", infer_request(model, **inputs))
    assert (found, message, trailing["x-problem-code"]) == (status, says, says.partition(":")[0])
    answer = served.rpc.call("ModelInfer", infer_request("same", x=floats(1.5)))
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [1.5]
