"""Each answer, whichever way it was made, is counted once in every phase; over two workers, and when one has died."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import isclose

import httpx
import numpy as np
import pytest

from tests.support import models
from tests.support.gateway_process import GatewayProcess, fixed_port, running_gateway, wait_until
from tests.support.raw_http import connected, go_on, request_bytes
from tests.support.rpc import RpcCaller, infer_request
from tests.support.scrapes import Scrape, scrape
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload

TIMES = 12
ROW = [[1.0, 2.0, 3.0, 4.0]]
ALWAYS = ("queue", "decode", "run", "encode")
PICTURE = np.ones((1, 3, 112, 112), np.float32)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(
        tmp_path_factory.mktemp("phases") / "data", workers="2", grpc_port=str(fixed_port())
    ) as running:
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def phase_counts(seen: Scrape, name: str) -> dict[str, float]:
    return seen.by("phase", "sardonyx_phase_seconds_count", model=name, version="1")


def answered(seen: Scrape, name: str) -> float:
    return seen.value("sardonyx_predict_requests_total", code="ok", model=name, version="1")


def ask_plainly(gateway: GatewayProcess, name: str) -> None:
    with gateway.client() as client:
        client.post(f"/v1/models/{name}/predict", json={"inputs": ROW}).raise_for_status()


def ask_with_an_own_id(gateway: GatewayProcess, name: str) -> None:
    with gateway.client() as client:
        headers = {"x-request-id": "mine"}
        client.post(f"/v1/models/{name}/predict", json={"inputs": ROW}, headers=headers).raise_for_status()


def ask_in_pieces(gateway: GatewayProcess, name: str) -> None:
    with gateway.client() as client:
        pieces = iter((b'{"inputs": ', json.dumps(ROW).encode(), b"}"))
        headers = {"content-type": "application/json"}
        client.post(f"/v1/models/{name}/predict", content=pieces, headers=headers).raise_for_status()


def ask_as_open_inference(gateway: GatewayProcess, name: str) -> None:
    with gateway.client() as client:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": ROW[0]}
        client.post(f"/v2/models/{name}/versions/1/infer", json={"inputs": [tensor]}).raise_for_status()


def ask_as_tensorflow(gateway: GatewayProcess, name: str) -> None:
    with gateway.client() as client:
        client.post(f"/v1/models/{name}/versions/1:predict", json={"instances": ROW}).raise_for_status()


def ask_over_grpc(gateway: GatewayProcess, name: str) -> None:
    caller = RpcCaller(int(gateway.environment["SARDONYX_GRPC_PORT"]))
    caller.call("ModelInfer", infer_request(name, "1", x=("FP32", np.array(ROW, np.float32))))
    caller.channel.close()


ONE_BY_ONE: dict[str, Callable[[GatewayProcess, str], None]] = {
    "plain": ask_plainly,
    "own-id": ask_with_an_own_id,
    "in-pieces": ask_in_pieces,
    "open-inference": ask_as_open_inference,
    "tensorflow": ask_as_tensorflow,
    "grpc": ask_over_grpc,
}


def assert_counted(client: httpx.Client, name: str, times: int, most_loads: int = 2) -> Scrape:
    """Hold what is shown against so many answers, of which each worker's first ones had to wait for a load."""
    seen = scrape(client)
    counts = phase_counts(seen, name)
    assert (answered(seen, name), 1 <= counts.pop("load") <= most_loads) == (times, True)
    assert counts == dict.fromkeys(ALWAYS, times)
    parts = seen.by("phase", "sardonyx_phase_seconds_sum", model=name, version="1")
    whole = seen.value("sardonyx_predict_seconds_sum", model=name, version="1")
    assert isclose(sum(parts.values()), whole, rel_tol=1e-6)
    assert all(parts.values())
    return seen


@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_each_answer_is_counted_in_every_phase(gateway: GatewayProcess, client: httpx.Client, way: str) -> None:
    upload(client, way, models.linear())
    wait_until_settled(gateway, way)
    for _ in range(TIMES):
        ONE_BY_ONE[way](gateway, way)
    assert_counted(client, way, TIMES)


def test_those_who_share_a_run_are_counted_each(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "shared", models.linear())
    wait_until_settled(gateway, "shared")
    body = json.dumps({"inputs": ROW}).encode()
    request = request_bytes(
        "POST /v1/models/shared/predict HTTP/1.1", "Host: localhost", "Content-Type: application/json", body=body
    )
    with ExitStack() as opened:
        connections = [opened.enter_context(connected(gateway.url)) for _ in range(TIMES)]
        for place, connection in enumerate(connections):
            connection.sendall(request)
            connections[place] = go_on(connection, opened)
        for _ in range(3):
            for worker in gateway.workers():
                os.kill(worker, signal.SIGSTOP)
            for connection in connections:
                connection.sendall(request)
            for worker in gateway.workers():
                os.kill(worker, signal.SIGCONT)
            connections = [go_on(connection, opened) for connection in connections]
    # The second worker's first ones may come together, and wait for one load.
    assert_counted(client, "shared", TIMES * 4, most_loads=1 + TIMES)


def test_long_runs_are_counted_by_the_time_that_they_took(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "long", models.deep_conv())
    wait_until_settled(gateway, "long")
    for _ in range(3):
        client.post("/v1/models/long/predict", json={"inputs": PICTURE.tolist()}).raise_for_status()
    seen = assert_counted(client, "long", 3)
    assert seen.by("le", "sardonyx_phase_seconds_bucket", phase="run", model="long", version="1")["0.001"] == 0


def test_what_runs_in_a_child_is_counted(client: httpx.Client) -> None:
    upload(client, "apart", models.linear())
    client.patch("/registry/models/apart/versions/1", json={"isolation": "isolated"}).raise_for_status()
    for _ in range(TIMES):
        client.post("/v1/models/apart/predict", json={"inputs": ROW}).raise_for_status()
    assert_counted(client, "apart", TIMES)


def test_what_was_not_answered_well_has_no_phases(client: httpx.Client) -> None:
    upload(client, "refused", models.linear())
    for _ in range(TIMES):
        assert client.post("/v1/models/refused/predict", json={"inputs": [[1.0]]}).status_code == 422
    assert client.post("/v1/models/refused/validate", json={"inputs": ROW}).status_code == 200
    assert phase_counts(scrape(client), "refused") == {}


def test_a_worker_that_dies_takes_no_count_with_it(gateway: GatewayProcess, client: httpx.Client) -> None:
    upload(client, "lasting", models.linear())
    for _ in range(TIMES):
        ask_plainly(gateway, "lasting")
    before = set(gateway.workers())
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(set(gateway.workers()) - before) == 2)
    for _ in range(TIMES):
        ask_plainly(gateway, "lasting")
    with gateway.client() as another:
        counts = phase_counts(scrape(another), "lasting")
    assert {phase: counts[phase] for phase in ALWAYS} == dict.fromkeys(ALWAYS, TIMES * 2)
