"""A model whose runs are long: whatever number of threads they get, nobody can tell from the answers."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from registry.inspection.host import usable_cpus
from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.uploads import upload

ROWS = (1, 2, 5)
MODEL = models.deep_conv().SerializeToString()


def feed(rows: int) -> Any:
    return np.random.default_rng(rows).normal(size=(rows, 3, 112, 112)).astype(np.float32)


def plain_answers() -> list[bytes]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
    return [session.run(None, {"x": feed(rows)})[0].tobytes() for rows in ROWS]


def ask(client: httpx.Client, rows: int) -> bytes:
    answer = client.post("/v1/models/long/predict", json={"inputs": feed(rows).tolist()})
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["outputs"]["y"], np.float32).tobytes()


def lent_threads(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    (value,) = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("sardonyx_lent_threads ")]
    return float(value)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path / "data") as started:
        yield started


def test_a_long_model_answers_bit_for_bit_before_and_after_it_has_threads(gateway: GatewayProcess) -> None:
    with gateway.client() as client, ThreadPoolExecutor(6) as callers:
        report = upload(client, "long", MODEL)["thread_report"]
        wanted = plain_answers()
        assert [ask(client, rows) for rows in ROWS] == wanted
        wait_until(lambda: any(line["event"] == "prepared" for line in gateway.log_lines()))
        extra = min(report["threads"], usable_cpus()) - 1  # one worker, and nobody else wants any

        def has_its_threads() -> bool:
            assert [ask(client, rows) for rows in ROWS] == wanted
            return lent_threads(client) == extra

        wait_until(has_its_threads)
        assert list(callers.map(lambda rows: ask(client, rows), ROWS * 4)) == wanted * 4
        shown = json.loads(client.get("/registry/models/long/versions/1").text)["thread_report"]
        assert shown == report
        assert report["reason"] or all([[rows, 3, 112, 112]] in report["shapes"] for rows in ROWS[:1])
