"""Processes that start, end, die and come back; and a database that is not what it should be."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from registry.sql import schema
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.gateway_process import (
    SARDONYX,
    STOP_SECONDS,
    GatewayProcess,
    children_of,
    clean_environment,
    running_gateway,
    started_gateway,
    wait_for_status,
    wait_until,
    wait_until_ready,
)
from tests.support.raw_http import read_answer, request_bytes
from tests.support.scrapes import scrape
from tests.support.uploads import upload


def run(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [SARDONYX, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_busy_port_is_named(gateway: GatewayProcess, tmp_path: Path) -> None:
    port = str(urlsplit(gateway.url).port)
    done = run("serve", "--port", port, "--data-dir", str(tmp_path), environment=clean_environment())
    assert (done.returncode, f"127.0.0.1:{port}" in done.stderr) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_has_begun_is_answered_before_the_gateway_ends(tmp_path: Path, number: signal.Signals) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client, ExitStack() as stack:
        upload(client, "slow", models.wide_linear(1024, 8))
        body = json.dumps({"inputs": [[0.5] * 1024] * 512}).encode()
        begun = [stack.enter_context(half_sent(gateway, body)) for _ in range(2)]
        for connection in begun:
            connection.sendall(body[-1:])
        os.kill(gateway.process.pid, number)
        assert [read_answer(connection).status for connection in begun] == [200, 200]
        assert gateway.process.wait(STOP_SECONDS) == 0


def half_sent(gateway: GatewayProcess, body: bytes) -> socket.socket:
    """A connection on which a worker has begun to read a request; its last byte is still to be sent."""
    parts = urlsplit(gateway.url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
    line = "POST /v1/models/slow/predict HTTP/1.1"
    request = request_bytes(line, "Host: localhost", "Expect: 100-continue", body=body)
    connection.sendall(request[: -len(body)])
    assert read_answer(connection).status == 100
    connection.sendall(body[:-1])
    return connection


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "same", models.identity())
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: gateway.workers() not in ([], [worker]))
        wait_until_ready(gateway)
        assert client.post("/v1/models/same/predict", json={"inputs": [1.5]}).status_code == 200
        assert "worker_died" in {line["event"] for line in gateway.log_lines()}


def test_deaths_of_workers_are_counted_by_what_ended_them_and_those_that_follow_know(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", workers="2") as gateway:

        def deaths() -> dict[str, float]:
            with gateway.client() as client:
                found = scrape(client).by("cause", "sardonyx_worker_deaths_total")
            return {cause: count for cause, count in found.items() if count}

        wait_until(lambda: len(gateway.workers()) == 2)
        assert deaths() == {}
        before = gateway.workers()
        for worker, number in zip(before, (signal.SIGKILL, signal.SIGSEGV), strict=True):
            os.kill(worker, number)
        wait_until(lambda: len(gateway.workers()) == 2 and not {*before} & {*gateway.workers()})
        wait_until_ready(gateway)
        assert deaths() == {"SIGKILL": 1.0, "SIGSEGV": 1.0}


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        wait_until(lambda: len(standby_of(gateway)) == 1)
        processes = [*gateway.workers(), *standby_of(gateway), *forerunner_of(gateway)]
        gateway.process.kill()
        gateway.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{process}").exists() for process in processes))


def test_two_workers_both_follow_a_promotion(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", workers="2") as gateway, gateway.client() as client:
        upload(client, "same", models.identity())
        wait_until(lambda: len(client.get("/registry/workers").json()["items"]) == 2)
        done = run("promote", "same", "1", "--wait", environment=gateway.environment)
        assert done.returncode == 0, done.stderr
        for _ in range(20):
            with gateway.client() as fresh:
                assert fresh.post("/models/same/predict", json={"inputs": [1.5]}).status_code == 200


@embedded_only
@pytest.mark.parametrize("obstacle", ["folder", "garbage"])
def test_a_gateway_lives_without_its_database_and_is_ready_when_it_is_there(tmp_path: Path, obstacle: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = data / "registry.sqlite3"
    if obstacle == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"no database at all" * 100)
    with started_gateway(data) as gateway:
        wait_for_status(gateway, "/health/live", 200)
        with gateway.client() as client:
            answer = client.get("/health/ready")
            assert (answer.status_code, answer.json()["code"]) == (503, "registry_unavailable")
            if obstacle == "folder":
                path.rmdir()
            else:
                path.unlink()
            wait_until_ready(gateway)
            upload(client, "same", models.identity())


@embedded_only
@pytest.mark.parametrize("revision", ["ffff", None], ids=["newer", "none"])
def test_another_schema_is_named_by_the_gateway_and_by_the_commands(tmp_path: Path, revision: str | None) -> None:
    data = tmp_path / "data"
    environment = clean_environment() | {"SARDONYX_DATA_DIR": str(data)}
    assert run("db", "upgrade", environment=environment).returncode == 0
    with sqlite3.connect(data / "registry.sqlite3") as database:
        if revision is None:
            database.execute("DELETE FROM alembic_version")
        else:
            database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    database.close()
    done = run("models", "--json", environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert schema.head_revision() in done.stderr
    assert revision is None or revision in done.stderr
    with started_gateway(data) as gateway:
        wait_for_status(gateway, "/health/live", 200)
        with gateway.client() as client:
            wait_until(lambda: client.get("/health/ready").json().get("code") == "schema_mismatch")
            answer = client.get("/health/ready")
            assert answer.status_code == 503
            assert schema.head_revision() in answer.json()["detail"]


def test_metrics_can_be_parsed_and_count_what_happened(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        upload(client, "counted", models.identity())
        for value in ([1.5], [2.5], [True]):
            client.post("/v1/models/counted/predict", json={"inputs": value})
        text = client.get("/metrics").text
    samples = {
        sample.labels["code"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "sardonyx_predict_requests_total" and sample.labels["model"] == "counted"
    }
    assert samples == {"ok": 2.0, "invalid_dtype": 1.0}


def test_the_documentation_needs_nobody_else_and_its_example_works(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        upload(client, "shown", models.linear())
        client.put("/registry/models/shown/aliases/production", json={"version": 1})
        page = client.get("/docs").text
        assert "https://" not in page
        assert "http://" not in page
        for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
            assert f"/docs/assets/{name}" in page
            assert client.get(f"/docs/assets/{name}").status_code == 200
        document = client.get("/openapi.json").json()
        operation = document["paths"]["/models/shown/predict"]["post"]
        body = operation["requestBody"]["content"]["application/json"]["example"]
        assert client.post("/models/shown/predict", json=body).status_code == 200
        assert client.get("/docs/problems").status_code == 200


def test_every_line_of_the_log_is_json_with_a_request_id(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        client.get("/registry/models/logged%0Aline", headers={"x-request-id": "mine-17"})

    def entry() -> bool:
        return any(line.get("request_id") == "mine-17" for line in gateway.log_lines())

    wait_until(entry)
    assert all("event" in line for line in gateway.log_lines())


def forerunner_of(gateway: GatewayProcess) -> list[int]:
    return children_of(gateway.process.pid, "gateway.forerunner")


def standby_of(gateway: GatewayProcess) -> list[int]:
    return children_of(gateway.process.pid, "gateway.standby")


def known(client: httpx.Client) -> set[int]:
    """The process ids of the workers that the registry has heard of."""
    return {item["pid"] for item in client.get("/registry/workers").json()["items"]}


def test_a_worker_that_stands_by_serves_when_another_dies_and_the_next_stands_by(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "same", models.identity())
        for _ in range(3):
            wait_until(lambda: len(standby_of(gateway)) == 1)
            (worker,), (ready,) = gateway.workers(), standby_of(gateway)
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda worker=worker: gateway.workers() not in ([], [worker]))
            assert gateway.workers() == [ready]
            assert client.post("/v1/models/same/predict", json={"inputs": [1.5]}).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked to", "killed"])
def test_one_that_stands_by_is_no_worker_and_is_made_again_when_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    with running_gateway(tmp_path / "data", workers="2") as gateway, gateway.client() as client:
        wait_until(lambda: len(standby_of(gateway)) == 1)
        (ready,), workers = standby_of(gateway), gateway.workers()
        wait_until(lambda: known(client) == set(workers))
        # A fork has one thread until the supervisor has heard of it.
        wait_until(lambda: len(list(Path(f"/proc/{ready}/task").iterdir())) > 1)
        os.kill(ready, number)
        wait_until(lambda: standby_of(gateway) not in ([], [ready]))
        died = [line for line in gateway.log_lines() if line["event"] == "standby_died"]
        assert [(line["pid"], line["exit_code"]) for line in died] == [(ready, -number)]
        assert (known(client), set(gateway.workers())) == (set(workers), set(workers))
        shown = scrape(client)
        assert not any(shown.by("cause", "sardonyx_worker_deaths_total").values())
        wait_until(lambda: scrape(client).value("sardonyx_workers") == 2)


def test_workers_are_forks_and_outlive_what_they_are_forks_of(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", workers="2") as gateway, gateway.client() as client:
        upload(client, "same", models.identity())
        wait_until(lambda: len(standby_of(gateway)) == 1)  # the last of those that are forked
        workers, (before,) = gateway.workers(), forerunner_of(gateway)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: forerunner_of(gateway) not in ([], [before]))
        assert gateway.workers() == workers
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: len(set(gateway.workers()) - {workers[0]}) == 2)
        for _ in range(20):
            with gateway.client() as fresh:
                assert fresh.post("/v1/models/same/predict", json={"inputs": [1.5]}).status_code == 200
        exit_codes = [line["exit_code"] for line in gateway.log_lines() if line["event"] == "forerunner_died"]
        assert exit_codes == [-signal.SIGKILL]


def test_after_a_damaged_worker_the_next_ones_lie_elsewhere_in_memory(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        wait_until(lambda: len(standby_of(gateway)) == 1)  # the last of those that are forked
        (worker,), (forerunner,) = gateway.workers(), forerunner_of(gateway)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: gateway.workers() not in ([], [worker]))
        wait_until(lambda: forerunner_of(gateway) == [forerunner])  # a fork is called so until it has a name of its own
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGSEGV)
        wait_until(lambda: gateway.workers() not in ([], [worker]))
        wait_until(lambda: len(forerunner_of(gateway)) == 1 and forerunner_of(gateway) != [forerunner])
        wait_until_ready(gateway)


def test_nothing_is_left_when_a_gateway_has_ended(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        wait_until(lambda: len(standby_of(gateway)) == 1)
        (standby,), others = standby_of(gateway), [*gateway.workers(), *forerunner_of(gateway)]
        assert (len(others), gateway.stop()) == (2, 0)
        assert [pid for pid in others if Path(f"/proc/{pid}").exists()] == []
        wait_until(lambda: not Path(f"/proc/{standby}").exists())  # killed, and not waited for for long
