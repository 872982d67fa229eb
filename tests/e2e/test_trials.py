"""Trying a version beside the one that answers: canaries that are dropped by themselves, shadows that nobody sees."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.support import models
from tests.support.gateway_process import SARDONYX, GatewayProcess, wait_until
from tests.support.uploads import upload

ROW = [[1.0, 2.0, 3.0, 4.0]]


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def register(client: httpx.Client, name: str, *sources: onnx.ModelProto) -> None:
    for source in sources:
        upload(client, name, source)


def put(client: httpx.Client, name: str, version: int, **more: Any) -> httpx.Response:
    return client.put(f"/registry/models/{name}/aliases/production", json={"version": version, **more})


def live(client: httpx.Client, name: str) -> dict[str, Any]:
    alias: dict[str, Any] = client.get(f"/registry/models/{name}/aliases/production").json()
    return alias


def predict(client: httpx.Client, name: str, rows: list[list[float]] | None = None) -> httpx.Response:
    return client.post(f"/models/{name}/predict", json={"inputs": rows or ROW})


def picky() -> onnx.ModelProto:
    """Like ``models.linear`` with one class, but it fails on every request: its answer has an element too few."""
    rows = numpy_helper.from_array(np.array([7, 7], np.int64), "shape")
    return models.model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [models.value("x", shape=("batch", 4))],
        [models.value("y", shape=("batch", 3))],
        initializers=[rows],
    )


# --- canaries ---------------------------------------------------------------------------------------------------------


def test_a_canary_that_fails_too_often_is_dropped_by_itself(client: httpx.Client) -> None:
    register(client, "failing", models.linear(), picky())
    put(client, "failing", 1)
    canary = {"version": 2, "percent": 50, "max_error_rate": 0.02}
    assert put(client, "failing", 1, canary=canary).json()["canary"] == canary
    statuses = set()

    def is_dropped() -> bool:
        statuses.add(predict(client, "failing").status_code)
        return live(client, "failing")["canary"] is None

    wait_until(is_dropped)
    assert {422} <= statuses <= {200, 422}
    wait_until(lambda: [predict(client, "failing").status_code for _ in range(20)] == [200] * 20)
    (event,) = [
        event
        for event in client.get("/registry/events?limit=1000").json()["items"]
        if event["actor"] == "gateway" and event["model"] == "failing"
    ]
    assert event["detail"]["reason"].startswith("canary dropped: 3 of its last")
    assert (event["detail"]["kind"], event["detail"]["canary"]) == ("canary", None)


def test_a_canary_that_is_too_slow_is_dropped_by_itself(client: httpx.Client) -> None:
    register(client, "slow", models.linear(seed=1), models.linear(seed=2))
    put(client, "slow", 1)
    put(client, "slow", 1, canary={"version": 2, "percent": 100, "max_latency_ms": 0.001})

    def is_dropped() -> bool:
        assert predict(client, "slow").status_code == 200
        return live(client, "slow")["canary"] is None

    wait_until(is_dropped)
    wait_until(lambda: predict(client, "slow").json()["version"] == 1)


def test_a_canary_within_its_limits_stays_and_is_counted_apart(client: httpx.Client) -> None:
    register(client, "within", models.linear(seed=1), models.linear(seed=2))
    put(client, "within", 1)
    put(client, "within", 1, canary={"version": 2, "percent": 100, "max_error_rate": 0, "max_latency_ms": 60000})
    for _ in range(150):
        assert predict(client, "within").json()["version"] == 2
    assert predict(client, "within", [[1.0]]).status_code == 422  # the caller's own fault
    assert live(client, "within")["canary"]["version"] == 2
    counted = 'sardonyx_canary_requests_total{alias="production",code="ok",model="within",version="2"} 150.0'
    assert counted in client.get("/metrics").text.splitlines()


@pytest.mark.parametrize(
    "canary",
    [
        {"version": 2, "percent": 5, "max_error_rate": 1.5},
        {"version": 2, "percent": 5, "max_error_rate": -0.1},
        {"version": 2, "percent": 5, "max_latency_ms": 0},
        {"version": 2, "percent": 5, "max_latency_ms": "NaN"},
    ],
)
def test_limits_have_to_be_limits(client: httpx.Client, canary: dict[str, Any]) -> None:
    answer = put(client, "nobody", 1, canary=canary)
    (violation,) = answer.json()["violations"]
    assert (answer.status_code, violation["path"]) == (422, f"/canary/{[*canary][-1]}")


# --- shadows ----------------------------------------------------------------------------------------------------------


def report(client: httpx.Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/registry/models/{name}/aliases/production/shadow").json()["report"]
    return found


def test_a_shadow_with_one_changed_weight_is_found_and_the_output_named(client: httpx.Client) -> None:
    source = models.linear()
    register(client, "shaded", source, models.changed(source, by=0.5))
    put(client, "shaded", 1)
    answer = put(client, "shaded", 1, shadow={"version": 2, "percent": 100})
    assert answer.json()["shadow"] == {"version": 2, "percent": 100, "trial": 2}

    def is_compared() -> bool:
        assert predict(client, "shaded").json()["version"] == 1
        return report(client, "shaded")["compared"] >= 20

    wait_until(is_compared)
    found = report(client, "shaded")
    (output,) = found["outputs"]
    assert (output["name"], output["same"], output["compared"]) == ("y", 0, found["compared"])
    assert output["max_difference"] == pytest.approx(1.5, abs=1e-5)  # the input's third number times the change
    assert output["mean_difference"] == pytest.approx(0.5, abs=1e-5)
    assert (output["rows"], output["changed"]) == (found["compared"], found["compared"])
    assert found["failures"] == {}


def test_a_shadow_of_the_same_numbers_differs_in_nothing(client: httpx.Client) -> None:
    same = models.linear()
    same.producer_version = "another file"
    register(client, "alike", models.linear(), same)
    put(client, "alike", 1)
    put(client, "alike", 1, shadow={"version": 2, "percent": 100})

    def is_compared() -> bool:
        predict(client, "alike", ROW * 5)
        return report(client, "alike")["compared"] >= 10

    wait_until(is_compared)
    found = report(client, "alike")
    (output,) = found["outputs"]
    assert (output["same"], output["max_difference"], output["changed"]) == (found["compared"], 0.0, 0)


def test_a_shadow_that_fails_harms_nobody_and_is_counted(client: httpx.Client) -> None:
    register(client, "broken", models.linear(), picky())
    put(client, "broken", 1)
    put(client, "broken", 1, shadow={"version": 2, "percent": 100})

    def is_counted() -> bool:
        assert predict(client, "broken").status_code == 200
        return report(client, "broken")["failures"].get("model_execution_failed", 0) >= 3

    wait_until(is_counted)
    assert report(client, "broken")["compared"] == 0


def test_a_shadow_goes_with_the_version_beside_which_it_was_set(client: httpx.Client) -> None:
    register(client, "going", models.linear(seed=1), models.linear(seed=2), models.linear(seed=3))
    put(client, "going", 1)
    put(client, "going", 1, shadow={"version": 3, "percent": 10})
    assert client.delete("/registry/models/going/versions/3").json()["code"] == "version_active"
    assert put(client, "going", 1).json()["shadow"]["version"] == 3
    assert put(client, "going", 2).json()["shadow"] is None
    assert client.post("/registry/models/going/aliases/production/rollback", json={}).json()["shadow"] is None


def test_a_shadow_has_to_understand_the_callers(client: httpx.Client) -> None:
    register(client, "strange", models.linear(), models.linear(features=5))
    put(client, "strange", 1)
    answer = put(client, "strange", 1, shadow={"version": 2, "percent": 100})
    assert (answer.status_code, answer.json()["code"]) == (409, "breaking_signature")
    beside = put(client, "strange", 1, shadow={"version": 1, "percent": 100})
    assert (beside.status_code, beside.json()["violations"][0]["path"]) == (422, "/shadow/version")


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_canary_that_was_dropped_since_it_was_seen_is_not_promoted(client: httpx.Client) -> None:
    register(client, "seen", models.linear(seed=1), models.linear(seed=2))
    put(client, "seen", 1)
    seen = put(client, "seen", 1, canary={"version": 2, "percent": 10}).json()
    put(client, "seen", 1, canary=None)
    answer = put(client, "seen", 2, expected_generation=seen["generation"])
    assert (answer.status_code, answer.json()["code"], live(client, "seen")["version"]) == (
        409,
        "generation_conflict",
        1,
    )


@pytest.mark.parametrize("kind", ["canary", "shadow"])
@pytest.mark.parametrize("percent", ["5", True, None, [5], 0, 100.5])
def test_a_share_is_a_number_of_percent(client: httpx.Client, kind: str, percent: object) -> None:
    answer = put(client, "nosuch", 1, **{kind: {"version": 2, "percent": percent}})
    assert (answer.status_code, answer.json()["violations"][0]["path"]) == (422, f"/{kind}/percent")


# --- the command line -------------------------------------------------------------------------------------------------


def run(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [SARDONYX, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_cli_sets_shows_and_drops_a_shadow(gateway: GatewayProcess, client: httpx.Client) -> None:
    source = models.linear()
    register(client, "tried", source, models.changed(source, by=0.5))
    put(client, "tried", 1)
    environment = gateway.environment
    assert run("shadow", "tried", "2", "100", environment=environment).returncode == 0

    def is_compared() -> bool:
        predict(client, "tried")
        return report(client, "tried")["compared"] > 0

    wait_until(is_compared)
    shown = run("shadow", "tried", environment=environment)
    assert (shown.returncode, "rows decide otherwise" in shown.stdout) == (0, True), shown.stderr
    dropped = run("shadow", "tried", "--drop", "--json", environment=environment)
    assert json.loads(dropped.stdout)["shadow"] is None


def test_the_cli_sets_and_promotes_a_canary(gateway: GatewayProcess, client: httpx.Client) -> None:
    register(client, "chosen", models.linear(seed=1), models.linear(seed=2))
    put(client, "chosen", 1)
    environment = gateway.environment
    assert run("canary", "chosen", "2", "10", "--max-error-rate", "0.5", environment=environment).returncode == 0
    assert live(client, "chosen")["canary"] == {"version": 2, "percent": 10, "max_error_rate": 0.5}
    assert run("canary", "chosen", "--promote", environment=environment).returncode == 0
    assert (live(client, "chosen")["version"], live(client, "chosen")["canary"]) == (2, None)
    assert run("canary", "chosen", "--promote", environment=environment).returncode == 2
