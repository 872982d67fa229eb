"""Requests that end the process which runs them, and who sends them."""

from pathlib import Path
from typing import Any

import httpx

from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.uploads import upload

SMALLEST = -(2**63)
"""Divided by -1 it is no 64-bit number: the processor raises an exception that ends the process."""

RESET = "reset"


def upload_killer(gateway: GatewayProcess, name: str, headers: dict[str, str] | None = None, **query: str) -> None:
    """Register a model that divides by -1."""
    with gateway.client(headers=headers) as client:
        upload(client, name, models.division(-1), **query)


def ask(gateway: GatewayProcess, name: str, value: int, headers: dict[str, str] | None = None) -> Any:
    """Return the quotient, the code of a problem, or ``RESET``; over a connection of its own."""
    with gateway.client(headers=headers) as client:
        try:
            answer = client.post(f"/v1/models/{name}/predict", json={"inputs": [value]})
        except httpx.TransportError:
            return RESET
    body = answer.json()
    return body["outputs"]["y"] if answer.status_code == 200 else body["code"]


def events_about(client: httpx.Client, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the kinds and details of what the feed says of a model's crashes."""
    items = client.get("/registry/events", params={"limit": 1000}).json()["items"]
    kinds = ("version_crashed", "version_isolated", "version_quarantined", "version_cleared")
    return [(item["kind"], item["detail"]) for item in items if item["model"] == name and item["kind"] in kinds]


def scratch(gateway: GatewayProcess) -> list[Path]:
    """Return what lies in the folder for uploads."""
    return list((gateway.data_dir / "spool").iterdir())
