"""A cache that cannot be used, and a database that somebody else holds: said as it is, and over when it is over."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import models
from tests.support.backend import embedded_only
from tests.support.gateway_process import (
    GatewayProcess,
    running_gateway,
    started_gateway,
    wait_for_status,
    wait_until,
    wait_until_ready,
)
from tests.support.problems import assert_problem
from tests.support.uploads import upload

MIB = 1 << 20
ROW = {"inputs": [[0, 0, 0, 0]]}
ANSWER = {"y": [[0.0, 0.0, 0.0]]}
NO_LINKS = "the artifact cache's folder is a symbolic link, which is not followed"


def predict(client: httpx.Client, name: str) -> httpx.Response:
    row = {"inputs": [[0] * 1024]} if name == "wide" else ROW
    return client.post(f"/v1/models/{name}/predict", json=row)


def assert_it_answers(client: httpx.Client, name: str) -> None:
    answer = predict(client, name)
    assert (answer.status_code, answer.json()["outputs"]) == (200, ANSWER)


# --- the artifact cache -----------------------------------------------------------------------------------------------


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    """A data folder with three models: ``one``, ``two``, and ``wide`` of four mebibytes."""
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "one", models.linear(seed=0))
        upload(client, "two", models.linear(seed=1))
        upload(client, "wide", models.wide_linear(1024))
    return tmp_path / "data"


def make_link(place: Path) -> None:
    target = place.with_name("elsewhere")
    target.mkdir()
    place.symlink_to(target)


def make_file(place: Path) -> None:
    place.write_bytes(b"")


@pytest.mark.parametrize(
    ("obstruct", "detail"),
    [(make_link, NO_LINKS), (make_file, "preparing the artifact cache failed: File exists")],
    ids=["link", "file"],
)
def test_a_cache_that_cannot_be_used_is_said_at_the_start_and_by_cold_loads(
    registered: Path, obstruct: Callable[[Path], None], detail: str
) -> None:
    place = registered.with_name("another-cache")
    obstruct(place)
    with started_gateway(registered, cache_dir=str(place)) as gateway, gateway.client() as client:
        wait_for_status(gateway, "/health/live", 200)
        wait_until(lambda: client.get("/health/ready").json().get("code") == "storage_unavailable")
        assert_problem(client.get("/health/ready"), 503, code="storage_unavailable", detail=detail)
        refused = predict(client, "one")
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert list(registered.with_name("elsewhere").glob("*")) == []  # nothing was written outside
        place.unlink()
        wait_until_ready(gateway)
        wait_until(lambda: predict(client, "one").status_code == 200)
        assert_it_answers(client, "two")


def test_a_cache_on_a_full_disk_refuses_cold_loads_and_spares_what_is_loaded(registered: Path) -> None:
    place = registered.with_name("another-cache")
    with running_gateway(registered, cache_dir=str(place)) as gateway, gateway.client() as client:
        assert_it_answers(client, "one")
        (worker,) = gateway.workers()
        # No file of the worker may grow beyond this: as full as a disk can be made without being root.
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (2 * MIB, resource.RLIM_INFINITY))
        refused = predict(client, "wide")
        detail = "there is not enough disk space for copying into the artifact cache"
        assert_problem(refused, 507, code="insufficient_storage", detail=detail)
        assert_it_answers(client, "one")
        wait_until(lambda: not list((place / ".tmp").iterdir()))  # a copy ahead of any request may be failing just now
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: predict(client, "wide").status_code == 200)
        assert gateway.workers() == [worker]


# --- SQLite, and somebody who writes ----------------------------------------------------------------------------------


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[GatewayProcess, sqlite3.Connection]]:
    """A gateway whose database another process will not let go of."""
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        for seed in (1, 2):
            upload(client, "m", models.linear(seed=seed))
        assert_it_answers(client, "m")
        other = sqlite3.connect(gateway.data_dir / "registry.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield gateway, other
        other.close()


WRITES: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "a description": ("PATCH", "/registry/models/m", {"description": "another"}),
    "a version's tags": ("PATCH", "/registry/models/m/versions/1", {"tags": {"team": "b"}}),
    "a promotion": ("PUT", "/registry/models/m/aliases/production", {"version": 1}),
    "a retirement": ("DELETE", "/registry/models/m/versions/2", None),
    "a token": ("POST", "/registry/tokens", {"name": "late", "role": "predict"}),
    "an example": ("POST", "/registry/models/m/versions/1/examples", ROW),
}


@embedded_only
def test_while_somebody_else_writes_every_writer_is_told_and_every_reader_answered(
    locked: tuple[GatewayProcess, sqlite3.Connection],
) -> None:
    gateway, other = locked

    def write(what: str) -> httpx.Response:
        method, path, body = WRITES[what]
        with gateway.client() as own:
            return own.request(method, path, json=body)

    with gateway.client() as client, ThreadPoolExecutor(len(WRITES)) as pool:
        before = client.get("/registry/events").json()
        writing = [pool.submit(write, what) for what in WRITES]
        for path in ("/registry/models", "/registry/models/m/history", "/health/ready"):
            assert client.get(path).status_code == 200
        assert_it_answers(client, "m")
        for future in writing:
            answer = future.result()
            assert_problem(answer, 503, code="registry_busy", detail="another writer holds the registry's database")
            assert answer.headers["retry-after"] == "1"
        assert client.get("/registry/events").json() == before
        other.execute("ROLLBACK")
        assert {what: write(what).status_code for what in WRITES} == {
            "a description": 200,
            "a version's tags": 200,
            "a promotion": 200,
            "a retirement": 200,
            "a token": 201,
            "an example": 200,
        }
        assert_it_answers(client, "m")
