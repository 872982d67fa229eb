"""A gateway of its own for a run, and the wires that lead to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx

from tests.conformance.grpc_wire import Grpc
from tests.conformance.native_json import NativeJson
from tests.conformance.open_inference import OpenInference
from tests.conformance.wires import Wire
from tests.support.gateway_process import fixed_port, running_gateway

_WORKERS = "2"


@contextmanager
def gateway_with_wires(data_dir: Path) -> Iterator[tuple[httpx.Client, Sequence[Wire]]]:
    """Start a gateway; give a client of it, and every wire."""
    port = str(fixed_port())
    with (
        running_gateway(data_dir, workers=_WORKERS, grpc_port=port) as gateway,
        gateway.client() as client,
        grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield client, wires_of(client, channel)


def wires_of(client: httpx.Client, channel: grpc.Channel) -> list[Wire]:
    """Return every wire to a gateway."""
    return [
        NativeJson(client),
        OpenInference(client, is_binary=False),
        OpenInference(client, is_binary=True),
        Grpc(channel),
    ]
