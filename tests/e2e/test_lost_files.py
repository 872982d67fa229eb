"""Files that the store or the cache has lost or damaged: who needs them is told, nobody else notices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from onnx import ModelProto

from tests.support import models
from tests.support.backend import embedded_only
from tests.support.gateway_process import running_gateway, wait_until
from tests.support.problems import assert_problem

pytestmark = embedded_only

WITHHELD = "Nothing in the request has to change. The operator finds the cause in the log by this request id."
ROW = {"inputs": [[0, 0, 0, 0]]}
ANSWER = {"y": [[0.0, 0.0, 0.0]]}


def upload(client: httpx.Client, name: str, model: ModelProto) -> None:
    answer = client.post(
        f"/registry/models/{name}/versions",
        content=model.SerializeToString(),
        headers={"content-type": "application/octet-stream"},
    )
    assert answer.status_code == 201, answer.text


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


@pytest.mark.parametrize(
    ("damage", "code"),
    [(Path.unlink, "artifact_missing"), (change, "artifact_corrupt"), (truncate, "artifact_corrupt")],
    ids=["removed", "changed", "truncated"],
)
def test_a_lost_file_fails_the_cold_model_until_it_is_back(
    tmp_path: Path, damage: Callable[[Path], None], code: str
) -> None:
    data_dir = tmp_path / "data"
    with running_gateway(data_dir) as gateway, gateway.client() as client:
        upload(client, "cold", models.linear(seed=1))
        upload(client, "loaded", models.linear(seed=2))
        assert outputs(client, "loaded") == ANSWER
        path = stored(data_dir, client, "cold")
        kept = path.read_bytes()
        damage(path)
        damage(stored(data_dir, client, "loaded"))
        for _ in range(3):
            refused = predict(client, "cold")
            assert_problem(refused, 503, code=code, detail=WITHHELD)
            assert refused.headers["retry-after"] == "1"
            assert outputs(client, "loaded") == ANSWER
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
    (copy,) = (path for path in (data_dir / "cache").rglob("*.onnx"))
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
