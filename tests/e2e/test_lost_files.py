"""Files that the store or the cache has lost or damaged: who needs them is told, nobody else notices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import models
from tests.support.backend import embedded_only
from tests.support.cold import running_registry, the_copy
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.problems import assert_problem
from tests.support.uploads import upload

pytestmark = embedded_only

WITHHELD = "Nothing in the request has to change. The operator finds the cause in the log by this request id."
ROW = {"inputs": [[0, 0, 0, 0]]}
ANSWER = {"y": [[0.0, 0.0, 0.0]]}


def predict(client: httpx.Client, name: str) -> httpx.Response:
    return client.post(f"/v1/models/{name}/predict", json=ROW)


def outputs(client: httpx.Client, name: str) -> Any:
    answer = predict(client, name)
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


def stored(data_dir: Path, client: httpx.Client, name: str) -> Path:
    digest = client.get(f"/registry/models/{name}/versions/1").json()["digest"].removeprefix("sha256:")
    (path,) = (data_dir / "store").rglob(digest)
    return path


def truncate(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-8])


def change(path: Path) -> None:
    path.chmod(0o644)
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def told(gateway: GatewayProcess, answer: httpx.Response) -> list[str]:
    """The codes of what the log says to the operator about a request whose caller was not told."""
    mine = [line for line in gateway.log_lines() if line.get("request_id") == answer.headers["x-request-id"]]
    return [line["code"] for line in mine if line["event"] == "withheld" and "sha256:" in line["detail"]]


def counted(client: httpx.Client, model: str) -> tuple[dict[str, int], float]:
    """A model's requests by what became of them, and all loads that failed."""
    samples = [
        sample
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    requests = {
        sample.labels["code"]: int(sample.value)
        for sample in samples
        if sample.name == "sardonyx_predict_requests_total" and sample.labels["model"] == model
    }
    return requests, next(sample.value for sample in samples if sample.name == "sardonyx_load_failures_total")


def assert_said_in_other_dialects(client: httpx.Client, code: str) -> None:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0, 0, 0, 0]}
    for answer in (
        client.post("/v2/models/cold/versions/1/infer", json={"inputs": [tensor]}),
        client.post("/v1/models/cold/versions/1:predict", json={"instances": [[0, 0, 0, 0]]}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/json")
        assert (answer.json(), answer.headers["retry-after"]) == ({"error": f"{code}: {WITHHELD}"}, "1")


@pytest.mark.parametrize(
    ("damage", "code"),
    [(Path.unlink, "artifact_missing"), (change, "artifact_corrupt"), (truncate, "artifact_corrupt")],
    ids=["removed", "changed", "truncated"],
)
def test_a_lost_file_fails_the_cold_model_until_it_is_back(
    tmp_path: Path, damage: Callable[[Path], None], code: str
) -> None:
    data_dir = tmp_path / "data"
    with running_registry(data_dir) as registry, registry.client() as client:
        upload(client, "cold", models.linear(seed=1))
        upload(client, "loaded", models.linear(seed=2))
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        assert outputs(client, "loaded") == ANSWER
        path = stored(data_dir, client, "cold")
        kept = path.read_bytes()
        damage(path)
        damage(stored(data_dir, client, "loaded"))
        workers = gateway.workers()
        for _ in range(3):
            refused = predict(client, "cold")
            assert_problem(refused, 503, code=code, detail=WITHHELD)
            assert refused.headers["retry-after"] == "1"
            assert outputs(client, "loaded") == ANSWER
            wait_until(lambda refused=refused: told(gateway, refused) == [code])
        refusals, failures = counted(client, "cold")
        assert (refusals, failures >= 1, gateway.workers()) == ({code: 3}, True, workers)
        assert_said_in_other_dialects(client, code)
        if code == "artifact_missing":  # what is damaged is found out by whoever has read it to its end
            download = client.get("/registry/models/cold/versions/1/artifact")
            assert_problem(download, 503, code=code, detail=WITHHELD)
            wait_until(lambda: told(gateway, download) == [code])
        assert client.post("/v1/models/cold/validate", json=ROW).status_code == 200
        path.write_bytes(kept)
        wait_until(lambda: predict(client, "cold").status_code == 200)
        assert outputs(client, "cold") == ANSWER


@pytest.mark.parametrize("damage", [Path.unlink, change, truncate], ids=["removed", "changed", "truncated"])
def test_a_damaged_copy_is_fetched_again_from_the_store(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    data_dir = tmp_path / "data"
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        upload(client, "copied", models.linear())
        expected = outputs(client, "copied")
    copy = the_copy(data_dir)
    copy.parent.chmod(0o755)
    damage(copy)
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        assert outputs(client, "copied") == expected


def test_a_verified_copy_answers_while_the_store_is_gone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        upload(client, "copied", models.linear())
        assert outputs(client, "copied") == ANSWER
    (data_dir / "store").rename(tmp_path / "away")
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        assert outputs(client, "copied") == ANSWER
