"""Requests as the contract has them, each answer compared whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from onnx import ModelProto, helper

from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway
from tests.support.problems import assert_problem
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload, upload_all


def neg_and_square() -> ModelProto:
    nodes = [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Mul", ["x", "x"], ["square"])]
    return models.model(nodes, [models.value("x")], [models.value("minus"), models.value("square")])


SERVED: dict[str, ModelProto] = {
    "two": neg_and_square(),
    "pair": models.two_inputs_one_symbol(),
    "scaled": models.scalar_scale(),
    "cube": models.identity("int64", ("a", None, 3)),
    "anyrank": models.identity("float64", None),
    "same-text": models.string_twice(),
    "half": models.identity("float16"),
}


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        upload_all(opened, SERVED)
        yield opened


def metric(client: httpx.Client, name: str) -> float:
    (line,) = (line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


@pytest.mark.parametrize(
    ("model", "body", "outputs"),
    [
        pytest.param("two", {"inputs": {"x": [2]}}, {"minus": [-2.0], "square": [4.0]}, id="all outputs"),
        pytest.param(
            "two", {"inputs": [2], "outputs": ["square", "minus"]}, {"square": [4.0], "minus": [-2.0]}, id="in my order"
        ),
        pytest.param("two", {"inputs": [2], "outputs": ["minus"]}, {"minus": [-2.0]}, id="only one"),
        pytest.param("two", {"instances": [2, 3]}, {"minus": [-2.0, -3.0], "square": [4.0, 9.0]}, id="rows"),
        pytest.param("two", {"inputs": []}, {"minus": [], "square": []}, id="no rows"),
        pytest.param("pair", {"inputs": {"b": [2], "a": [1]}}, {"sum": [3.0]}, id="inputs in any order"),
        pytest.param("pair", {"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}, {"sum": [3.0, 7.0]}, id="named rows"),
        pytest.param("scaled", {"inputs": {"x": [1, 2], "factor": 3}}, {"y": [3.0, 6.0]}, id="a scalar"),
        pytest.param(
            "scaled",
            {"inputs": {"x": [1], "factor": {"shape": [], "data": [3]}}},
            {"y": [3.0]},
            id="a scalar as shape and data",
        ),
        pytest.param(
            "cube",
            {"inputs": {"x": {"shape": [1, 2, 3], "data": [1, 2, 3, 4, 5, 9007199254740993]}}},
            {"y": [[[1, 2, 3], [4, 5, 9007199254740993]]]},
            id="row-major",
        ),
        pytest.param(
            "cube",
            {"inputs": {"shape": [2, 0, 3], "data": []}},
            {"y": {"shape": [2, 0, 3], "data": []}},
            id="a zero before the last size",
        ),
        pytest.param("anyrank", {"inputs": [[[0.1]]]}, {"y": [[[0.1]]]}, id="any rank, three"),
        pytest.param("anyrank", {"inputs": 0.1}, {"y": 0.1}, id="any rank, none"),
        pytest.param("same-text", {"inputs": ["\u00e4\n", "\U0001f40d"]}, {"y": ["\u00e4\n" * 2, "\U0001f40d" * 2]}),
        pytest.param("half", {"inputs": [0.5, "NaN", "-Infinity"]}, {"y": [0.5, "NaN", "-Infinity"]}, id="not finite"),
    ],
)
def test_every_form_of_a_body_has_its_answer(
    client: httpx.Client, model: str, body: dict[str, Any], outputs: dict[str, Any]
) -> None:
    for more in ({}, {"id": "order-17"}):
        answer = client.post(f"/v1/models/{model}/predict", json=body | more)
        assert (answer.status_code, answer.json()) == (200, {"model": model, "version": 1, "outputs": outputs} | more)
        assert list(answer.json()["outputs"]) == list(outputs)
    valid = client.post(f"/v1/models/{model}/validate", json=body)
    assert (valid.status_code, valid.json()) == (200, {"model": model, "version": 1, "valid": True})


def test_an_answer_names_version_and_digest_whichever_route_led_there(client: httpx.Client) -> None:
    first, second = (upload(client, "routed", models.linear(seed=seed)) for seed in (1, 2))
    for alias, number in (("production", 1), ("staging", 2)):
        assert client.put(f"/registry/models/routed/aliases/{alias}", json={"version": number}).status_code == 200
    routes = {
        "/v1/models/routed": first,
        "/models/routed": first,
        "/models/routed@production": first,
        "/v2/models/routed": second,
        "/models/routed@staging": second,
    }
    answers = {}
    for route, version in routes.items():
        valid, answer = (
            client.post(f"{route}/{verb}", json={"inputs": [[1, 2, 3, 4]]}) for verb in ("validate", "predict")
        )
        for each in (valid, answer):
            assert each.status_code == 200, each.text
            assert each.headers["x-model-version"] == str(version["version"])
            assert each.headers["x-model-digest"] == version["digest"]
            assert each.headers["content-type"] == "application/json"
        answers[route] = answer.json()
    assert answers["/models/routed"] == answers["/models/routed@production"] == answers["/v1/models/routed"]
    assert answers["/models/routed@staging"] == answers["/v2/models/routed"]
    assert answers["/v1/models/routed"]["outputs"] != answers["/v2/models/routed"]["outputs"]


@pytest.mark.parametrize("given", ["mine-1", "x" * 128], ids=["short", "as long as may be"])
def test_a_request_id_is_echoed(client: httpx.Client, given: str) -> None:
    good = client.post("/v1/models/two/predict", json={"inputs": [1]}, headers={"x-request-id": given})
    bad = client.post("/v1/models/two/predict", json={"inputs": [True]}, headers={"x-request-id": given})
    elsewhere = client.get("/registry/models/nobody", headers={"x-request-id": given})
    assert [answer.headers["x-request-id"] for answer in (good, bad, elsewhere)] == [given] * 3
    assert (bad.json()["instance"], elsewhere.json()["instance"]) == (given, given)


@pytest.mark.parametrize("given", [b"x" * 129, b"\xff", b"a\tb"], ids=["too long", "not ASCII", "a tab"])
def test_a_request_id_that_cannot_be_logged_is_replaced(client: httpx.Client, given: bytes) -> None:
    answer = client.post("/v1/models/two/predict", json={"inputs": [1]}, headers=[(b"x-request-id", given)])
    assert answer.status_code == 200
    assert answer.headers["x-request-id"].encode("latin-1") != given
    assert answer.headers["x-request-id"].isascii()


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_json_may_be_announced_in_any_spelling_or_not_at_all(client: httpx.Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = client.post("/v1/models/two/predict", content=b'{"inputs": [1]}', headers=headers)
    assert (answer.status_code, answer.json()["outputs"]) == (200, {"minus": [-1.0], "square": [1.0]})


def test_validating_loads_and_runs_nothing(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        upload(client, "cold", models.linear())
        wait_until_settled(gateway, "cold")
        assert client.post("/v1/models/cold/validate", json={"inputs": [[1, 2, 3, 4]]}).status_code == 200
        for verb in ("validate", "predict"):
            refused = client.post(f"/v1/models/cold/{verb}", json={"inputs": [[1, 2, 3, None]]})
            assert_problem(
                refused,
                422,
                code="invalid_dtype",
                detail="/inputs/0/3: expected an element of float32, received null",
                violations=[
                    {
                        "path": "/inputs/0/3",
                        "expected": "an element of float32",
                        "received": "null",
                        "code": "invalid_dtype",
                    }
                ],
                example={"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}},
            )
        counts = ("sardonyx_loads_total", "sardonyx_cache_misses_total", "sardonyx_resident_sessions")
        assert [metric(client, name) for name in counts] == [0, 0, 0]
        assert client.post("/v1/models/cold/predict", json={"inputs": [[1, 2, 3, 4]]}).status_code == 200
        assert [metric(client, name) for name in counts] == [1, 1, 1]


def test_answers_are_strict_json(client: httpx.Client) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    answer = client.post("/v1/models/half/predict", json={"inputs": ["NaN", "Infinity", "-Infinity", 65504]})
    outputs = json.loads(answer.content, parse_constant=refuse)["outputs"]
    assert outputs == {"y": ["NaN", "Infinity", "-Infinity", 65504.0]}
