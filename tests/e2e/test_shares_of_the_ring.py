"""A gateway with a place on the proxy's ring, which begins while others answer, is warm before it is ready."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from gateway.placement.keys import key_of
from gateway.placement.ring import Ring, Server
from tests.support import models
from tests.support.backend import IS_PRODUCTION
from tests.support.gateway_process import GatewayProcess, backend_environment, running_gateway, wait_until
from tests.support.uploads import upload_and_promote

ROW = {"inputs": [[1, 2, 3, 4]]}
NAMES = tuple(f"model-{number:02}" for number in range(24))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What all gateways share."""
    if not IS_PRODUCTION:
        return {"database_url": f"sqlite:///{tmp_path}/registry.db", "store": str(tmp_path / "store")}
    shared = backend_environment(tmp_path / "shared", {})
    for name, value in shared.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return {name: shared[f"SARDONYX_{name.upper()}"] for name in ("database_url", "store", "s3_endpoint_url")}


@pytest.fixture
def first(tmp_path: Path, places: Mapping[str, str]) -> Iterator[GatewayProcess]:
    """Has place 1, and every model loaded, which were asked for by their alias."""
    with running_gateway(tmp_path / "first", ring_id="1", **places) as gateway, gateway.client() as client:
        for seed, name in enumerate(NAMES):
            upload_and_promote(client, name, models.linear(seed=seed))
            client.post(f"/models/{name}/predict", json=ROW).raise_for_status()
        wait_until(lambda: len(resident(client, gateway)) == len(NAMES))
        yield gateway


def resident(client: httpx.Client, gateway: GatewayProcess) -> set[str]:
    """Return what a gateway says that it has loaded."""
    reports = client.get("/registry/workers").json()["items"]
    return {name for report in reports if report["pid"] in gateway.workers() for name in report["resident"]}


def ahead(gateway: GatewayProcess) -> int:
    """Return how many versions a gateway has loaded before it was ready, by its log."""
    (line,) = [line for line in gateway.log_lines() if line["event"] == "share_loaded"]
    return int(line["versions"])


def share_of(ring_id: int) -> set[str]:
    """Return what the ring of two gives to one of them, where each model is asked for by its alias."""
    ring = Ring([Server(name=f"gateway{id_}", id=id_) for id_ in (1, 2)])
    return {f"{name}:1" for name in NAMES if ring.owner(key_of(name, "production")).id == ring_id}


def test_a_gateway_that_is_added_has_loaded_its_share_before_it_is_ready(
    tmp_path: Path, places: Mapping[str, str], first: GatewayProcess
) -> None:
    share = share_of(2)
    assert 0 < len(share) < len(NAMES)
    second = running_gateway(tmp_path / "second", ring_id="gateway-1", role="gateway", **places)
    with second as gateway, gateway.client() as client, first.client() as watching:
        assert f"sardonyx_resident_sessions {float(len(share))}" in client.get("/metrics").text
        assert ahead(gateway) == len(share)
        wait_until(lambda: resident(watching, gateway) == share)


def test_what_is_promoted_before_anybody_asks_a_gateway_that_was_added_is_warm_there(
    tmp_path: Path, places: Mapping[str, str], first: GatewayProcess
) -> None:
    name = min(share_of(2)).partition(":")[0]
    second = running_gateway(tmp_path / "second", ring_id="2", role="gateway", **places)
    with second as gateway, first.client() as client:
        upload_and_promote(client, name, models.linear(seed=99))
        wait_until(lambda: f"{name}:2" in resident(client, gateway))


def test_a_gateway_that_is_replaced_finds_what_it_had_before(
    tmp_path: Path, places: Mapping[str, str], first: GatewayProcess
) -> None:
    strange = next(name for name in NAMES if f"{name}:1" not in share_of(2))
    with running_gateway(tmp_path / "second", ring_id="2", **places) as gateway, gateway.client() as client:
        client.post(f"/models/{strange}/predict", json=ROW).raise_for_status()
        had = share_of(2) | {f"{strange}:1"}
        with first.client() as watching:
            wait_until(lambda: resident(watching, gateway) == had)
    shutil.rmtree(tmp_path / "second")
    with running_gateway(tmp_path / "second", ring_id="2", **places) as gateway, first.client() as watching:
        wait_until(lambda: resident(watching, gateway) == had)
        assert {report["pid"] for report in watching.get("/registry/workers").json()["items"]} == {
            *first.workers(),
            *gateway.workers(),
        }
    assert [line["versions"] for line in gateway.log_lines() if line["event"] == "share_loaded"] == [
        len(share_of(2)),
        len(had),
    ]


def test_a_gateway_without_others_begins_at_once(
    tmp_path: Path, places: Mapping[str, str], first: GatewayProcess
) -> None:
    first.stop()
    with running_gateway(tmp_path / "again", ring_id="1", **places) as gateway, gateway.client() as client:
        assert ahead(gateway) == 0
        assert "sardonyx_resident_sessions 0.0" in client.get("/metrics").text
