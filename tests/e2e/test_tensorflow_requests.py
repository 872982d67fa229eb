"""TensorFlow Serving's REST and KServe's version 1, as their documentation has them, each answer compared whole."""

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
from tests.support.raw_http import request_bytes, send_raw
from tests.support.tokens import bearer, make_token
from tests.support.uploads import OCTETS, promote, upload, upload_and_promote

NO_ERROR = {"error_code": "OK", "error_message": ""}


def neg_and_square() -> ModelProto:
    nodes = [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Mul", ["x", "x"], ["square"])]
    return models.model(nodes, [models.value("x")], [models.value("minus"), models.value("square")])


def total() -> ModelProto:
    nodes = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)]
    return models.model(nodes, [models.value("x")], [models.value("y", shape=None)])


SERVED: dict[str, ModelProto] = {
    "two": neg_and_square(),
    "pair": models.two_inputs_one_symbol(),
    "same": models.identity("float32", ("n", 2)),
    "whole": models.identity("int64", ("n",)),
    "text": models.string_twice(),
    "total": total(),
}


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        for name, model in SERVED.items():
            upload_and_promote(opened, name, model)
        upload(opened, "iris", models.linear(seed=1))
        upload(opened, "iris", models.linear(seed=2))
        upload(opened, "iris", models.linear(seed=3))
        promote(opened, "iris")
        promote(opened, "iris", 2, "staging")
        assert opened.delete("/registry/models/iris/versions/3").status_code == 200
        upload(opened, "unpromoted", models.linear())
        yield opened


def status(name: str, *numbers: int, ready: bool = True) -> dict[str, Any]:
    versions = [{"version": str(number), "state": "AVAILABLE", "status": NO_ERROR} for number in numbers]
    return {"name": name, "ready": ready, "model_version_status": versions}


# --- predictions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "body", "answer"),
    [
        ("same", {"instances": [[1, 2], [3, 4.5]]}, {"predictions": [[1.0, 2.0], [3.0, 4.5]]}),
        ("same", {"instances": [{"x": [1, 2]}]}, {"predictions": [[1.0, 2.0]]}),
        ("same", {"inputs": [[1, "NaN"]]}, {"outputs": [[1.0, "NaN"]]}),
        ("same", {"inputs": {"x": [[1, 2]]}, "signature_name": "serving_default"}, {"outputs": [[1.0, 2.0]]}),
        ("same", {"signature_name": "serving_default", "instances": [[1, 2]]}, {"predictions": [[1.0, 2.0]]}),
        (
            "two",
            {"instances": [2, 3]},
            {"predictions": [{"minus": -2.0, "square": 4.0}, {"minus": -3.0, "square": 9.0}]},
        ),
        ("two", {"inputs": [2, 3]}, {"outputs": {"minus": [-2.0, -3.0], "square": [4.0, 9.0]}}),
        ("two", {"instances": []}, {"predictions": []}),
        ("pair", {"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}, {"predictions": [3.0, 7.0]}),
        ("pair", {"inputs": {"a": [1], "b": [2]}}, {"outputs": [3.0]}),
        ("whole", {"instances": [2**63 - 1]}, {"predictions": [2**63 - 1]}),
        ("text", {"instances": [{"b64": "w6Q="}, "b"]}, {"predictions": ["ää", "bb"]}),
        ("total", {"inputs": [1, 2]}, {"outputs": 3.0}),
    ],
)
def test_rows_are_answered_by_rows_and_columns_by_columns(
    client: httpx.Client, model: str, body: dict[str, Any], answer: dict[str, Any]
) -> None:
    found = client.post(f"/v1/models/{model}:predict", json=body)
    assert (found.status_code, found.json()) == (200, answer)
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-model-version"] == "1"


@pytest.mark.parametrize("size", [10, 3_000, 40_000], ids=["short", "beyond the buffers", "in a thread"])
def test_bodies_of_every_length_are_answered(client: httpx.Client, size: int) -> None:
    rows = [[float(place), 0.5] for place in range(size)]
    assert client.post("/v1/models/same:predict", json={"instances": rows}).json() == {"predictions": rows}


def test_words_without_quotes_are_taken_as_python_writes_them(client: httpx.Client) -> None:
    body = json.dumps({"inputs": [[float("nan"), float("-inf")]]})
    assert client.post("/v1/models/same:predict", content=body).json() == {"outputs": [["NaN", "-Infinity"]]}


def test_what_curl_sends_by_itself_is_taken(client: httpx.Client) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post("/v1/models/whole:predict", content='{"instances": [1, 2]}', headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"predictions": [1, 2]})


def test_a_version_is_named_by_number_by_label_or_not_at_all(client: httpx.Client) -> None:
    versions = {
        path: client.post(f"/v1/models/iris{path}:predict", json={"instances": [[1, 2, 3, 4]]}).headers[
            "x-model-version"
        ]
        for path in ("", "/versions/0", "/versions/1", "/versions/2", "/labels/production", "/labels/staging")
    }
    assert versions == {
        "": "1",
        "/versions/0": "1",
        "/versions/1": "1",
        "/versions/2": "2",
        "/labels/production": "1",
        "/labels/staging": "2",
    }


def test_our_own_route_of_version_1_is_beside_it(client: httpx.Client) -> None:
    answer = client.post("/v1/models/whole/predict", json={"instances": [1]})
    assert (answer.status_code, answer.json()) == (200, {"model": "whole", "version": 1, "outputs": {"y": [1]}})
    nobodys = client.get("/v1/models/whole/predict")
    assert nobodys.headers["allow"] == "POST"
    assert_problem(nobodys, 405, code="method_not_allowed", detail="this route takes POST")


# --- refusals ---------------------------------------------------------------------------------------------------------

BAD_BODIES: list[tuple[str, str, str, list[str]]] = [
    (
        "whole",
        '{"instances": [1.5, true]}',
        "invalid_dtype",
        [
            "/instances/0: expected an element of int64, received 1.5",
            "/instances/1: expected an element of int64, received true",
        ],
    ),
    (
        "whole",
        '{"instances": [1], "signature_name": "other"}',
        "invalid_field",
        ["/signature_name: expected \"serving_default\", or nothing, received 'other'"],
    ),
    (
        "total",
        '{"instances": [1, 2]}',
        "outputs_not_rows",
        [
            (
                "/instances: expected outputs with a row for each of the 2 instances "
                "(send inputs, and the answer is in columns), received y: float32[]"
            )
        ],
    ),
    ("whole", "{", "invalid_json", ["the body is not JSON"]),
    ("whole", '{"inputs": [1], "inputs": [1]}', "duplicate_key", ["the key 'inputs' stands twice in one object"]),
]


@pytest.mark.parametrize(("model", "body", "code", "faults"), BAD_BODIES)
def test_a_bad_body_is_told_everything_that_is_wrong_with_it(
    client: httpx.Client, model: str, body: str, code: str, faults: list[str]
) -> None:
    answer = client.post(f"/v1/models/{model}:predict", content=body)
    assert answer.headers["content-type"] == "application/json"
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    said = answer.json()["error"]
    assert said.startswith(f"{code}: ")
    assert [fault for fault in faults if fault not in said] == []


@pytest.mark.parametrize(
    ("method", "path", "code", "error"),
    [
        ("POST", "/v1/models/nobody:predict", 404, "model_not_found: there is no model 'nobody'"),
        ("GET", "/v1/models/nobody", 404, "model_not_found: there is no model 'nobody'"),
        ("GET", "/v1/models/nobody/metadata", 404, "model_not_found: there is no model 'nobody'"),
        ("POST", "/v1/models/iris/versions/9:predict", 404, "version_not_found: model 'iris' has no version 9"),
        ("GET", "/v1/models/iris/versions/9", 404, "version_not_found: model 'iris' has no version 9"),
        ("GET", "/v1/models/iris/versions/3", 404, "version_retired: version 3 of model 'iris' is retired"),
        ("POST", "/v1/models/iris/versions/3:predict", 404, "version_retired: version 3 of model 'iris' is retired"),
        ("POST", "/v1/models/iris/labels/gone:predict", 404, "alias_not_found: "),
        ("POST", "/v1/models/iris/versions/new:predict", 404, "version_not_found: "),
        ("POST", "/v1/models/Iris:predict", 404, "invalid_name: "),
        ("GET", "/v1/models/Iris", 404, "invalid_name: "),
        ("POST", "/v1/models/unpromoted:predict", 404, "no_active_version: "),
        ("GET", "/v1/models/unpromoted/metadata", 404, "no_active_version: "),
        ("GET", "/v1/models/iris:predict", 405, "method_not_allowed: this route takes POST"),
        ("POST", "/v1/models/iris", 405, "method_not_allowed: this route does not take this method"),
        ("GET", "/v1/models/iris/versions", 404, "not_found: no route has this path; the documentation is at /docs"),
        *(
            (
                "POST",
                f"/v1/models/iris{path}:{verb}",
                404,
                "not_found: models are served by :predict only: send POST /v1/models/iris:predict",
            )
            for verb in ("classify", "regress", "explain")
            for path in ("", "/versions/1", "/labels/staging")
        ),
    ],
)
def test_what_is_not_there_is_refused_in_the_dialects_shape(
    client: httpx.Client, method: str, path: str, code: int, error: str
) -> None:
    answer = client.request(method, path, json={"instances": [[1, 2, 3, 4]]} if method == "POST" else None)
    assert answer.headers["content-type"] == "application/json"
    assert (answer.status_code, list(answer.json())) == (code, ["error"])
    assert answer.json()["error"].startswith(error)


def test_a_type_that_is_no_json_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/models/whole:predict", content=b"\x00", headers={"content-type": "application/x-npy"})
    text = "unsupported_media_type: 'application/x-npy' is not supported here: send Content-Type: application/json"
    assert (answer.status_code, answer.json()) == (415, {"error": text})


# --- what there is ----------------------------------------------------------------------------------------------------


def test_models_are_listed_by_name(client: httpx.Client) -> None:
    assert client.get("/v1/models").json() == {"models": sorted([*SERVED, "iris", "unpromoted"])}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("iris", status("iris", 2, 1)),
        ("iris/versions/0", status("iris", 1)),
        ("iris/versions/2", status("iris", 2)),
        ("iris/labels/staging", status("iris", 2)),
        ("unpromoted", status("unpromoted", 1, ready=False)),
        ("unpromoted/versions/1", status("unpromoted", 1)),
    ],
)
def test_the_status_says_which_versions_answer(client: httpx.Client, path: str, document: dict[str, Any]) -> None:
    answer = client.get(f"/v1/models/{path}")
    assert (answer.status_code, answer.json()) == (200, document)


@pytest.mark.parametrize(
    ("path", "version"),
    [("iris", "1"), ("iris/versions/0", "1"), ("iris/versions/2", "2"), ("iris/labels/staging", "2")],
)
def test_the_metadata_says_what_the_version_takes(client: httpx.Client, path: str, version: str) -> None:
    document = client.get(f"/v1/models/{path}/metadata").json()
    assert document["model_spec"] == {"name": "iris", "signature_name": "", "version": version}
    inputs = document["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
    shape = {"dim": [{"size": "-1", "name": "batch"}, {"size": "4", "name": ""}], "unknown_rank": False}
    assert inputs == {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "tensorShape": shape, "name": "x"}}


@pytest.mark.parametrize(
    ("accept", "answer"), [("*/*", (200, '{"status":"alive"}')), ("text/html,*/*;q=0.8", (307, ""))]
)
def test_programs_are_told_that_the_server_lives_and_browsers_are_shown_the_documentation(
    client: httpx.Client, accept: str, answer: tuple[int, str]
) -> None:
    found = client.get("/", headers={"accept": accept})
    assert (found.status_code, found.text) == answer


# --- who may ----------------------------------------------------------------------------------------------------------


def test_a_token_sees_and_asks_its_own_models_only(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", auth="on") as gateway, gateway.client() as client:
        admin = bearer(make_token(tmp_path / "data", "admin").text)
        mine = bearer(make_token(tmp_path / "data", "predict", models="mine-*").text)
        for name in ("mine-1", "others"):
            content = models.identity().SerializeToString()
            path = f"/registry/models/{name}/versions"
            assert client.post(path, content=content, headers=admin | OCTETS).status_code == 201
        asked = {
            path: client.request(method, path, json={"instances": [1]}, headers=mine).status_code
            for method, path in (
                ("GET", "/v1/models/mine-1"),
                ("GET", "/v1/models/others"),
                ("GET", "/v1/models/others/versions/1"),
                ("GET", "/v1/models/others/versions/1/metadata"),
                ("POST", "/v1/models/mine-1/versions/1:predict"),
                ("POST", "/v1/models/others/versions/1:predict"),
                ("POST", "/v1/models/others:classify"),
            )
        }
        listed = client.get("/v1/models", headers=mine).json()
        nobody = client.get("/v1/models/mine-1")
    assert asked == {
        "/v1/models/mine-1": 200,
        "/v1/models/others": 403,
        "/v1/models/others/versions/1": 403,
        "/v1/models/others/versions/1/metadata": 403,
        "/v1/models/mine-1/versions/1:predict": 200,
        "/v1/models/others/versions/1:predict": 403,
        "/v1/models/others:classify": 403,
    }
    assert listed == {"models": ["mine-1"]}
    assert nobody.status_code == 401
    assert list(nobody.json()) == ["error"]
    assert nobody.headers["www-authenticate"] == "Bearer"


@pytest.mark.usefixtures("client")
def test_a_path_that_is_escaped_means_the_same(gateway: GatewayProcess) -> None:
    line = "POST /v1/models/whole%3Apredict HTTP/1.1"
    answer = send_raw(gateway.url, request_bytes(line, "Host: localhost", body=b'{"instances":[7]}'))
    assert (answer.status, answer.body) == (200, b'{"predictions":[7]}')
