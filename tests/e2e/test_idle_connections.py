"""Connections on which nothing comes any more, on a server that closes them after a while."""

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from gateway.web.http_protocol import HttpProtocol
from tests.support.protocol_server import serving
from tests.support.raw_http import read_answer, request_bytes

REQUEST = request_bytes("GET / HTTP/1.1", "Host: localhost")
SLOW = request_bytes("GET /slow HTTP/1.1", "Host: localhost")
KEEP_ALIVE_SECONDS = 3
"""Longer than this process, which both sides are in, may stand still."""


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(2.5 * KEEP_ALIVE_SECONDS)
    while scope["method"] == "POST" and (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = uvicorn.Config(
        answer_ok, http=HttpProtocol, lifespan="off", log_config=None, timeout_keep_alive=KEEP_ALIVE_SECONDS
    )
    with serving(config) as opened:
        yield opened


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as opened:
        yield opened


def ask(connection: socket.socket) -> bytes:
    connection.sendall(REQUEST)
    return read_answer(connection).body


def test_a_connection_that_waits_too_long_for_its_next_request_is_closed(connection: socket.socket) -> None:
    assert ask(connection) == b"ok"
    assert connection.recv(1) == b""


def test_a_connection_that_is_used_is_not_closed(connection: socket.socket) -> None:
    until = time.monotonic() + 2.5 * KEEP_ALIVE_SECONDS
    while time.monotonic() < until:
        assert ask(connection) == b"ok"


def test_a_connection_is_closed_though_its_last_request_came_while_the_first_ones_time_ran(
    connection: socket.socket,
) -> None:
    until = time.monotonic() + 0.5 * KEEP_ALIVE_SECONDS
    while time.monotonic() < until:
        assert ask(connection) == b"ok"
    assert connection.recv(1) == b""


def test_a_connection_that_says_nothing_at_all_is_closed(connection: socket.socket) -> None:
    assert connection.recv(1) == b""


def test_a_head_that_does_not_end_is_not_waited_for(connection: socket.socket) -> None:
    assert ask(connection) == b"ok"
    connection.sendall(REQUEST[:10])
    assert connection.recv(1) == b""


def test_a_stray_end_of_line_is_no_request(connection: socket.socket) -> None:
    assert ask(connection) == b"ok"
    connection.sendall(b"\r\n")
    assert connection.recv(1) == b""


def test_a_request_behind_another_one_is_not_cut_off_however_long_it_takes(connection: socket.socket) -> None:
    connection.sendall(REQUEST + SLOW)
    assert [read_answer(connection).body for _ in range(2)] == [b"ok", b"ok"]


def test_a_body_that_is_still_coming_behind_another_request_is_not_cut_off(connection: socket.socket) -> None:
    whole = request_bytes("POST / HTTP/1.1", "Host: localhost", body=b"12345678")
    connection.sendall(REQUEST + whole[:-4])
    assert read_answer(connection).body == b"ok"
    connection.settimeout(2.5 * KEEP_ALIVE_SECONDS)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(30)
    connection.sendall(whole[-4:])
    assert read_answer(connection).body == b"ok"
