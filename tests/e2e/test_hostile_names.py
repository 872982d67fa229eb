"""Names that are paths, controls or half decoded, on every kind of route: decoded once, refused, no file touched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.files import paths_below
from tests.support.gateway_process import GatewayProcess, wait_until
from tests.support.raw_http import request_bytes, send_raw

RULE = (
    "is not a model name: use 1 to 128 of a-z, 0-9, '.', '_' and '-', "
    "beginning and ending with a letter or a digit, without '..'"
)
SHOWN = {
    "%2e%2e": "'..'",
    "%252e%252e": "'%2e%2e'",
    "%25252e": "'%252e'",
    "a%00b": "'a\\x00b'",
    "a%0ab": "'a\\x0ab'",
    "a%1b[31m": "'a\\x1b[31m'",
    "%ff": "'\\ufffd'",
    "%ef%bc%8e": "'\\uff0e'",
    "Iris": "'Iris'",
    "x" * 300: f"'{'x' * 64}...'",
}
"""As it is sent, and how the refusal quotes it: one decoding later, on one line."""

NATIVE = (
    "GET /registry/models/{}",
    "PATCH /registry/models/{}",
    "GET /registry/models/{}/versions/1",
    "GET /registry/models/{}/aliases/production",
)
OPEN_INFERENCE = ("GET /v2/models/{}", "GET /v2/models/{}/versions/1/ready", "POST /v2/models/{}/infer")
TENSORFLOW = ("GET /v1/models/{}", "POST /v1/models/{}:predict")


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def ask(client: httpx.Client, route: str, name: str) -> tuple[int, Any]:
    head = request_bytes(
        f"{route.format(name)} HTTP/1.1", "Host: localhost", "Content-Type: application/json", body=b"{}"
    )
    answer = send_raw(str(client.base_url), head)
    return answer.status, json.loads(answer.body)


def files_below(folder: Path) -> set[Path]:
    return {path for path in paths_below(folder) if not path.name.endswith(("-wal", "-shm"))}


@pytest.mark.parametrize("route", NATIVE)
@pytest.mark.parametrize("name", SHOWN)
def test_a_name_that_is_none_is_refused_by_the_registrys_routes(client: httpx.Client, route: str, name: str) -> None:
    status, problem = ask(client, route, name)
    assert isinstance(problem.pop("instance"), str)
    assert (status, problem) == (
        422,
        {
            "type": "/docs/problems#invalid_name",
            "title": "The name is not allowed",
            "status": 422,
            "code": "invalid_name",
            "detail": f"{SHOWN[name]} {RULE}",
        },
    )


@pytest.mark.parametrize(
    ("route", "expected"), [*((route, 422) for route in OPEN_INFERENCE), *((route, 404) for route in TENSORFLOW)]
)
@pytest.mark.parametrize("name", SHOWN)
def test_a_name_that_is_none_is_refused_in_the_words_of_other_protocols(
    client: httpx.Client, route: str, expected: int, name: str
) -> None:
    assert ask(client, route, name) == (expected, {"error": f"invalid_name: {SHOWN[name]} {RULE}"})


@pytest.mark.parametrize("route", [*NATIVE, *OPEN_INFERENCE, *TENSORFLOW])
@pytest.mark.parametrize("name", ["..%2f..%2fetc", "a%2Fb", "%2fetc%2fpasswd", "a/../../b"])
def test_a_name_of_several_parts_is_no_route(client: httpx.Client, route: str, name: str) -> None:
    status, body = ask(client, route, name)
    assert (status, body.get("code", body.get("error", "")).split(":")[0]) == (404, "not_found")


def test_no_file_is_made_for_any_of_them(client: httpx.Client, gateway: GatewayProcess) -> None:
    known = gateway.data_dir / "last-known"
    wait_until(lambda: any(path.suffix == ".json" for path in files_below(known)))  # what a worker begins with
    before = files_below(gateway.data_dir)
    for route in (*NATIVE, *OPEN_INFERENCE, *TENSORFLOW):
        for name in SHOWN:
            ask(client, route, name)
    assert files_below(gateway.data_dir) == before
