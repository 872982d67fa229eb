"""What a request that is refused may cost the worker: processor time and memory, by the kernel's own books.

Each time a good request is answered right after.
"""

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.capped import PATH, assert_good_requests_work, capped_gateway
from tests.support.gateway_process import GatewayProcess
from tests.support.problems import assert_problem
from tests.support.raw_http import RawAnswer, connected, read_answer, request_bytes

MIB = 1024 * 1024
EXAMPLE = {"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}}
GZIP = {"content-encoding": "gzip"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that takes bodies of 1 MiB, with a model that is loaded."""
    folder = tmp_path_factory.mktemp("small") / "data"
    with capped_gateway(folder, max_body_bytes="1MiB") as gateway:
        yield gateway


@pytest.fixture
def client(small: GatewayProcess) -> Iterator[httpx.Client]:
    with small.client() as opened:
        yield opened


def processor_seconds(gateway: GatewayProcess) -> float:
    """What the worker has used of the processor, in all its threads."""
    (worker,) = gateway.workers()
    fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def forget_peak(gateway: GatewayProcess) -> int:
    """Have the kernel begin to watch for the peak of the worker's memory anew, and return what it is now."""
    (worker,) = gateway.workers()
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    return peak_bytes(gateway)


def peak_bytes(gateway: GatewayProcess) -> int:
    (worker,) = gateway.workers()
    (line,) = (line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def post_chunks(gateway: GatewayProcess, chunks: bytes) -> RawAnswer:
    head = request_bytes(f"POST {PATH} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
    with connected(gateway.url) as connection:
        connection.sendall(head)
        with suppress(ConnectionError):  # the gateway has had enough
            connection.sendall(chunks)
        return read_answer(connection)


def assert_too_large(answer: RawAnswer, detail: str) -> None:
    assert (answer.status, answer.headers["connection"], json.loads(answer.body)) == (
        413,
        "close",
        {
            "type": "/docs/problems#too_large",
            "title": "The body is too large",
            "status": 413,
            "detail": detail,
            "instance": answer.headers["x-request-id"],
            "code": "too_large",
        },
    )


def test_nesting_is_refused_by_looking_at_it_once(small: GatewayProcess, client: httpx.Client) -> None:
    before = processor_seconds(small)
    for _ in range(20):
        answer = client.post(PATH, content=b"[" * 100_000)
        detail = "the body nests deeper than 32 levels"
        assert_problem(answer, 400, code="json_too_deep", detail=detail, example=EXAMPLE)
    assert processor_seconds(small) - before < 20 * 0.05
    assert_good_requests_work(client)


def test_a_million_chunks_of_a_byte_are_not_read_to_their_end(small: GatewayProcess, client: httpx.Client) -> None:
    before = processor_seconds(small)
    answer = post_chunks(small, b"1\r\n \r\n" * 1_000_000)
    assert_too_large(answer, "the body comes in more than 16384 chunks that are tiny")
    assert processor_seconds(small) - before < 1
    assert_good_requests_work(client)


@pytest.mark.parametrize("layers", [1, 2], ids=["once", "twice"])
def test_a_bomb_is_inflated_no_further_than_the_cap(small: GatewayProcess, client: httpx.Client, layers: int) -> None:
    bomb = bytes(512 * MIB)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    before = forget_peak(small)
    for _ in range(3):
        answer = client.post(PATH, content=bomb, headers=GZIP)
        if layers == 1:
            assert_problem(answer, 413, code="too_large", detail="the body may have at most 1048576 bytes")
        else:  # what comes out of it is a file again, and not inflated once more
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
    assert peak_bytes(small) - before < 16 * MIB
    assert_good_requests_work(client)


def test_a_hundred_bodies_past_the_cap_grow_nothing(small: GatewayProcess, client: httpx.Client) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    detail = "the body may have at most 1048576 bytes"
    for _ in range(20):
        assert_too_large(post_chunks(small, chunk * 17), detail)
    before = forget_peak(small)
    for _ in range(100):
        assert_too_large(post_chunks(small, chunk * 17), detail)
    assert peak_bytes(small) - before < 4 * MIB
    assert_good_requests_work(client)


def test_a_number_of_a_million_digits_is_not_computed(small: GatewayProcess, client: httpx.Client) -> None:
    before = processor_seconds(small)
    answer = client.post(PATH, content=b'{"inputs": [[' + b"1" * 1_000_000 + b"]]}")
    detail = "the integer '111111111111111111111111...' has more than 20 digits"
    assert_problem(answer, 400, code="invalid_number", detail=detail, example=EXAMPLE)
    assert processor_seconds(small) - before < 1
    assert_good_requests_work(client)
