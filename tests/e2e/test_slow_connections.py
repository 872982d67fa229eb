"""Clients that send or take too slowly, on a server whose patience ends after a second; others on one that has more."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn

from gateway.web.http_protocol import HttpProtocol
from gateway.web.patience import MOST_SMALL_CHUNKS
from tests.support.protocol_server import serving
from tests.support.raw_http import read_answer, request_bytes

REQUEST = request_bytes("GET / HTTP/1.1", "Host: localhost")
LARGE = request_bytes("GET /large HTTP/1.1", "Host: localhost")
LARGE_BYTES = 64 * 1024 * 1024
PATIENCE_SECONDS = 1
MORE_SECONDS = 10
"""Where a client is to be waited for: this process may stand still for a moment, and the client is in it as well."""
IDLE_SECONDS = 60
"""For the next request, where it is not that which a client is slow with."""
PAUSE = threading.Event()


class Impatient(HttpProtocol):
    """As in a gateway, but for how long it waits."""

    head_seconds = PATIENCE_SECONDS
    pause_seconds = PATIENCE_SECONDS


class Patient(HttpProtocol):
    """As above, but for longer."""

    head_seconds = MORE_SECONDS
    pause_seconds = MORE_SECONDS


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(2.5 * PATIENCE_SECONDS)
    while scope["method"] == "POST" and (await receive()).get("more_body"):
        pass
    body = bytes(LARGE_BYTES) if scope["path"] == "/large" else b"ok"
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def listening(protocol: type[HttpProtocol]) -> Iterator[int]:
    config = uvicorn.Config(
        answer, http=protocol, loop="uvloop", lifespan="off", log_config=None, timeout_keep_alive=IDLE_SECONDS
    )
    with serving(config) as opened:
        yield opened


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(Impatient) as opened:
        yield opened


@pytest.fixture(scope="module")
def patient_port() -> Iterator[int]:
    with listening(Patient) as opened:
        yield opened


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        opened.settimeout(30)
        opened.connect(("127.0.0.1", port))
        yield opened


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with connected(port) as opened:
        yield opened


@pytest.fixture
def patient(patient_port: int) -> Iterator[socket.socket]:
    """A connection to the server that has more patience."""
    with connected(patient_port) as opened:
        yield opened


def test_a_head_that_comes_in_pieces_is_read(patient: socket.socket) -> None:
    for octet in REQUEST:
        patient.sendall(bytes([octet]))
    assert read_answer(patient).body == b"ok"


def test_each_head_has_its_own_time(patient: socket.socket) -> None:
    for _ in range(3):
        patient.sendall(REQUEST[:10])
        PAUSE.wait(0.4 * MORE_SECONDS)
        patient.sendall(REQUEST[10:])
        assert read_answer(patient).body == b"ok"


def test_a_head_that_drips_is_refused(connection: socket.socket) -> None:
    connection.sendall(REQUEST[:10])
    answer = read_answer(connection)
    assert (answer.status, answer.headers["connection"], connection.recv(1)) == (408, "close", b"")


def test_a_refusal_does_not_overtake_the_answer_before_it(connection: socket.socket) -> None:
    connection.sendall(REQUEST.replace(b"GET /", b"GET /slow") + REQUEST[:10])
    assert [read_answer(connection).status for _ in range(2)] == [200, 408]


def test_who_takes_nothing_of_the_answer_is_dropped(connection: socket.socket) -> None:
    connection.sendall(LARGE)
    PAUSE.wait(4 * PATIENCE_SECONDS)
    assert rest_of(connection) < LARGE_BYTES


def test_who_takes_it_slowly_gets_all_of_it(patient: socket.socket) -> None:
    """So slowly that the system frees no room for more within a look: what it holds itself counts as well."""
    patient.sendall(LARGE)
    for _ in range(30):
        assert len(patient.recv(8 * 1024)) > 0
        PAUSE.wait(0.04 * MORE_SECONDS)
    assert rest_of(patient) > LARGE_BYTES - 30 * 8 * 1024


def rest_of(connection: socket.socket) -> int:
    connection.sendall(REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
    size = 0
    with suppress(ConnectionResetError):
        while chunk := connection.recv(1 << 20):
            size += len(chunk)
    return size


def test_a_body_in_crumbs_is_refused(connection: socket.socket) -> None:
    head = request_bytes("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
    connection.sendall(head + b"1\r\n \r\n" * MOST_SMALL_CHUNKS)
    connection.sendall(b"1\r\n \r\n" * (MOST_SMALL_CHUNKS // 4))
    answer = read_answer(connection)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_a_body_in_as_many_larger_chunks_is_read(patient: socket.socket) -> None:
    head = request_bytes("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
    chunk = b"80\r\n" + b" " * 128 + b"\r\n"
    patient.sendall(head + chunk * MOST_SMALL_CHUNKS * 2 + b"0\r\n\r\n")
    assert read_answer(patient).body == b"ok"
