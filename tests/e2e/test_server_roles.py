"""A gateway and a registry as processes of their own, on one database and one store."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import numpy as np
import pytest

from tests.support import models
from tests.support.behind_proxy import ROW
from tests.support.gateway_process import (
    STOP_SECONDS,
    GatewayProcess,
    fixed_port,
    running_gateway,
    wait_for_status,
    wait_until,
)
from tests.support.postgres import make_postgres_database
from tests.support.relay import relaying
from tests.support.rpc import calling, infer_request
from tests.support.uploads import send, upload_and_promote

NATIVE = {"inputs": ROW}
NOT_A_REGISTRY = (
    "this process has the role 'gateway' and answers predictions; the registry, its console and its feed are served by "
    "processes with the role 'registry' or 'all'"
)
NOT_A_GATEWAY = (
    "this process has the role 'registry' and loads no models; predictions, and what other protocols tell of models, "
    "are served by processes with the role 'gateway' or 'all'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    gateway: httpx.Client
    registry: httpx.Client
    grpc_ports: dict[str, int]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("roles")
    ports = {"gateway": fixed_port(), "registry": fixed_port()}
    with ExitStack() as opened:
        clients = {
            role: opened.enter_context(
                opened.enter_context(running(folder, role, grpc_port=str(ports[role]), preload="iris")).client()
            )
            for role in ("registry", "gateway")
        }
        upload_and_promote(clients["registry"], "iris", models.linear(seed=1))
        # The gateway may have looked for it, to preload it, less than a second before it was there.
        wait_until(lambda: clients["gateway"].post("/models/iris/predict", json=NATIVE).status_code == 200)
        yield Pair(gateway=clients["gateway"], registry=clients["registry"], grpc_ports=ports)


def running(folder: Path, role: str, **variables: str) -> AbstractContextManager[GatewayProcess]:
    places = {"database_url": f"sqlite:///{folder}/registry.db", "store": str(folder / "store")}
    return running_gateway(folder / role, role=role, **places, **variables)


def refusal(answer: httpx.Response, detail: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
    assert answer.json() == {
        "type": "/docs/problems#served_elsewhere",
        "title": "Another process serves this",
        "status": 421,
        "detail": detail,
        "instance": answer.headers["x-request-id"],
        "code": "served_elsewhere",
    }


def test_what_a_registry_has_taken_a_gateway_answers(pair: Pair) -> None:
    assert pair.gateway.post("/models/iris/predict", json=NATIVE).json()["version"] == 1
    assert pair.gateway.get("/v1/models/iris/metadata").status_code == 200
    with calling(pair.grpc_ports["gateway"]) as rpc:
        assert rpc.call("ModelInfer", infer_request("iris", x=("FP32", np.array(ROW, np.float32)))).model_version == "1"


@pytest.mark.parametrize(
    "path",
    [
        "/registry/models",
        "/registry/models/iris",
        "/registry/models/iris/aliases/production",
        "/registry/models/iris/versions/1",
        "/registry/models/iris/versions/1/openapi.json",
        "/docs/problems",
        "/health/live",
        "/health/ready",
        "/metrics",
    ],
)
def test_both_answer_what_callers_read(pair: Pair, path: str) -> None:
    assert [client.get(path).status_code for client in (pair.gateway, pair.registry)] == [200, 200]


def test_a_gateway_takes_no_model(pair: Pair) -> None:
    refusal(send(pair.gateway, "iris", b"x" * 100), NOT_A_REGISTRY)


@pytest.mark.parametrize("path", ["/registry/events", "/registry/tokens", "/registry/models/iris/history"])
def test_a_gateway_tells_nothing_of_the_registry(pair: Pair, path: str) -> None:
    refusal(pair.gateway.get(path), NOT_A_REGISTRY)


def test_a_gateway_answers_the_console_with_a_page_that_says_where_it_is(pair: Pair) -> None:
    page = pair.gateway.get("/console")

    assert (page.status_code, page.headers["content-type"]) == (421, "text/html; charset=utf-8")
    assert "processes with the role" in page.text


def test_a_registry_answers_no_prediction(pair: Pair) -> None:
    refusal(pair.registry.post("/models/iris/predict", json=NATIVE), NOT_A_GATEWAY)


@pytest.mark.parametrize("path", ["/v2/models/iris/infer", "/v1/models/iris:predict"])
def test_a_registry_refuses_other_dialects_in_their_own_words(pair: Pair, path: str) -> None:
    answer = pair.registry.post(path, json={})

    assert (answer.status_code, answer.json()) == (421, {"error": f"served_elsewhere: {NOT_A_GATEWAY}"})


def test_a_registry_listens_to_no_grpc(pair: Pair) -> None:
    with calling(pair.grpc_ports["registry"]) as rpc:
        assert rpc.refused("ServerLive")[0] == grpc.StatusCode.UNAVAILABLE.name


def test_a_registry_has_loaded_nothing(pair: Pair) -> None:
    pair.gateway.post("/models/iris/predict", json=NATIVE)

    def resident() -> list[list[str]]:
        return sorted(worker["resident"] for worker in pair.registry.get("/registry/workers").json()["items"])

    wait_until(lambda: resident() == [[], ["iris:1"]])


def test_without_its_database_a_gateway_is_ready_and_a_registry_is_not(tmp_path: Path) -> None:
    database = make_postgres_database()
    port = urlsplit(database).port or 0
    with relaying(port) as wire, ExitStack() as opened:
        url = database.replace(f":{port}/", f":{wire.port}/")
        gateway, registry = (
            opened.enter_context(running_gateway(tmp_path / role, role=role, database_url=url))
            for role in ("gateway", "registry")
        )
        wire.cut()
        problem = wait_for_status(registry, "/health/ready", 503)
        with gateway.client() as client:
            wait_until(lambda: client.get("/health/ready").json()["registry"] == "registry_unavailable")
            status = client.get("/health/ready").status_code

    assert (b'"registry_unavailable"' in problem, status) == (True, 200)


def test_without_its_database_only_reads_may_go_to_another_gateway(tmp_path: Path) -> None:
    database = make_postgres_database()
    port = urlsplit(database).port or 0
    asking = {"x-try-elsewhere": "425"}
    with (
        relaying(port) as wire,
        running_gateway(
            tmp_path, role="gateway", database_url=database.replace(f":{port}/", f":{wire.port}/")
        ) as gateway,
        gateway.client() as client,
    ):
        wire.cut()
        reads = [
            client.get(path, headers=asking)
            for path in (
                "/registry/models",
                "/v2/models/iris/ready",
                "/v2/models/iris/config",
                "/v1/models/iris/metadata",
            )
        ]
        change = client.post("/v2/repository/models/iris/load", json={}, headers=asking)

    assert [(answer.status_code, answer.headers["x-try-elsewhere"]) for answer in reads] == [(425, "yes")] * 4
    assert (change.status_code, "x-try-elsewhere" in change.headers) == (503, False)


def test_a_gateway_that_is_told_to_end_goes_on_as_one_that_is_not_ready(tmp_path: Path) -> None:
    with running(tmp_path, "all", drain_seconds="10") as gateway, gateway.client() as client:
        upload_and_promote(client, "iris", models.linear(seed=1))
        gateway.process.send_signal(signal.SIGTERM)
        problem = wait_for_status(gateway, "/health/ready", 503)
        asked = [client.get("/health/ready", headers={"x-not-ready-status": text}) for text in ("404", "200")]
        answers = [client.post("/v1/models/iris/predict", json=NATIVE) for _ in range(3)]

        assert b'"draining"' in problem
        assert [answer.status_code for answer in asked] == [404, 503]
        assert asked[0].json() == {"status": "not ready", "code": "draining"}
        assert [(answer.status_code, answer.headers["connection"]) for answer in answers] == [(200, "close")] * 3
        assert gateway.process.wait(STOP_SECONDS) == 0


def test_a_gateway_that_drains_is_there_until_what_it_has_begun_is_answered(tmp_path: Path) -> None:
    body = json.dumps(NATIVE).encode()
    with running(tmp_path, "all", drain_seconds="1") as gateway, gateway.client() as client:
        upload_and_promote(client, "iris", models.linear(seed=1))
        place = urlsplit(gateway.url)
        with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=30) as slow:
            head = f"POST /v1/models/iris/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            slow.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:5])
            gateway.process.send_signal(signal.SIGTERM)
            wait_for_status(gateway, "/health/ready", 503)
            late = time.monotonic() + 3
            answers = set()
            while time.monotonic() < late:
                answers.add(client.get("/health/ready").status_code)
            assert answers == {503}
            slow.sendall(body[5:])
            assert slow.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        assert gateway.process.wait(20) == 0
