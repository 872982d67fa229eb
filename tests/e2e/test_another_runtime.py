"""A gateway whose runtime is another one than the one that inspected what it serves."""

from contextlib import closing
from pathlib import Path

import pytest

from gateway.parts import open_parts
from gateway.settings import Settings
from registry.inspection.host import runtime_name
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.earlier_runtime import add_version, found_earlier, linear_seen_earlier
from tests.support.gateway_process import GatewayProcess, running_gateway

pytestmark = embedded_only

ROW = {"inputs": {"x": [[1.0, 2.0, 3.0, 4.0]]}}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where an earlier release has registered an honest model, one that kills its runtime of today, and another one."""
    folder = tmp_path / "data"
    with closing(open_parts(Settings(data_dir=folder))) as parts:
        parts.upgrade_schema()
        linear_seen_earlier(parts)
        add_version(parts, "killer", models.folded_division(), found_earlier(models.linear()))
        add_version(parts, "other", models.wide_linear(8, 2), found_earlier(models.linear()))
    return folder


def events(gateway: GatewayProcess) -> list[tuple[str, str]]:
    """Return which models have been inspected again, and what came of it."""
    kept = ("inspected_again", "not_loaded_by_this_runtime")
    return [(line["event"], line["model"]) for line in gateway.log_lines() if line["event"] in kept]


def test_an_honest_model_is_inspected_once_more_before_its_first_load_and_never_again(data_dir: Path) -> None:
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        first = client.post("/v1/models/linear/predict", json=ROW)
        assert (first.status_code, events(gateway)) == (200, [("inspected_again", "linear")])
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        again = client.post("/v1/models/linear/predict", json=ROW)
        assert (again.json(), events(gateway)) == (first.json(), [("inspected_again", "linear")])


def test_what_this_runtime_dies_of_or_sees_otherwise_does_not_load_and_harms_nobody(data_dir: Path) -> None:
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        before = gateway.workers()
        refused = [client.post(f"/v1/models/{name}/predict", json=ROW) for name in ("killer", "other")]
        good = client.post("/v1/models/linear/predict", json=ROW)
        assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(503, "model_load_failed")] * 2
        assert [answer.json()["detail"].partition(": ")[0] for answer in refused] == [
            f"version 1 of model '{name}' does not load with {runtime_name()}" for name in ("killer", "other")
        ]
        assert (good.status_code, gateway.workers()) == (200, before)
        assert set(events(gateway)) == {
            ("not_loaded_by_this_runtime", "killer"),
            ("not_loaded_by_this_runtime", "other"),
            ("inspected_again", "linear"),
        }
