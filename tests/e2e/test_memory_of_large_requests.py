"""What large requests leave behind in the worker that has answered them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest

from tests.support.gateway_process import GatewayProcess, running_gateway

BLEND = Path(__file__).parents[2] / "examples" / "blend.onnx"
REQUESTS = 40
BODY = orjson.dumps({"inputs": dict.fromkeys("ab", np.linspace(0, 1, 100_000).reshape(1, -1).tolist())})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "data") as running, running.client() as client:
        client.post("/registry/models/blend/versions", content=BLEND.read_bytes())
        yield running


def anonymous_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def ask(gateway: GatewayProcess, times: int) -> None:
    for _ in range(times):  # each on a connection of its own, which is gone after it
        answer = httpx.post(f"{gateway.url}/v1/models/blend/predict", content=BODY, trust_env=False, timeout=60)
        assert answer.status_code == 200


def test_large_requests_do_not_stay_in_memory_until_the_next_garbage_collection(gateway: GatewayProcess) -> None:
    ask(gateway, 3)
    (worker,) = gateway.workers()
    before = anonymous_bytes(worker)
    ask(gateway, REQUESTS)
    assert anonymous_bytes(worker) - before < REQUESTS * len(BODY) / 4
