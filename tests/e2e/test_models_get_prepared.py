"""A model that is prepared in the background: the next load maps its weights, and no answer changes."""

from collections.abc import Iterator
from pathlib import Path
from resource import RLIMIT_FSIZE, prlimit
from shutil import rmtree
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.real_models import published_models
from tests.support.uploads import upload

(SILERO,) = [model for model in published_models() if model.name == "silero-vad"]


def body() -> dict[str, Any]:
    return {"inputs": {name: array.tolist() for name, array in SILERO.make_feed().items()}}


def predict(client: httpx.Client) -> Any:
    answer = client.post("/v1/models/voice/predict", json=body())
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


def prepared_count(gateway: GatewayProcess) -> int:
    return sum(line["event"] == "prepared" and line["model"] == "voice" for line in gateway.log_lines())


def maps_weights(gateway: GatewayProcess) -> bool:
    return any("weights.bin" in Path(f"/proc/{pid}/maps").read_text() for pid in gateway.workers())


def weights_in(data_dir: Path) -> Path:
    (found,) = data_dir.rglob("weights.bin")
    return found


@pytest.fixture
def plainly(tmp_path: Path) -> Iterator[Any]:
    """The answer that a plain session gives, too; the model has been prepared since, and the gateway has ended."""
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "voice", SILERO.path.read_bytes())
        answer = predict(client)
        wait_until(lambda: prepared_count(gateway) == 1)
    session = onnxruntime.InferenceSession(str(SILERO.path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for name, wanted in zip(names, session.run(names, SILERO.make_feed()), strict=True):
        assert np.array(answer[name], wanted.dtype).tobytes() == wanted.tobytes()
    return answer


def test_a_prepared_model_answers_as_before_from_weights_that_are_mapped(tmp_path: Path, plainly: Any) -> None:
    with running_gateway(tmp_path / "data", workers="2") as gateway, gateway.client() as client:
        for _ in range(8):
            assert predict(client) == plainly
        assert maps_weights(gateway)
        assert prepared_count(gateway) == 1


def test_a_sibling_loads_anew_what_another_worker_has_prepared(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", workers="2") as gateway, gateway.client() as client:
        upload(client, "voice", SILERO.path.read_bytes())

        def both_map_the_weights() -> bool:
            with gateway.client() as fresh:  # its connection may go to either worker
                predict(fresh)
            return all("weights.bin" in Path(f"/proc/{pid}/maps").read_text() for pid in gateway.workers())

        wait_until(both_map_the_weights)
        assert prepared_count(gateway) == 1


def test_a_damaged_prepared_model_is_made_again_and_no_answer_is_wrong(tmp_path: Path, plainly: Any) -> None:
    weights = weights_in(tmp_path / "data")
    weights.chmod(0o644)
    weights.write_bytes(np.zeros(weights.stat().st_size, np.uint8).tobytes())
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        assert predict(client) == plainly
        assert not maps_weights(gateway) or prepared_count(gateway) == 2  # what was damaged is not mapped
        wait_until(lambda: prepared_count(gateway) == 2)
        assert predict(client) == plainly
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        assert predict(client) == plainly
        assert maps_weights(gateway)


def test_a_disk_that_takes_no_more_leaves_the_model_plain_and_the_log_says_why(tmp_path: Path, plainly: Any) -> None:
    prepared = weights_in(tmp_path / "data").parent
    rmtree(prepared)
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        for pid in gateway.workers():
            prlimit(pid, RLIMIT_FSIZE, (1 << 20, 1 << 20))  # for its children as well
        assert predict(client) == plainly

        def refusals() -> list[str]:
            return [str(line["reason"]) for line in gateway.log_lines() if line["event"] == "not_prepared"]

        wait_until(lambda: bool(refusals()))
        assert [reason.startswith("it cannot be prepared: ") for reason in refusals()] == [True]
        assert predict(client) == plainly
        assert (prepared.exists(), maps_weights(gateway)) == (False, False)
