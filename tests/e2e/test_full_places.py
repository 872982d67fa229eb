"""Requests that wait: a queue that is full, a deadline that passes there, and callers that leave."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from onnx import ModelProto, helper

from registry.inspection.host import usable_cpus
from tests.support import models
from tests.support.asking_again import ask_again
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.problems import assert_problem
from tests.support.raw_http import read_answer, request_bytes
from tests.support.scrapes import scrape
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload_all

ENDLESS = 2**62
SPARE_PLACES = 2


def counted_loop() -> ModelProto:
    """Float32 x [1] and an int64 scalar ``trips`` -> y [1]: one added as often as the request says."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["before", "one"], ["after"])],
        "body",
        [models.value("trip", "int64", ()), models.value("go", "bool", ()), models.value("before", shape=(1,))],
        [models.value("go_on", "bool", ()), models.value("after", shape=(1,))],
        [models.initializer("one", np.ones(1, np.float32))],
    )
    return models.model(
        [helper.make_node("Loop", ["trips", "true", "x"], ["y"], body=body)],
        [models.value("x", shape=(1,)), models.value("trips", "int64", ())],
        [models.value("y", shape=(1,))],
        initializers=[models.initializer("true", np.array(1, np.bool_))],
    )


def counting(trips: int) -> dict[str, object]:
    return {"inputs": {"x": [0.5], "trips": trips}}


def serve(gateway: GatewayProcess, client: httpx.Client, **served: ModelProto) -> None:
    """Register models that are loaded once, and not anew while requests are under way."""
    upload_all(client, served)
    wait_until_settled(gateway, *served)


def count(client: httpx.Client, trips: int) -> httpx.Response:
    return client.post("/v1/models/counted/predict", json=counting(trips))


def ask_the_other(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/models/same/predict", json={"inputs": [1.5]})


def waiting(client: httpx.Client) -> float:
    return scrape(client).value("sardonyx_waiting_requests")


def begin_endless_run(gateway: GatewayProcess, client: httpx.Client) -> socket.socket:
    """Send a request, and return when the gateway has it in its queue or in a place."""
    parts = urlsplit(gateway.url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
    body = json.dumps(counting(ENDLESS)).encode()
    connection.sendall(request_bytes("POST /v1/models/counted/predict HTTP/1.1", "Host: localhost", body=body))
    for _ in range(2):  # what the worker reads after the request, it answers after having taken the request up
        client.get("/metrics")
    return connection


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway in which one request of a version may wait, and no run is ended by its deadline."""
    with running_gateway(tmp_path / "data", max_queue="1", predict_timeout_seconds="3600") as gateway:
        yield gateway


@pytest.mark.parametrize("more", [b"", b"\r\n", b"POST /v1/mod"], ids=["nothing", "a line's end", "half a head"])
def test_callers_that_leave_free_every_place_whatever_else_they_have_sent(crowded: GatewayProcess, more: bytes) -> None:
    with crowded.client() as client, ExitStack() as callers:
        serve(crowded, client, counted=counted_loop())
        assert count(client, 3).json()["outputs"] == {"y": [3.5]}
        for _ in range(usable_cpus() + SPARE_PLACES):
            caller = callers.enter_context(begin_endless_run(crowded, client))
            wait_until(lambda: waiting(client) == 0)
            caller.sendall(more)
        client.get("/metrics")
        callers.close()
        wait_until(lambda: count(client, 3).status_code == 200)


def test_callers_that_leave_free_the_queue_and_every_place(crowded: GatewayProcess) -> None:
    with crowded.client() as client, ExitStack() as callers:
        serve(crowded, client, counted=counted_loop(), same=models.identity())
        assert count(client, 3).json()["outputs"] == {"y": [3.5]}
        for _ in range(usable_cpus() + SPARE_PLACES):
            callers.enter_context(begin_endless_run(crowded, client))
            wait_until(lambda: waiting(client) == 0)
        callers.enter_context(begin_endless_run(crowded, client))
        assert waiting(client) == 1
        refused = count(client, 3)
        assert_problem(refused, 429, code="overloaded", detail="1 requests wait for this version already")
        assert refused.headers["retry-after"] == "1"
        assert ask_the_other(client).json()["outputs"] == {"y": [1.5]}
        callers.close()
        wait_until(lambda: count(client, 3).status_code == 200)
        assert [count(client, trips).json()["outputs"] for trips in range(8)] == [{"y": [n + 0.5]} for n in range(8)]
        assert waiting(client) == 0
        wait_until(lambda: gone(client) == usable_cpus() + SPARE_PLACES + 1)


def gone(client: httpx.Client) -> float:
    """How many callers have left before they were answered."""
    return scrape(client).value("sardonyx_predict_requests_total", code="client_gone", model="counted", version="1")


def test_a_deadline_passes_in_a_run_and_in_the_queue_alike(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", predict_timeout_seconds="0.9") as gateway, gateway.client() as client:
        serve(gateway, client, counted=counted_loop(), same=models.identity())
        wait_until(lambda: count(client, 3).status_code == 200)  # the first ones have to wait for their loads as well
        wait_until(lambda: ask_the_other(client).status_code == 200)
        running, queued = usable_cpus() + SPARE_PLACES, 3
        with ExitStack() as callers:
            connections = [callers.enter_context(begin_endless_run(gateway, client)) for _ in range(running + queued)]
            assert in_time(lambda: ask_the_other(client)).json()["outputs"] == {"y": [1.5]}
            problems = [problem_of(connection) for connection in connections]
        assert {problem["code"] for problem in problems} == {"predict_timeout"}
        assert {problem["status"] for problem in problems} == {504}
        wait_until(lambda: count(client, 3).status_code == 200)
        late = count(client, ENDLESS)
        detail = late.json()["detail"]  # the loop and the watchdog keep the same deadline: either may be first
        assert detail in {"the run took too long", "the run was stopped before it had finished"}
        assert_problem(late, 504, code="predict_timeout", detail=detail)
        assert in_time(lambda: count(client, 4)).json()["outputs"] == {"y": [4.5]}


def in_time(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask until it is not too late: whoever stands still for a moment misses a short deadline."""
    answer = ask_again(ask, status=504, code="predict_timeout")
    assert answer.status_code == 200, answer.text
    return answer


def problem_of(connection: socket.socket) -> dict[str, object]:
    answer = read_answer(connection)
    problem: dict[str, object] = json.loads(answer.body)
    assert problem["instance"] == answer.headers["x-request-id"]
    return problem
