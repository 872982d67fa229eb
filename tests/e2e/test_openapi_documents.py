"""The OpenAPI documents: their examples are sent to the routes that they describe."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.web.paths import Dialect, dialect_of
from gateway.web.tensor_forms import KINDS
from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.uploads import ensure_uploaded, promote, upload


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def shown(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


DOCUMENTED = {
    "linear": models.linear(),
    "scalar": models.scalar_scale(),
    "optional": models.optional_bias(),
    "text": models.string_twice(),
    "integers": models.division(3),
    "truth": models.identity("bool"),
    "half": models.identity("float16", (2, None, 3)),
    "any-rank": models.identity(shape=None),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_example_of_each_document_is_valid_and_predicts(client: httpx.Client, name: str) -> None:
    upload(client, f"example-{name}", DOCUMENTED[name])
    document = shown(client, f"/registry/models/example-{name}/versions/1/openapi.json")
    base = f"/v1/models/example-{name}"

    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": f"example-{name}, version 1", "version": "1"}
    assert list(document["paths"]) == [f"{base}/predict", f"{base}/validate"]
    for path, operations in document["paths"].items():
        example = operations["post"]["requestBody"]["content"]["application/json"]["example"]
        answer = client.post(path, json=example)
        assert answer.status_code == 200, answer.text
        schema = operations["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert set(answer.json()) <= set(schema["properties"])
        problem = operations["post"]["responses"]["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
    assert set(document["components"]["schemas"]["Problem"]["required"]) == set(
        client.get("/registry/models/nobody").json()
    )


def test_the_gateways_own_document_shows_what_is_promoted(client: httpx.Client) -> None:
    upload(client, "promoted", models.identity("int64", (2,)))
    assert "/models/promoted/predict" not in shown(client, "/openapi.json")["paths"]
    client.put("/registry/models/promoted/aliases/production", json={"version": 1}).raise_for_status()

    document = shown(client, "/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert {"/registry/models/{name}/versions", "/registry/blobs/{digest}"} <= set(document["paths"])
    content = document["paths"]["/models/promoted/predict"]["post"]["requestBody"]["content"]
    example = content["application/json"]["example"]
    answer = client.post("/models/promoted/predict", json=example)
    assert example == {"inputs": {"x": [1, 1]}}
    assert answer.json() == {"model": "promoted", "version": 1, "outputs": {"y": [1, 1]}}


def test_every_reference_of_the_document_leads_somewhere(client: httpx.Client) -> None:
    document = shown(client, "/openapi.json")
    references = set(re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(document)))
    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references <= named


def test_every_refusal_is_a_problem_or_the_one_line_of_other_protocols(client: httpx.Client) -> None:
    document = shown(client, "/openapi.json")
    refusals = [
        (dialect_of(path) is Dialect.NATIVE, [*answer["content"]])
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if not status.startswith(("2", "3"))
    ]
    right = ((True, ["application/problem+json"]), (False, ["application/json"]))
    assert [refusal for refusal in refusals if refusal not in right] == []


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/registry/tokens", "GET, POST"),
        ("/registry/models/nobody/versions/1", "DELETE, GET, PATCH"),
        ("/health/live", "GET"),
        ("/docs", "GET"),
    ],
)
def test_a_method_that_a_path_lacks_is_answered_with_those_that_it_has(
    client: httpx.Client, path: str, methods: str
) -> None:
    answer = client.options(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/{name}:predict",
        "/v1/models/{name}/versions/{version}:predict",
        "/v1/models/{name}/labels/{label}:predict",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}/infer",
    ],
)
def test_predict_routes_of_other_protocols_have_an_example_that_works(client: httpx.Client, path: str) -> None:
    version = ensure_uploaded(client, "aaa-first", models.linear())["version"]
    promote(client, "aaa-first", version)
    operation = shown(client, "/openapi.json")["paths"][path]["post"]
    url = path.format(**{parameter["name"]: parameter["example"] for parameter in operation["parameters"]})
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert client.post(url, json=example).status_code == 200
    refused = client.post(url, json={"inputs": None})
    assert refused.headers["content-type"] in operation["responses"]["default"]["content"]


def test_predict_routes_say_which_files_they_take_and_give(client: httpx.Client) -> None:
    operation = shown(client, "/openapi.json")["paths"]["/v{version}/models/{name}/predict"]["post"]
    taken, given = operation["requestBody"]["content"], operation["responses"]["200"]["content"]
    assert [*taken] == [*given] == ["application/json", *KINDS]
