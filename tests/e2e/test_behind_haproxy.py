"""HAProxy, as it is printed, in front of three real gateways: placement, and what becomes of requests in trouble."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support import models
from tests.support.behind_proxy import ROW, Fleet, running_fleet
from tests.support.gateway_process import GatewayProcess, wait_until
from tests.support.proxies import needs_haproxy
from tests.support.rpc import calling, infer_request
from tests.support.uploads import upload_and_promote

pytestmark = [needs_haproxy, pytest.mark.timeout(400)]  # four gateways are started within a test's time

NAMES = tuple(f"iris{number}" for number in range(12))
SENDERS = 4
MARKS = count()

NATIVE = {"inputs": ROW}
OPEN_INFERENCE = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": ROW[0]}]}
TENSORFLOW = {"instances": ROW}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet"), drain_seconds="8") as fleet, fleet.client() as client:
        for seed, name in enumerate(NAMES):
            upload_and_promote(client, name, models.linear(seed=seed))
        fleet.wait_for(3)
        yield fleet


def ask(client: httpx.Client, path: str, body: object) -> str:
    """Return the mark of a request that was answered well."""
    mark = f"mark={next(MARKS)}."
    answer = client.post(f"{path}?{mark}", json=body)
    assert answer.status_code == 200, answer.text
    return mark


def owner(fleet: Fleet, client: httpx.Client, name: str) -> str:
    return fleet.proxy.server_of(ask(client, f"/v1/models/{name}/predict", NATIVE))


def owners(fleet: Fleet) -> dict[str, str]:
    with fleet.client() as client:
        return {name: owner(fleet, client, name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_version_is_asked_of_one_gateway_in_every_dialect(fleet: Fleet, name: str) -> None:
    with fleet.client() as client:
        marks = [
            ask(client, f"/v1/models/{name}/predict", NATIVE),
            ask(client, f"/v2/models/{name}/versions/1/infer", OPEN_INFERENCE),
            ask(client, f"/v1/models/{name}/versions/1:predict", TENSORFLOW),
        ]
    (by_rest,) = {fleet.proxy.server_of(mark) for mark in marks}

    assert {by_rest} == by_grpc(fleet, name, "1")


@pytest.mark.parametrize("name", NAMES[:2])
def test_what_is_promoted_is_asked_of_one_gateway_in_every_dialect(fleet: Fleet, name: str) -> None:
    with fleet.client() as client:
        marks = [
            ask(client, f"/models/{name}/predict", NATIVE),
            ask(client, f"/models/{name}%40production/predict", NATIVE),
            ask(client, f"/v2/models/{name}/infer", OPEN_INFERENCE),
            ask(client, f"/v1/models/{name}:predict", TENSORFLOW),
        ]
    (by_rest,) = {fleet.proxy.server_of(mark) for mark in marks}

    assert {by_rest} == by_grpc(fleet, name, "")


def by_grpc(fleet: Fleet, name: str, version: str, rows: int = 1) -> set[str]:
    """Return which gateways the proxy asked over gRPC: of a small message, and of one longer than its buffer."""
    before = len(calls(fleet))
    with calling(fleet.proxy.grpc_port or 0) as rpc:
        for many in (rows, 20_000):
            rpc.call("ModelInfer", infer_request(name, version, x=("FP32", np.ones((many, 4), np.float32))))
    wait_until(lambda: len(calls(fleet)) == before + 2)
    return set(calls(fleet)[before:])


def calls(fleet: Fleet) -> list[str]:
    return [served.server for served in fleet.proxy.served() if "/ModelInfer" in served.request]


def test_a_body_that_is_longer_than_the_buffer_of_the_proxy_goes_to_the_same_gateway(fleet: Fleet) -> None:
    with fleet.client() as client:
        short = ask(client, "/v1/models/iris1/predict", NATIVE)
        long = ask(client, "/v1/models/iris1/predict", {"inputs": ROW * 20_000})

    assert fleet.proxy.server_of(short) == fleet.proxy.server_of(long)


def test_the_registry_is_asked_for_the_rest(fleet: Fleet) -> None:
    mark = f"mark={next(MARKS)}."
    with fleet.client() as client:
        assert client.get(f"/registry/workers?{mark}").status_code == 200

    assert fleet.proxy.server_of(mark) == "registry1"


def test_a_gateway_that_has_lost_the_database_fails_no_request(fleet: Fleet) -> None:
    with fleet.client() as client:
        cut = owner(fleet, client, "iris0")
        new = [f"new{number}" for number in range(12)]
        fleet.wires[cut].cut()
        try:
            for seed, name in enumerate(new, 100):
                upload_and_promote(client, name, models.linear(seed=seed))
            servers = [fleet.proxy.server_of(ask(client, f"/models/{name}/predict", NATIVE)) for name in new]
        finally:
            fleet.wires[cut].mend()
        wait_until(lambda: _is_fresh(fleet, cut))

    assert cut not in servers


def _is_fresh(fleet: Fleet, name: str) -> bool:
    with fleet.gateways[name].client() as client:
        return bool(client.get("/health/ready").json().get("registry") == "ok")


def test_what_a_caller_says_about_going_elsewhere_is_overwritten(fleet: Fleet) -> None:
    with fleet.client() as client:
        answer = client.post("/models/nobody/predict", json=NATIVE, headers={"x-try-elsewhere": "425"})

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    assert "x-try-elsewhere" not in answer.headers


def test_a_model_that_is_too_hot_for_one_gateway_is_answered_by_others_as_well(fleet: Fleet) -> None:
    # Runs take much longer than it takes to ask for one: all callers have one under way all the time.
    asked, marks = {"inputs": {"x": [1.0], "trips": 50_000}}, [f"mark={next(MARKS)}." for _ in range(60)]
    with fleet.client() as client, ThreadPoolExecutor(12) as callers:
        upload_and_promote(client, "hot", models.loop(is_asked=True))
        warm_up(fleet, "hot", asked)  # whoever had to load it first would answer fewer
        calm = {fleet.proxy.server_of(ask(client, "/models/hot/predict", asked)) for _ in range(5)}
        answers = list(callers.map(lambda mark: client.post(f"/models/hot/predict?{mark}", json=asked), marks))
    servers = Counter(fleet.proxy.server_of(mark) for mark in marks)

    assert {answer.json()["outputs"]["y"][0] for answer in answers} == {50_001.0}
    assert len(calm) == 1
    # Bounded load leaves a gateway one and a half times its share: half of what is under way, of three.
    assert len(servers) > 1
    assert max(servers.values()) < 0.75 * len(marks)


def warm_up(fleet: Fleet, name: str, body: object) -> None:
    """Have each gateway that runs answer once for a model, past the proxy, which does not log it."""
    for gateway in fleet.gateways.values():
        if gateway.process.poll() is None:
            wait_until(partial(_answers, gateway, name, body))


def _answers(gateway: GatewayProcess, name: str, body: object) -> bool:
    with gateway.client() as client:
        return client.post(f"/models/{name}/predict", json=body).status_code == 200


class Load:
    """Callers that ask for all models again and again, and what was not a good answer."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._over = threading.Event()
        self._has_begun = threading.Barrier(SENDERS + 1)
        self._begun = [0] * SENDERS
        """How many requests each sender has begun."""
        self.failures: list[object] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Return once each caller has asked for each model."""
        senders = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            self._has_begun.wait(60)
            yield
        finally:
            self._over.set()
            for sender in senders:
                sender.join()

    def wait_for_what_is_under_way(self) -> None:
        """Return once what has come of each request that is under way now, and of each sender's next one, is noted."""
        before = list(self._begun)
        wait_until(lambda: all(now >= then + 2 for now, then in zip(self._begun, before, strict=True)))

    def _send(self, sender: int) -> None:
        first = 5 * sender
        with self._fleet.client() as client:
            for number in count(first):
                if number == first + len(NAMES):
                    self._has_begun.wait(60)
                if self._over.is_set():
                    return
                self._begun[sender] += 1
                self._ask(client, NAMES[number % len(NAMES)])

    def _ask(self, client: httpx.Client, name: str) -> None:
        try:
            answer = client.post(f"/v1/models/{name}/predict", json=NATIVE)
        except httpx.HTTPError as error:
            self.failures.append(error)
        else:
            if answer.status_code != 200:
                self.failures.append(answer.text)


def test_a_gateway_that_drains_fails_no_request(fleet: Fleet) -> None:
    load = Load(fleet)
    with load.running():
        assert fleet.gateways["gateway3"].stop() == 0  # the other two are enough for the tests beside this one

    assert load.failures == []


def test_a_killed_gateway_fails_only_what_was_under_way_in_it_and_moves_only_its_share(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet, fleet.client() as client:
        for seed, name in enumerate(NAMES):
            upload_and_promote(client, name, models.linear(seed=seed))
        fleet.wait_for(3)
        before = owners(fleet)
        load = Load(fleet)
        with load.running():
            killed = fleet.gateways["gateway2"]
            for pid in [killed.process.pid, *killed.workers()]:
                os.kill(pid, signal.SIGKILL)
            fleet.wait_for(2)
            load.wait_for_what_is_under_way()
            lost = list(load.failures)
        after = owners(fleet)

        # As many as there can have been in it, twice: it takes connections until the last of its processes is dead.
        assert len(lost) <= 2 * SENDERS
        assert load.failures == lost
        assert set(before.values()) == {"gateway1", "gateway2", "gateway3"}
        moved = {name for name in NAMES if after[name] != before[name]}
        assert moved == {name for name in NAMES if before[name] == "gateway2"}
