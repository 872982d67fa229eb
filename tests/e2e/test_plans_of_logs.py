"""``sardonyx plan`` on what a real gateway has logged: its requests, its costs, and the hits that it had."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.entry import main
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.scrapes import read_scrape
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload

pytestmark = embedded_only

NAMES = [f"planned-{number}" for number in range(24)]
ROOM = 8
BODY = b'{"inputs": [[1, 2, 3, 4]]}'


def ask_all(gateway: GatewayProcess, count: int) -> None:
    choice = random.Random(3)  # noqa: S311 - the same ones each time
    weights = [1 / rank for rank in range(1, len(NAMES) + 1)]
    with gateway.client() as client:
        for name in choice.choices(NAMES, weights, k=count):
            client.post(f"/v1/models/{name}/predict", content=BODY).raise_for_status()


def test_a_plan_of_a_gateways_log_predicts_the_hits_that_it_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size_bytes = 0
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        for number, name in enumerate(NAMES):
            size_bytes = max(128 * 1024, upload(client, name, models.linear(seed=number))["memory_bytes"])
        wait_until_settled(gateway, *NAMES)  # what a session takes, and when it is loaded, is the same from now on
    budget = ROOM * size_bytes
    with running_gateway(tmp_path / "data", memory_budget=str(budget)) as gateway:
        ask_all(gateway, 600)
        misses = misses_of(gateway)
        wait_until(lambda: logged(gateway) == 600)
        found = plan_of(gateway, budget, capsys)
    planned = found["plans"][0]
    assert (found["load"]["requests"], found["load"]["measured_versions"]) == (600, len(NAMES))
    assert abs(planned["hit_rate"] - (1 - misses / 600)) < 0.05
    assert 0 < planned["hit_rate"] < 1


def logged(gateway: GatewayProcess) -> int:
    """Return how many predictions are in the log so far; what registrations have left there is no load."""
    return sum(str(line.get("path", "")).endswith("/predict") for line in gateway.log_lines())


def misses_of(gateway: GatewayProcess) -> float:
    with gateway.client() as client:
        return read_scrape(client.get("/metrics").text).value("sardonyx_cache_misses_total")


def plan_of(gateway: GatewayProcess, budget: int, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    # Whoever asked waited for each answer. Lines say when a bundle of them was written: by their times a request may
    # come before the load for the one before it has ended, and miss as well.
    words = ["plan", "--json", "--url", gateway.url, "--log", str(gateway.log_path), "--rate", "10"]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--hosts", "1", "--memory", str(budget)])
    printed = capsys.readouterr()
    assert caught.value.code == 0, printed.err
    document: dict[str, Any] = json.loads(printed.out)
    return document
