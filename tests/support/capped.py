"""A gateway that takes small bodies only, and a model that goes on answering whatever is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload

PATH = "/v1/models/linear/predict"


@contextmanager
def capped_gateway(data_dir: Path, *, max_body_bytes: str) -> Iterator[GatewayProcess]:
    """Start one with a model that is loaded, once and for all: what a load takes is not what a request takes."""
    with running_gateway(data_dir, max_body_bytes=max_body_bytes) as gateway, gateway.client() as client:
        upload(client, "linear", models.linear())
        wait_until_settled(gateway, "linear")
        assert_good_requests_work(client)
        yield gateway


def assert_good_requests_work(client: httpx.Client) -> None:
    """Have the model answer."""
    answer = client.post(PATH, json={"inputs": [[0, 0, 0, 0]]})
    assert (answer.status_code, answer.json()["outputs"]) == (200, {"y": [[0.0, 0.0, 0.0]]})
