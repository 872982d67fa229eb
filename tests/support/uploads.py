"""How models come into a registry over REST."""

from collections.abc import Mapping
from typing import Any

import httpx
from onnx import ModelProto

OCTETS = {"content-type": "application/octet-stream"}


def send(client: httpx.Client, name: str, model: ModelProto | bytes, **query: str | list[str]) -> httpx.Response:
    """Return what comes of sending a model, whatever it is."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return client.post(f"/registry/models/{name}/versions", content=content, headers=OCTETS, params=query)


def upload(client: httpx.Client, name: str, model: ModelProto | bytes, **query: str | list[str]) -> dict[str, Any]:
    """Register a new version, and return its document."""
    answer = send(client, name, model, **query)
    assert answer.status_code == 201, answer.text
    version: dict[str, Any] = answer.json()
    return version


def ensure_uploaded(client: httpx.Client, name: str, model: ModelProto | bytes) -> dict[str, Any]:
    """Register a version unless the model has it already, and return its document."""
    answer = send(client, name, model)
    assert answer.status_code in (200, 201), answer.text
    version: dict[str, Any] = answer.json()
    return version


def upload_all(client: httpx.Client, served: Mapping[str, ModelProto]) -> None:
    """Register the first version of each model."""
    for name, model in served.items():
        upload(client, name, model)


def promote(client: httpx.Client, name: str, version: int = 1, alias: str = "production") -> None:
    """Have an alias point to a version."""
    answer = client.put(f"/registry/models/{name}/aliases/{alias}", json={"version": version})
    assert answer.status_code == 200, answer.text


def upload_and_promote(client: httpx.Client, name: str, model: ModelProto | bytes) -> None:
    """Register a new version, and promote it."""
    promote(client, name, upload(client, name, model)["version"])
