"""Answers in fewer bytes for those who ask, on every way that an answer takes; and bodies that come in fewer bytes."""

import gzip
import json
import os
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import zstandard

from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.raw_http import RawAnswer, read_answer, request_bytes
from tests.support.uploads import upload_and_promote

PLAIN: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstandard.decompress,
    "gzip": gzip.decompress,
    "": lambda octets: octets,
}
ROUTES = ["/v1/models/wide/predict", "/v1/models/wide:predict"]


@pytest.fixture(scope="module")
def connection(gateway: GatewayProcess) -> Callable[[], socket.socket]:
    """Opens connections to a gateway that has a model which gives back what it gets."""
    with gateway.client() as client:
        upload_and_promote(client, "wide", models.identity())
    parts = urlsplit(gateway.url)
    return lambda: socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)


def ask(connection: socket.socket, path: str, rows: list[float], *headers: str) -> RawAnswer:
    body = json.dumps({"inputs": rows}).encode()
    connection.sendall(request_bytes(f"POST {path} HTTP/1.1", "Host: localhost", *headers, body=body))
    return read_answer(connection)


def outputs(answer: RawAnswer) -> Any:
    plain = PLAIN[answer.headers.get("content-encoding", "")](answer.body)
    found = json.loads(plain)["outputs"]
    return found["y"] if isinstance(found, dict) else found


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("accept", ["zstd", "gzip", "gzip;q=0.5, zstd;q=0.1"])
@pytest.mark.parametrize("count", [500, 5_000, 60_000], ids=["in the tick", "in a tick's thread", "the ordinary way"])
def test_a_long_answer_is_compressed_whichever_way_it_takes(
    connection: Callable[[], socket.socket], path: str, accept: str, count: int
) -> None:
    rows = [place / 8 for place in range(count)]
    with connection() as opened:  # the second and the third come with a head that is known
        answers = [ask(opened, path, rows, f"Accept-Encoding: {accept}") for _ in range(3)]
    coding = "zstd" if accept == "zstd" else "gzip"
    assert [answer.headers["content-encoding"] for answer in answers] == [coding] * 3
    assert [answer.headers["vary"] for answer in answers] == ["accept-encoding"] * 3
    assert [outputs(answer) for answer in answers] == [rows] * 3
    assert len(answers[0].body) < len(json.dumps(rows)) / 2


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("accept", "count", "coding"),
    [
        ("gzip, zstd", 10, None),
        ("identity", 500, None),
        ("br", 500, None),
        ("gzip;q=0", 500, None),
        ("gzip, identity;q=0", 10, "gzip"),
        ("*;q=0, zstd", 10, "zstd"),
    ],
)
def test_a_short_answer_is_plain_unless_that_is_refused(
    connection: Callable[[], socket.socket], path: str, accept: str, count: int, coding: str | None
) -> None:
    rows = [0.5] * count
    with connection() as opened:
        answers = [ask(opened, path, rows, f"Accept-Encoding: {accept}") for _ in range(3)]
    assert [answer.headers.get("content-encoding") for answer in answers] == [coding] * 3
    assert [outputs(answer) for answer in answers] == [rows] * 3


def test_requests_of_one_tick_have_each_the_answer_that_it_wants(connection: Callable[[], socket.socket]) -> None:
    wanted = ["zstd", "gzip", "br", "zstd", "gzip;q=0"] * 3
    rows = [[place + offset / 4 for place in range(600)] for offset in range(len(wanted))]
    opened = [connection() for _ in wanted]
    try:
        for each, accept, values in zip(opened, wanted, rows, strict=True):
            assert outputs(ask(each, ROUTES[0], values, f"Accept-Encoding: {accept}")) == values
        for each, accept, values in zip(opened, wanted, rows, strict=True):
            body = json.dumps({"inputs": values}).encode()
            head = "Host: localhost", f"Accept-Encoding: {accept}"
            each.sendall(request_bytes(f"POST {ROUTES[0]} HTTP/1.1", *head, body=body))
        answers = [read_answer(each) for each in opened]
    finally:
        for each in opened:
            each.close()
    assert [answer.headers.get("content-encoding") for answer in answers] == ["zstd", "gzip", None, "zstd", None] * 3
    assert [outputs(answer) for answer in answers] == rows


def test_the_request_id_of_the_client_stands_beside_it(connection: Callable[[], socket.socket]) -> None:
    rows = [0.5] * 2_000
    with connection() as opened:
        answers = [ask(opened, ROUTES[0], rows, "Accept-Encoding: gzip", f"X-Request-Id: mine-{n}") for n in range(2)]
    assert [answer.headers["x-request-id"] for answer in answers] == ["mine-0", "mine-1"]
    assert [outputs(answer) for answer in answers] == [rows] * 2


def test_a_request_that_follows_at_once_is_answered_after_it(connection: Callable[[], socket.socket]) -> None:
    long, short = [place / 8 for place in range(5_000)], [1.0]
    with connection() as opened:
        assert outputs(ask(opened, ROUTES[0], long, "Accept-Encoding: zstd")) == long
        both = [json.dumps({"inputs": rows}).encode() for rows in (long, short)]
        head = f"POST {ROUTES[0]} HTTP/1.1", "Host: localhost", "Accept-Encoding: zstd"
        opened.sendall(b"".join(request_bytes(*head, body=body) for body in both))
        first = read_one(opened)
        second = read_one(opened)
    assert [outputs(first), outputs(second)] == [long, short]


def read_one(connection: socket.socket) -> RawAnswer:
    """Read exactly one answer, and leave what follows it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:]]
    headers = {name.lower(): value for name, _, value in lines}
    body = b""
    while len(body) < int(headers["content-length"]):
        body += connection.recv(int(headers["content-length"]) - len(body))
    return RawAnswer(int(head.split(b" ")[1]), headers, body)


def test_somebody_elses_client_reads_it_unasked(
    connection: Callable[[], socket.socket], gateway: GatewayProcess
) -> None:
    connection().close()
    rows = [place / 8 for place in range(3_000)]
    with gateway.client() as client:  # it asks for gzip by itself
        answer = client.post(ROUTES[0], json={"inputs": rows})
    assert answer.headers["content-encoding"] in PLAIN
    assert answer.json()["outputs"]["y"] == rows


# --- bodies that come compressed --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("path", ROUTES)
def test_a_compressed_body_is_inflated_in_every_dialect(gateway: GatewayProcess, path: str) -> None:
    body = gzip.compress(json.dumps({"inputs": [0.5] * 3_000}).encode())
    with gateway.client() as client:
        answer = client.post(path, content=body, headers={"content-encoding": "gzip"})
    found = answer.json()["outputs"]
    assert (answer.status_code, found["y"] if isinstance(found, dict) else found) == (200, [0.5] * 3_000)


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("coding", "body", "status", "code"),
    [
        ("gzip", gzip.compress(bytes(17 * 1024 * 1024)), 413, "too_large"),
        ("gzip", b"no gzip", 400, "invalid_json"),
        ("gzip", gzip.compress(os.urandom(100))[:-9], 400, "invalid_json"),
        ("br", b"{}", 415, "unsupported_encoding"),
    ],
)
def test_a_body_that_cannot_be_inflated_is_refused(
    gateway: GatewayProcess, path: str, coding: str, body: bytes, status: int, code: str
) -> None:
    with gateway.client() as client:
        answer = client.post(path, content=body, headers={"content-encoding": coding})
    said = answer.json()
    assert (answer.status_code, said.get("code") or said["error"].partition(":")[0]) == (status, code)
