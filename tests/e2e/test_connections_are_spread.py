"""Connections that last are spread over the workers again after one of them has died."""

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import models
from tests.support.connections import connections_by_worker
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.uploads import upload

CALLERS = 12
ROWS = json.dumps({"inputs": [[1.0, 2.0, 3.0, 4.0]]}).encode()
ASKED = {"predict": ("POST", "/v1/models/rows/predict", ROWS), "other": ("GET", "/health/live", None)}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway of two workers that serves a model."""
    with running_gateway(tmp_path / "data", workers="2") as gateway:
        with gateway.client() as client:
            upload(client, "rows", models.linear(seed=1))
        yield gateway


class Caller(threading.Thread):
    """Asks again and again on a connection that it keeps, and notes what went wrong."""

    def __init__(self, gateway: GatewayProcess, kind: str, ending: threading.Event) -> None:
        super().__init__()
        self._gateway, self._kind, self._ending = gateway, kind, ending
        self.broken = 0
        """How often its connection was lost without a word."""
        self.answers: set[tuple[int, bytes]] = set()
        self.farewells = 0

    def run(self) -> None:
        method, path, body = ASKED[self._kind]
        parts = urlsplit(self._gateway.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        while not self._ending.wait(0.001):
            try:
                connection.request(method, path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                self.answers.add((answer.status, answer.read()))
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                continue
            self.farewells += answer.headers.get("connection") == "close"
        connection.close()


def is_even(gateway: GatewayProcess) -> bool:
    counts = connections_by_worker(gateway)
    return len(counts) == 2 and min(counts.values()) >= CALLERS // 4


@pytest.mark.parametrize("kind", ASKED)
def test_a_dead_workers_successor_gets_its_share_and_no_request_is_lost_for_that(
    two: GatewayProcess, kind: str
) -> None:
    ending = threading.Event()
    callers = [Caller(two, kind, ending) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        wait_until(lambda: is_even(two))
        hit, spared = sorted(connections_by_worker(two), key=lambda pid: connections_by_worker(two)[pid])
        two.process.send_signal(signal.SIGSTOP)  # so that nobody comes in its place before all have gone elsewhere
        os.kill(hit, signal.SIGKILL)
        wait_until(lambda: connections_by_worker(two) == {spared: CALLERS})
        two.process.send_signal(signal.SIGCONT)
        wait_until(lambda: is_even(two) and spared in two.workers())
    finally:
        two.process.send_signal(signal.SIGCONT)
        ending.set()
        for caller in callers:
            caller.join()
    (answer,) = set().union(*(caller.answers for caller in callers))
    assert answer[0] == 200
    assert max(caller.broken for caller in callers) <= 1  # with the worker that was killed
    assert sum(caller.farewells for caller in callers) > 0
