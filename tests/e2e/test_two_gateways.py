"""Two gateways on one database and one store: both write, both follow, somebody sweeps, and nothing is lost."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from tests.support import models
from tests.support.asking_again import ask_again
from tests.support.backend import embedded_only
from tests.support.gateway_process import (
    SARDONYX,
    GatewayProcess,
    backend_environment,
    running_gateway,
    wait_until,
    wait_until_ready,
)
from tests.support.running import run
from tests.support.uploads import send, upload

ROW = {"inputs": [[1, 2, 3, 4]]}
UPLOADS = 16
MOVES = 20


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    shared = backend_environment(tmp_path / "shared", {})
    for name, value in shared.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    database = shared.get("SARDONYX_DATABASE_URL", f"sqlite:///{tmp_path}/registry.db")
    places = {"database_url": database, "store": shared.get("SARDONYX_STORE", str(tmp_path / "store"))}
    if "SARDONYX_S3_ENDPOINT_URL" in shared:
        places["s3_endpoint_url"] = shared["SARDONYX_S3_ENDPOINT_URL"]
    with ExitStack() as opened:
        first = opened.enter_context(running_gateway(tmp_path / "first", **places))
        yield first, opened.enter_context(running_gateway(tmp_path / "second", **places))


def live(client: httpx.Client, name: str) -> int:
    answer = client.post(f"/models/{name}/predict", json=ROW)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


def test_each_follows_what_the_other_has_done(pair: tuple[GatewayProcess, GatewayProcess]) -> None:
    first, second = pair
    with first.client() as here, second.client() as there:
        upload(here, "shared", models.linear(seed=1))
        upload(there, "shared", models.linear(seed=2))
        for client, other, number in ((here, there, 1), (there, here, 2), (here, there, 1)):
            moved = client.put("/registry/models/shared/aliases/production", json={"version": number})
            assert moved.status_code == 200, moved.text
            wait_until(lambda other=other, number=number: live(other, "shared") == number)
        wait_until(lambda: pids(here) == sorted(first.workers() + second.workers()))
        done = run(SARDONYX, "rollback", "shared", "--wait", environment=first.environment)
        assert done.returncode == 0, done.stderr
        assert (live(here, "shared"), live(there, "shared")) == (2, 2)
        there.delete("/registry/models/shared/versions/1").raise_for_status()
        wait_until(lambda: here.post("/v1/models/shared/predict", json=ROW).status_code == 410)


def pids(client: httpx.Client) -> list[int]:
    """Of the workers that the registry has heard of."""
    return sorted(worker["pid"] for worker in client.get("/registry/workers").json()["items"])


def unless_busy(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask once more if need be: where a disk stands still for seconds, the registry is busy for whoever waits."""
    return ask_again(ask, status=503, code="registry_busy", times=2)


def upload_many(gateway: GatewayProcess, first_seed: int) -> list[dict[str, Any]]:
    with gateway.client() as client:
        answers = [
            unless_busy(lambda seed=first_seed + number: send(client, "busy", models.linear(seed=seed)))  # type: ignore[misc]
            for number in range(UPLOADS)
        ]
    assert [(answer.status_code, answer.text) for answer in answers if answer.status_code != 201] == []
    return [answer.json() for answer in answers]


def move_often(gateway: GatewayProcess, turn: int) -> list[int]:
    path = "/registry/models/moving/aliases/production"
    versions = [1 + (turn + number) % 2 for number in range(MOVES)]
    with gateway.client() as client:
        moves = [unless_busy(lambda to=to: client.put(path, json={"version": to})) for to in versions]  # type: ignore[misc]
    return [move.status_code for move in moves]


def sweep(gateway: GatewayProcess, is_over: Event) -> set[int]:
    codes = set()
    while not is_over.is_set():
        codes.add(run(SARDONYX, "fsck", "--repair", "--quick", environment=gateway.environment).returncode)
    return codes


def test_uploads_promotions_and_sweeps_at_once_lose_nothing(pair: tuple[GatewayProcess, GatewayProcess]) -> None:
    is_over = Event()
    first, second = pair
    with first.client() as client:
        for seed in (1, 2):
            upload(client, "moving", models.linear(seed=seed))
    with ThreadPoolExecutor(8) as pool:
        sweeping = pool.submit(sweep, second, is_over)
        uploading = [pool.submit(upload_many, gateway, seed) for gateway, seed in ((first, 100), (second, 200))]
        moving = [pool.submit(move_often, gateway, turn) for turn, gateway in enumerate(pair)]
        versions = [version for future in uploading for version in future.result()]
        statuses = {status for future in moving for status in future.result()}
        is_over.set()
        assert sweeping.result() <= {0, 1}  # 1: it saw bytes whose row was still to come
    assert statuses == {200}
    assert sorted(version["version"] for version in versions) == list(range(1, 2 * UPLOADS + 1))
    with second.client() as client:
        wait_until_ready(second)
        for version in versions:
            path = f"/registry/models/busy/versions/{version['version']}"
            assert client.get(path).json() == version
            assert client.post(f"/v{version['version']}/models/busy/predict", json=ROW).status_code == 200
        moves = client.get("/registry/models/moving/history").json()["items"]
    assert [move["from"] for move in moves] == [None, *(move["to"] for move in moves[:-1])]
    checked = run(SARDONYX, "fsck", environment=first.environment)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@embedded_only
def test_a_worker_that_cannot_follow_says_so_and_goes_on_as_before(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/registry.db"
    whole, lacking = tmp_path / "store", tmp_path / "lacking"
    with running_gateway(tmp_path / "first", database_url=database, store=str(whole)) as first, first.client() as here:
        upload(here, "lost", models.linear(seed=1))
        here.put("/registry/models/lost/aliases/production", json={"version": 1}).raise_for_status()
        shutil.copytree(whole, lacking)
        upload(here, "lost", models.linear(seed=2))
        places = {"database_url": database, "store": str(lacking)}
        with running_gateway(tmp_path / "second", **places) as second, second.client() as there:
            assert live(there, "lost") == 1
            done = run(SARDONYX, "promote", "lost", "2", "--wait", environment=first.environment)
            (worker,) = second.workers()
            assert (done.returncode, f":{worker} (artifact_missing)" in done.stderr) == (1, True), done.stderr
            assert (live(here, "lost"), live(there, "lost")) == (2, 1)
            assert failures(here, worker) == [("lost", "production", 2, "artifact_missing")]
            shutil.copytree(whole, lacking, dirs_exist_ok=True)
            wait_until(lambda: live(there, "lost") == 2 and failures(here, worker) == [])


def failures(client: httpx.Client, pid: int) -> list[tuple[str, str, int, str]]:
    (report,) = [one for one in client.get("/registry/workers").json()["items"] if one["pid"] == pid]
    return [(one["model"], one["alias"], one["version"], one["code"]) for one in report["failed"]]
