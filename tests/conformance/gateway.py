"""A gateway of its own for a run, and the wires that lead to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conformance.native_json import NativeJson
from tests.conformance.open_inference import OpenInference
from tests.conformance.wires import Wire
from tests.support.gateway_process import GatewayProcess, running_gateway

_WORKERS = "2"


@contextmanager
def gateway_with_wires(data_dir: Path) -> Iterator[tuple[httpx.Client, Sequence[Wire]]]:
    """Start a gateway; give a client of it, and every wire."""
    with running_gateway(data_dir, workers=_WORKERS) as gateway, gateway.client() as client:
        yield client, wires_of(gateway, client)


def wires_of(gateway: GatewayProcess, client: httpx.Client) -> list[Wire]:
    """Return every wire to a gateway."""
    del gateway
    return [NativeJson(client), OpenInference(client, is_binary=False), OpenInference(client, is_binary=True)]
