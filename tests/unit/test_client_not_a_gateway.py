"""Something that answers with JSON objects and is no gateway."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.client import ApiError, Client, Response


class Something:
    """A transport to it."""

    def __init__(self, document: Any) -> None:
        self.document = document

    def request(self, *_: Any, **__: Any) -> Response:
        headers = {"content-type": "application/json"}
        return Response(status=200, headers=headers, body=json.dumps(self.document).encode())

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.models(),
        lambda client: client.workers(),
        lambda client: client.history("m"),
        lambda client: client.examples("m", 1),
        lambda client: client.example("m", 1),
        lambda client: client.inputs("m:1").rows,
        lambda client: client.events(),
        lambda client: client.events_page(after=0),
        lambda client: client.predict("m", [[1]]),
        lambda client: client.predict("m:1", [[1]]),
        lambda client: client.show("m@production"),
        lambda client: client.version("m", 1),
        lambda client: client.promote("m", 1)["move"],
        lambda client: client.wait(client.promote("m", 1)),
        lambda client: client.record_example("m", 1, {}),
        lambda client: client.show("m")["aliases"],
    ],
)
@pytest.mark.parametrize(
    "document",
    [{}, {"items": 1, "version": "x", "signature": 2, "paths": []}, {"items": [1], "signature": {"inputs": [{}]}}],
    ids=["nothing in it", "other types", "others within"],
)
def test_it_is_told_from_a_gateway(document: Any, ask: Callable[[Client], Any]) -> None:
    with pytest.raises(ApiError) as caught:
        ask(Client(transport=Something(document)))
    assert caught.value.code == "not_a_gateway"


def test_what_a_gateway_says_beside_is_a_plain_mapping() -> None:
    assert Client(transport=Something({"name": "m"})).show("m") == {"name": "m"}
