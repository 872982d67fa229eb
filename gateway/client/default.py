"""The client that the environment describes, for scripts and notebooks that need no other."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from gateway.client.client import Client
from gateway.client.prediction import Prediction
from gateway.client.versions import VersionInfo

LOCAL_URL = "http://127.0.0.1:8000"


def register(
    model: Any,
    *,
    name: str,
    example: Any = None,
    keep_example: bool = True,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    is_isolated: bool = False,
) -> VersionInfo:
    """Register a model with the gateway of the environment; see ``Client.register``."""
    return default_client().register(
        model,
        name=name,
        example=example,
        keep_example=keep_example,
        description=description,
        tags=tags,
        is_isolated=is_isolated,
    )


def predict(reference: str, inputs: Any, *, outputs: Sequence[str] | None = None) -> Prediction:
    """Run a model of the gateway of the environment; see ``Client.predict``."""
    return default_client().predict(reference, inputs, outputs=outputs)


def default_client() -> Client:
    """Return the client for ``SARDONYX_URL`` and ``SARDONYX_TOKEN`` as they are now; the same one while they are."""
    from gateway.settings import client_settings

    found = client_settings()
    return _client(found.url or LOCAL_URL, found.token)


@cache
def _client(url: str, token: str | None) -> Client:
    return Client(url, token=token)
