"""What a request may cost: floods of what must be refused leave the worker as large as it was."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.capped import assert_good_requests_work, capped_gateway
from tests.support.gateway_process import GatewayProcess
from tests.support.problems import assert_problem, violation
from tests.support.raw_http import RawAnswer, read_answer, request_bytes

KIB, MIB = 1024, 1024 * 1024
CAP_BYTES = 64 * KIB
CAP_DETAIL = "the body may have at most 65536 bytes"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that takes bodies of 64 KiB, with a model that is loaded."""
    folder = tmp_path_factory.mktemp("small") / "data"
    with capped_gateway(folder, max_body_bytes=str(CAP_BYTES)) as gateway:
        yield gateway


@pytest.fixture
def client(small: GatewayProcess) -> Iterator[httpx.Client]:
    with small.client() as opened:
        yield opened


def anonymous_bytes(gateway: GatewayProcess) -> int:
    """What the worker's own memory is, not counting mapped files."""
    (worker,) = gateway.workers()
    lines = Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("Anonymous:"))
    return int(line.split()[1]) * KIB


def send_chunks(gateway: GatewayProcess, chunk: bytes, times: int) -> RawAnswer:
    """Send a body in chunks, as far as the gateway takes it, and read its answer."""
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30) as connection:
        line = "POST /v1/models/linear/predict HTTP/1.1"
        head = request_bytes(line, "Host: localhost", "Content-Type: application/json", "Transfer-Encoding: chunked")
        framed = f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
        connection.sendall(head + framed * times)
        return read_answer(connection)


def assert_too_large(answer: RawAnswer, detail: str = CAP_DETAIL) -> None:
    problem = json.loads(answer.body)
    assert problem.pop("instance") == answer.headers["x-request-id"]
    assert (answer.status, answer.headers["connection"], problem) == (
        413,
        "close",
        {
            "type": "/docs/problems#too_large",
            "title": "The body is too large",
            "status": 413,
            "detail": detail,
            "code": "too_large",
        },
    )


@pytest.mark.parametrize("shape", [[2**40, 4], [2**62, 2**62], [2**31, 2**31, 2**31]], ids=str)
def test_a_huge_shape_allocates_nothing(small: GatewayProcess, client: httpx.Client, shape: list[int]) -> None:
    body = {"inputs": {"shape": shape, "data": [1, 2, 3]}}
    expected = f"as many elements as the shape {shape} has"
    before = anonymous_bytes(small)
    for _ in range(50):
        assert_problem(
            client.post("/v1/models/linear/predict", json=body),
            422,
            code="invalid_shape",
            detail=f"/inputs: expected {expected}, received 3 elements",
            violations=[violation("/inputs", expected, "3 elements", "invalid_shape")],
            example={"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}},
        )
    assert anonymous_bytes(small) - before < 16 * MIB
    assert_good_requests_work(client)


def test_chunked_bodies_past_the_cap_leave_nothing_in_memory(small: GatewayProcess, client: httpx.Client) -> None:
    assert_too_large(send_chunks(small, b" " * KIB, 65))
    before = anonymous_bytes(small)
    for _ in range(100):
        assert_too_large(send_chunks(small, b" " * KIB, 65))
    assert anonymous_bytes(small) - before < 4 * MIB
    assert_good_requests_work(client)


def test_a_body_in_one_byte_chunks_is_counted_too(small: GatewayProcess, client: httpx.Client) -> None:
    detail = "the body comes in more than 16384 chunks that are tiny"
    assert_too_large(send_chunks(small, b" ", CAP_BYTES + 1), detail)
    assert_good_requests_work(client)


def test_a_body_of_exactly_the_cap_is_read(client: httpx.Client) -> None:
    body = b'{"inputs": [[0, 0, 0, 0]]}'
    answer = client.post("/v1/models/linear/predict", content=body.ljust(CAP_BYTES))
    assert (answer.status_code, answer.json()["outputs"]) == (200, {"y": [[0.0, 0.0, 0.0]]})
    over = client.post("/v1/models/linear/predict", content=body.ljust(CAP_BYTES + 1))
    assert_problem(over, 413, code="too_large", detail=CAP_DETAIL)


def test_many_faults_are_named_up_to_a_bound(client: httpx.Client) -> None:
    answer = client.post("/v1/models/linear/predict", json={"inputs": [[None] * 4] * 2000})
    found = [
        violation(f"/inputs/{row}/{column}", "an element of float32", "null", "invalid_dtype")
        for row in range(25)
        for column in range(4)
    ]
    detail = "/inputs/0/0: expected an element of float32, received null (and 99 more)"
    example = {"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}}
    assert_problem(answer, 422, code="invalid_dtype", detail=detail, violations=found, example=example)
    assert_good_requests_work(client)
