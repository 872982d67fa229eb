"""More connections than a worker may have: idle ones go, those at work stay, and nobody else is kept out."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import models
from tests.support.connections import connections_by_worker
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.raw_http import RawAnswer, read_answer, request_bytes
from tests.support.uploads import upload

MOST = 16
PATH = "/v1/models/same/predict"
GOOD = request_bytes(f"POST {PATH} HTTP/1.1", "Host: localhost", body=b'{"inputs": [1.5]}')
HALF = GOOD[:-4]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path / "data", max_connections=str(MOST)) as gateway:
        with gateway.client() as client:
            upload(client, "same", models.identity())
            assert client.post(PATH, json={"inputs": [1.5]}).status_code == 200
        wait_until(lambda: connections_of(gateway) == 0)
        yield gateway


def connected_from(gateway: GatewayProcess, address: str) -> socket.socket:
    parts = urlsplit(gateway.url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30, source_address=(address, 0))


def assert_good(answer: RawAnswer) -> None:
    assert (answer.status, json.loads(answer.body)["outputs"]) == (200, {"y": [1.5]})


def assert_is_answered(connection: socket.socket) -> None:
    connection.sendall(GOOD)
    assert_good(read_answer(connection))


def connections_of(gateway: GatewayProcess) -> int:
    """How many connections its worker has from clients."""
    return sum(connections_by_worker(gateway).values())


def test_idle_connections_of_whoever_has_most_make_room_for_others(small: GatewayProcess) -> None:
    with ExitStack() as stack:
        honest = stack.enter_context(connected_from(small, "127.0.0.2"))
        assert_is_answered(honest)
        greedy = [stack.enter_context(connected_from(small, "127.0.0.1")) for _ in range(5 * MOST)]
        newcomer = stack.enter_context(connected_from(small, "127.0.0.3"))
        assert_is_answered(newcomer)
        assert_is_answered(honest)
        assert_is_answered(greedy[-1])
        assert connections_of(small) <= MOST
        assert greedy[0].recv(1) == b""
    told = [line for line in small.log_lines() if line["event"] == "connections_closed_for_others"]
    assert {(line["level"], line["address"]) for line in told} == {("warning", "127.0.0.1")}


def test_connections_at_work_stay_and_who_comes_then_waits_for_one_of_them(small: GatewayProcess) -> None:
    with ExitStack() as stack:
        working = [stack.enter_context(connected_from(small, "127.0.0.1")) for _ in range(MOST)]
        for connection in working[1:]:
            connection.sendall(HALF)
        working[0].sendall(GOOD + HALF)
        assert_good(read_answer(working[0]))  # so the others' have been read as well
        newcomer = stack.enter_context(connected_from(small, "127.0.0.2"))
        newcomer.sendall(GOOD)
        wait_until(lambda: any(line["event"] == "no_connection_taken" for line in small.log_lines()))
        for connection in working:
            connection.sendall(GOOD[-4:])
            assert_good(read_answer(connection))
        assert_good(read_answer(newcomer))
