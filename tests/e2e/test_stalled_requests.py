"""Rows 9 and 10 of the faults: requests that stop half way, all at once, and good ones beside them.

The whole answer to each, and what is left of it: nothing stored, nothing spooled, each one counted and in the log.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support import models
from tests.support.gateway_process import GatewayProcess, wait_until
from tests.support.raw_http import RawAnswer, connected, read_answer, request_bytes
from tests.support.uploads import upload_and_promote

PATH = "/v1/models/same/predict"
BODY = b'{"inputs": [1.5]}'
SLOW_HEADS = 500
HEAD = "the request line and the headers were not complete within 10 seconds"
STOPPED = "the body stopped: less than 4096 bytes of it came within 30 seconds"
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
LENGTH = "Content-Length: 17"
LARGE = "Content-Length: 9000000"


def begun(line: str, *headers: str, part: bytes = BODY[:-4]) -> bytes:
    return request_bytes(f"{line} HTTP/1.1", "Host: localhost", *headers) + part


STALLED = {
    "the short cut": begun(f"POST {PATH}", JSON, LENGTH),
    "nothing of the body": begun(f"POST {PATH}", JSON, LENGTH, part=b""),
    "a large body": begun(f"POST {PATH}", JSON, LARGE, part=b" " * 900),
    "the ordinary way": begun(f"POST {PATH}", JSON, LENGTH, "Content-Encoding: identity"),
    "in chunks": begun(f"POST {PATH}", JSON, CHUNKED, part=b"5\r\n{    \r\n"),
    "half a chunk": begun(f"POST {PATH}", JSON, CHUNKED, part=b"500\r\n{    "),
    "an alias": begun("POST /models/same@production/predict", JSON, LENGTH),
    "validate": begun("POST /v1/models/same/validate", JSON, LENGTH),
    "Open Inference": begun("POST /v2/models/same/infer", JSON, LENGTH),
    "TensorFlow Serving": begun("POST /v1/models/same:predict", JSON, LENGTH),
    "a file": begun("PUT /registry/blobs/sha256:" + "0" * 64, "Content-Type: application/octet-stream", LARGE),
    "an upload": begun("POST /registry/models/stalled/versions", "Content-Type: application/octet-stream", LARGE),
    "a promotion": begun("PUT /registry/models/same/aliases/staging", JSON, LENGTH),
}
FOREIGN = {"Open Inference", "TensorFlow Serving"}


@dataclass(frozen=True)
class Aftermath:
    """What has become of requests that stopped."""

    stalled: dict[str, RawAnswer]
    slow_heads: list[RawAnswer]
    good_statuses: set[int]
    """Of the requests that came while the others were waited for."""


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        upload_and_promote(opened, "same", models.identity())
        for _ in range(3):  # so that the short cut is taken where it may be
            assert_good_requests_work(opened)
        yield opened


@pytest.fixture(scope="module")
def aftermath(gateway: GatewayProcess, client: httpx.Client) -> Iterator[Aftermath]:
    """All of them at once, since each takes half a minute."""
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(gateway.url)) for _ in range(SLOW_HEADS)]
        stalled = {name: stack.enter_context(connected(gateway.url)) for name in STALLED}
        for name, connection in stalled.items():
            connection.sendall(STALLED[name])
        dripping = threading.Thread(target=drip, args=(slow,))
        dripping.start()
        good_statuses = set()
        while dripping.is_alive():
            good_statuses.add(client.post(PATH, content=BODY).status_code)
        yield Aftermath(
            {name: whole(connection) for name, connection in stalled.items()},
            [whole(connection) for connection in slow],
            good_statuses,
        )


def drip(connections: list[socket.socket]) -> None:
    """Send heads at a byte a second, until the gateway has had enough."""
    pause = threading.Event()
    for octet in b"POST /v1/m":
        for connection in connections:
            with suppress(OSError):  # it has been closed: what was answered before is looked at later
                connection.sendall(bytes([octet]))
        pause.wait(1)


def whole(connection: socket.socket) -> RawAnswer:
    connection.settimeout(60)
    answer = read_answer(connection)
    with suppress(ConnectionResetError):  # what has dripped in since it was closed
        assert connection.recv(1) == b"", "the connection goes on"
    return answer


def assert_good_requests_work(client: httpx.Client) -> None:
    answer = client.post(PATH, content=BODY, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["outputs"]) == (200, {"y": [1.5]})


def problem(detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": "/docs/problems#request_timeout",
        "title": "The request came too slowly",
        "status": 408,
        "detail": detail,
        "instance": request_id,
        "code": "request_timeout",
    }


@pytest.mark.parametrize("name", STALLED)
def test_a_body_that_stops_is_not_waited_for(aftermath: Aftermath, client: httpx.Client, name: str) -> None:
    answer = aftermath.stalled[name]
    body = json.loads(answer.body)
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    if name in FOREIGN:
        assert (answer.headers["content-type"], body) == (
            "application/json",
            {"error": f"request_timeout: {STOPPED}"},
        )
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert body == problem(STOPPED, answer.headers["x-request-id"])
    assert_good_requests_work(client)


def test_heads_that_drip_are_not_waited_for_and_others_are_answered(aftermath: Aftermath, client: httpx.Client) -> None:
    for answer in aftermath.slow_heads:
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert json.loads(answer.body) == problem(HEAD, answer.headers["x-request-id"])
    assert aftermath.good_statuses == {200}
    assert_good_requests_work(client)


@pytest.mark.usefixtures("aftermath")
def test_nothing_of_an_upload_that_stopped_is_left(gateway: GatewayProcess, client: httpx.Client) -> None:
    assert client.get("/registry/models/stalled").status_code == 404
    assert client.get("/registry/models/same/aliases/staging").status_code == 404
    wait_until(lambda: list((gateway.data_dir / "spool").iterdir()) == [])


def test_each_body_that_stopped_is_counted_and_in_the_log(
    gateway: GatewayProcess, client: httpx.Client, aftermath: Aftermath
) -> None:
    ids = {answer.headers["x-request-id"] for answer in aftermath.stalled.values()}

    def logged() -> list[dict[str, Any]]:
        return [line for line in gateway.log_lines() if line.get("request_id") in ids]

    wait_until(lambda: len(logged()) == len(ids))
    assert {(line["event"], line["status"], line["code"]) for line in logged()} == {("request", 408, "request_timeout")}
    metrics = client.get("/metrics").text.splitlines()
    counted = [line for line in metrics if 'code="request_timeout"' in line and not line.startswith("#")]
    assert sum(float(line.split()[-1]) for line in counted) == len(ids)
