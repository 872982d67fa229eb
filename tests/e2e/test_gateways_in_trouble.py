"""A gateway whose log, descriptors or inspectors are used up goes on; one that ends lets nobody in."""

import os
import resource
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support import models
from tests.support.gateway_process import (
    SARDONYX,
    STOP_SECONDS,
    GatewayProcess,
    clean_environment,
    fixed_port,
    running_gateway,
    wait_for_status,
    wait_until,
    wait_until_ready,
)
from tests.support.inspecting import inspectors
from tests.support.raw_http import read_answer, request_bytes
from tests.support.uploads import upload

MANY = 24
"""More uploads than any pool of the gateway has threads."""


def upload_request(name: str, content: bytes) -> bytes:
    line = f"POST /registry/models/{name}/versions HTTP/1.1"
    return request_bytes(line, "Host: localhost", "Content-Type: application/octet-stream", body=content)


def connected(gateway: GatewayProcess) -> socket.socket:
    parts = urlsplit(gateway.url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)


def is_refused(gateway: GatewayProcess) -> bool:
    try:
        connected(gateway).close()
    except ConnectionRefusedError:
        return True
    return False


def test_inspections_that_take_long_delay_nobody_else_and_end_with_the_gateway(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client, ExitStack() as opened:
        uploads = [opened.enter_context(connected(gateway)) for _ in range(MANY)]
        for number, connection in enumerate(uploads):
            endless = models.loop(width=number + 1).SerializeToString()  # runs for as long as it is let
            connection.sendall(upload_request("endless", endless))
        wait_until(lambda: len(inspectors(gateway.data_dir)) == 2)
        assert client.get("/health/ready").status_code == 200
        assert client.get("/registry/models").status_code == 200
        assert client.post("/models/nosuch/predict", json={}).status_code == 404
        assert client.get("/registry/models/endless").status_code == 404, "an upload was quicker"
        for connection in uploads:
            connection.close()
        assert gateway.stop() == 0
        wait_until(lambda: inspectors(gateway.data_dir) == set())  # whose end nobody waits for


def test_a_log_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    environment = clean_environment() | {
        "SARDONYX_DATA_DIR": str(tmp_path / "data"),
        "SARDONYX_PORT": str(fixed_port()),
    }
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen([SARDONYX, "serve"], env=environment, stdin=subprocess.DEVNULL, stderr=full)
    gateway = GatewayProcess(
        url=f"http://127.0.0.1:{environment['SARDONYX_PORT']}",
        data_dir=tmp_path / "data",
        environment=environment,
        process=process,
        log_path=Path(os.devnull),
    )
    try:
        wait_until_ready(gateway)
        with gateway.client() as client:
            upload(client, "same", models.identity())
            for _ in range(3):
                assert client.post("/v1/models/same/predict", json={"inputs": [1.5]}).status_code == 200
    finally:
        code = gateway.stop()
    assert code == 0


def test_a_supervisor_that_can_start_nobody_tries_again(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        pid = gateway.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: "worker_not_forked" in {line["event"] for line in gateway.log_lines()})
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        wait_until_ready(gateway)


def test_a_gateway_that_ends_lets_nobody_in(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, connected(gateway) as half:
        half.sendall(upload_request("half", b"x" * 100)[:-50])
        with gateway.client() as client:  # its answer says that the half request has been begun
            assert client.get("/health/live").status_code == 200
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(gateway))
        assert gateway.process.poll() is None
        half.sendall(b"x" * 50)
        assert read_answer(half).status == 422
        half.close()
        assert gateway.process.wait(STOP_SECONDS) == 0


@pytest.mark.parametrize("query", ["description=there", "tag=a:b", "sha256=sha256:" + "0" * 64])
def test_what_belongs_into_a_json_body_is_refused_beside_it(gateway: GatewayProcess, query: str) -> None:
    with gateway.client() as client:
        answer = client.post(f"/registry/models/beside/versions?{query}", json={"files": {"a": "sha256:" + "0" * 64}})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    name = query.partition("=")[0]
    detail = f"'{name}' does not go with a JSON body: write it into the body, where it has its place there"
    assert answer.json()["detail"] == detail


def test_pages_of_history_come_one_after_the_other(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        for seed in range(2):
            upload(client, "paged", models.linear(seed=seed + 40))
        for number in (1, 2, 1, 2, 1):
            client.put("/registry/models/paged/aliases/production", json={"version": number})
        pages = list(history_pages(client, limit=2))
        whole = client.get("/registry/models/paged/history").json()
    assert [[move["to"] for move in page] for page in pages] == [[1, 2], [1, 2], [1]]
    assert (whole["items"], whole["next"]) == ([move for page in pages for move in page], None)


def history_pages(client: httpx.Client, *, limit: int) -> list[list[dict[str, object]]]:
    pages, after = [], 0
    while after is not None:
        page = client.get("/registry/models/paged/history", params={"limit": limit, "after": after}).json()
        pages.append(page["items"])
        after = page["next"]
    return pages


@pytest.mark.parametrize("path", ["/registry/events", "/registry/models/paged/history"])
@pytest.mark.parametrize("after", ["9223372036854775808", "-1", "x", "1e3"])
def test_a_cursor_that_no_page_has_ended_with_is_refused(gateway: GatewayProcess, path: str, after: str) -> None:
    with gateway.client() as client:
        answer = client.get(path, params={"after": after})
        wait_for_status(gateway, "/health/ready", 200)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_text_that_is_no_text_is_refused_with_a_problem(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        body = b'{"version": 1, "reason": ["\\ud800"]}'
        path = "/registry/models/paged/aliases/production"
        answer = client.put(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
