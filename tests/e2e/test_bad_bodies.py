"""Bodies that must be refused: the whole answer each time, and a good request right after."""

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.problems import assert_problem, violation
from tests.support.uploads import upload_all

MIB = 1024 * 1024
JSON = {"content-type": "application/json"}
ONE_ROW = b'{"inputs": {"x": [[1, 2, 3, 4]]}}'
INT64 = "int64 from -9223372036854775808 to 9223372036854775807"


def gather() -> ModelProto:
    return models.model(
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        [models.value("i", "int64")],
        [models.value("y")],
        initializers=[models.initializer("table", np.arange(3, dtype=np.float32))],
    )


def words() -> ModelProto:
    """Int64 i [batch] -> y [batch]: "fine" for 0, and for 1 two bytes that are no text."""
    table = TensorProto(name="table", data_type=TensorProto.STRING, dims=[2], string_data=[b"fine", b"\xff\xfe"])
    return models.model(
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        [models.value("i", "int64")],
        [models.value("y", "string")],
        initializers=[table],
    )


SERVED: dict[str, ModelProto] = {
    "linear": models.linear(),
    "int64": models.identity("int64"),
    "uint8": models.identity("uint8"),
    "bool": models.identity("bool"),
    "float32": models.identity("float32"),
    "pair": models.two_inputs_one_symbol(),
    "scalar": models.scalar_scale(),
    "text": models.string_twice(),
    "gather": gather(),
    "words": words(),
    "division": models.model(
        [helper.make_node("Div", ["a", "b"], ["y"])],
        [models.value("a", "int32"), models.value("b", "int32")],
        [models.value("y", "int32")],
    ),
}


TAUGHT: dict[str, dict[str, Any]] = {
    "linear": {"x": [[0.5, 0.5, 0.5, 0.5]]},
    "int64": {"x": [1]},
    "uint8": {"x": [1]},
    "bool": {"x": [True]},
    "float32": {"x": [0.5]},
    "pair": {"a": [0.5], "b": [0.5]},
    "scalar": {"x": [0.5], "factor": 0.5},
    "text": {"x": ["text"]},
}
"""The inputs that refusals show, by model."""


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        upload_all(opened, SERVED)
        yield opened


def predict(client: httpx.Client, model: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return client.post(f"/v1/models/{model}/predict", content=body, headers=JSON | (headers or {}))


def assert_good_requests_work(client: httpx.Client) -> None:
    answer = predict(client, "float32", b'{"inputs": [0.5, "NaN", "-Infinity", "Infinity"]}')
    assert (answer.status_code, answer.json()["outputs"]) == (200, {"y": [0.5, "NaN", "-Infinity", "Infinity"]})


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        pytest.param(b"", "invalid_json", "the body is not JSON: it is empty", id="empty"),
        pytest.param(b"nul", "invalid_json", "the body is not JSON: Expecting value, at character 0", id="no JSON"),
        pytest.param(b"\xff{}", "invalid_json", "the body is not UTF-8: see byte 0", id="not UTF-8"),
        pytest.param(
            b'{"inputs": {"\\ud800": 1}}',
            "invalid_json",
            "the body is not JSON: a string holds a lone surrogate",
            id="lone surrogate",
        ),
        pytest.param(b"[" * 100_000, "json_too_deep", "the body nests deeper than 32 levels", id="100,000 brackets"),
        pytest.param(
            b'{"inputs": [' + b"1" * 5000 + b"]}",
            "invalid_number",
            "the integer '111111111111111111111111...' has more than 20 digits",
            id="5,000 digits",
        ),
        pytest.param(
            b'{"inputs": [NaN]}',
            "invalid_number",
            'NaN is not a JSON number: write "NaN", in quotes, for a float tensor',
            id="bare NaN",
        ),
        pytest.param(
            b'{"inputs": [-Infinity]}',
            "invalid_number",
            '-Infinity is not a JSON number: write "-Infinity", in quotes, for a float tensor',
            id="bare infinity",
        ),
        pytest.param(
            b'{"inputs": {"x": [1], "x": [1]}}',
            "duplicate_key",
            "the key 'x' stands twice in one object",
            id="a key twice",
        ),
    ],
)
def test_a_body_that_is_not_strict_json_is_refused(client: httpx.Client, body: bytes, code: str, detail: str) -> None:
    example = {"inputs": TAUGHT["float32"]}
    assert_problem(predict(client, "float32", body), 400, code=code, detail=detail, example=example)
    assert_good_requests_work(client)


@pytest.mark.parametrize(
    ("model", "body", "found"),
    [
        ("linear", {}, [("", "either inputs or instances", "neither", "invalid_field")]),
        ("linear", {"inputs": {}}, [("/inputs/x", "float32[batch, 4]", "nothing", "missing_input")]),
        ("linear", {"inputs": {"x": [[1, 2, 3, 4]], "z": 1}}, [("/inputs/z", "one of x", "z", "unknown_input")]),
        (
            "linear",
            {"inputs": {"x": [[1, 2, 3, 4]]}, "outputs": ["nope"]},
            [("/outputs/0", "one of y", "nope", "unknown_output")],
        ),
        ("linear", {"inputs": [[1, 2, 3]]}, [("/inputs", "float32[batch, 4]", "float32[1, 3]", "invalid_shape")]),
        ("linear", {"inputs": [1, 2, 3, 4]}, [("/inputs", "float32[batch, 4]", "float32[4]", "invalid_shape")]),
        (
            "linear",
            {"inputs": [[1, 2, 3, 4], [1]]},
            [("/inputs/1", "a list of 4, like the first", "a list of 1", "invalid_shape")],
        ),
        (
            "linear",
            {"inputs": {"shape": [2**40, 4], "data": [1, 2, 3]}},
            [("/inputs", f"as many elements as the shape [{2**40}, 4] has", "3 elements", "invalid_shape")],
        ),
        (
            "linear",
            {"inputs": {"shape": [-1, 4], "data": [1, 2, 3, 4]}},
            [("/inputs/shape/0", "a size", "-1", "invalid_shape")],
        ),
        (
            "linear",
            {"inputs": [[True, "a", 1, 1e39]]},
            [
                ("/inputs/0/0", "an element of float32", "true", "invalid_dtype"),
                ("/inputs/0/1", "an element of float32", "'a'", "invalid_dtype"),
                ("/inputs/0/3", "float32, at most 3.4028235e+38 in size", "1e+39", "out_of_range"),
            ],
        ),
        ("int64", {"inputs": [1.5]}, [("/inputs/0", "an element of int64", "1.5", "invalid_dtype")]),
        ("int64", {"inputs": [1.0]}, [("/inputs/0", "an element of int64", "1.0", "invalid_dtype")]),
        ("int64", {"inputs": [True]}, [("/inputs/0", "an element of int64", "true", "invalid_dtype")]),
        ("int64", {"inputs": ["1"]}, [("/inputs/0", "an element of int64", "'1'", "invalid_dtype")]),
        ("int64", {"inputs": [2**63]}, [("/inputs/0", INT64, str(2**63), "out_of_range")]),
        ("uint8", {"inputs": [300]}, [("/inputs/0", "uint8 from 0 to 255", "300", "out_of_range")]),
        ("bool", {"inputs": [1]}, [("/inputs/0", "an element of bool", "1", "invalid_dtype")]),
        ("text", {"inputs": [1]}, [("/inputs/0", "an element of string", "1", "invalid_dtype")]),
        (
            "pair",
            {"inputs": {"a": [1, 2], "b": [1]}},
            [("/inputs/b", "n = 2, as in a", "n = 1", "inconsistent_dim")],
        ),
        (
            "scalar",
            {"inputs": {"x": [1], "factor": [2]}},
            [("/inputs/factor", "float32[]", "float32[1]", "invalid_shape")],
        ),
    ],
)
def test_a_body_that_does_not_fit_the_signature_is_refused_with_every_violation(
    client: httpx.Client, model: str, body: dict[str, Any], found: list[tuple[str, str, str, str]]
) -> None:
    path, expected, received, code = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    detail = f"{path or 'the body'}: expected {expected}, received {received}{more}"
    for verb in ("predict", "validate"):
        answer = client.post(f"/v1/models/{model}/{verb}", json=body)
        violations = [violation(*each) for each in found]
        example = {"inputs": TAUGHT[model]}
        assert_problem(answer, 422, code=code, detail=detail, violations=violations, example=example)
    assert_good_requests_work(client)


def test_too_many_elements_are_refused(client: httpx.Client) -> None:
    rows = (b"[" + b"0," * 1023 + b"0],") * 4097
    answer = predict(client, "linear", b'{"inputs":[' + rows[:-1] + b"]}")
    found = ("/inputs", "at most 4194304 elements in one request", "4195328 elements", "too_many_elements")
    detail = f"{found[0]}: expected {found[1]}, received {found[2]}"
    example = {"inputs": TAUGHT["linear"]}
    violations = [violation(*found)]
    assert_problem(answer, 413, code="too_many_elements", detail=detail, violations=violations, example=example)
    assert_good_requests_work(client)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b" " * (16 * MIB + 1), {}, id="as sent"),
        pytest.param(gzip.compress(bytes(17 * MIB)), {"content-encoding": "gzip"}, id="when inflated"),
    ],
)
def test_a_body_over_the_cap_is_refused(client: httpx.Client, body: bytes, headers: dict[str, str]) -> None:
    answer = predict(client, "linear", body, headers)
    assert_problem(answer, 413, code="too_large", detail="the body may have at most 16777216 bytes")
    assert_good_requests_work(client)


def test_a_chunked_body_is_refused_when_it_passes_the_cap(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * MIB

    answer = client.post("/v1/models/linear/predict", content=chunks(), headers=JSON)
    assert_problem(answer, 413, code="too_large", detail="the body may have at most 16777216 bytes")
    assert_good_requests_work(client)


@pytest.mark.parametrize(
    ("headers", "code", "detail"),
    [
        (
            {"content-encoding": "br"},
            "unsupported_encoding",
            "'br' is not supported: send gzip or plain bytes",
        ),
        (
            {"content-type": "text/plain"},
            "unsupported_media_type",
            (
                "'text/plain' is not supported here: send Content-Type: application/json, or"
                " application/x-npy, application/x-npz, application/vnd.safetensors, application/x-safetensors"
            ),
        ),
    ],
)
def test_other_encodings_and_types_are_refused(
    client: httpx.Client, headers: dict[str, str], code: str, detail: str
) -> None:
    assert_problem(predict(client, "linear", ONE_ROW, headers), 415, code=code, detail=detail)
    assert_good_requests_work(client)


@pytest.mark.parametrize(
    ("model", "body"),
    [("gather", {"inputs": [99]}), ("division", {"inputs": {"a": [1], "b": [0]}})],
    ids=["out of range", "1 / 0"],
)
def test_what_the_model_refuses_is_the_callers_to_mend(client: httpx.Client, model: str, body: dict[str, Any]) -> None:
    answer = predict(client, model, json.dumps(body).encode())
    detail = answer.json()["detail"]  # names the class of the runtime's error, and nothing that the runtime said
    assert re.fullmatch(r"the runtime could not run the model on these inputs \([A-Za-z]+\)", detail)
    assert_problem(answer, 422, code="model_execution_failed", detail=detail)
    counted = f'sardonyx_predict_requests_total{{code="model_execution_failed",model="{model}",version="1"}}'
    assert [line.split()[-1] for line in client.get("/metrics").text.splitlines() if line.startswith(counted)] == [
        "1.0"
    ]
    assert_good_requests_work(client)


def test_what_is_no_number_is_answered_in_words_of_strict_json(client: httpx.Client) -> None:
    answer = predict(client, "float32", b'{"inputs": ["NaN", "Infinity", "-Infinity", -0.0]}')
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.content, parse_constant=str.upper)["outputs"] == {
        "y": ["NaN", "Infinity", "-Infinity", 0.0]
    }
    assert_good_requests_work(client)


def test_an_output_that_is_not_text_is_refused_and_those_that_are_go_out(client: httpx.Client) -> None:
    answer = predict(client, "words", b'{"inputs": [0, 1]}')
    assert_problem(answer, 422, code="model_output_not_text", detail="an output of the model is not UTF-8 text")
    assert predict(client, "words", b'{"inputs": [0, 0]}').json()["outputs"] == {"y": ["fine", "fine"]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"inputs": [1]}', id="not gzip"),
        pytest.param(gzip.compress(b'{"inputs": [1]}') + b"{}", id="more behind it"),
        pytest.param(gzip.compress(b'{"inputs": [1]}')[:-4], id="cut short"),
        pytest.param(b"", id="empty"),
    ],
)
def test_what_says_gzip_and_is_not_is_refused(client: httpx.Client, body: bytes) -> None:
    says = "the body says that it is compressed, but "
    why = "cannot be inflated" if body.startswith(b"{") else "is cut short or followed by something else"
    answer = predict(client, "float32", body, {"content-encoding": "gzip"})
    assert_problem(answer, 400, code="invalid_json", detail=says + why)
    assert_good_requests_work(client)


def test_gzip_within_the_cap_is_understood(client: httpx.Client) -> None:
    answer = predict(client, "int64", gzip.compress(b'{"inputs": [9007199254740993]}'), {"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["outputs"]) == (200, {"y": [9007199254740993]})


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": {"x": [[1, 2, 3, 4]]}, "outputs": ["y"], "id": "order-17"}',
        b'{"inputs": [[1, 2, 3, 4]], "id": "order-17"}',
        b'{"instances": [[1, 2, 3, 4]], "id": "order-17"}',
        b'{"inputs": {"x": {"shape": [1, 4], "data": [1, 2, 3, 4]}}, "id": "order-17"}',
    ],
)
def test_every_form_of_one_request_has_one_answer(client: httpx.Client, body: bytes) -> None:
    plain = predict(client, "linear", ONE_ROW).json()
    assert predict(client, "linear", body).json() == plain | {"id": "order-17"}
    valid = client.post("/v1/models/linear/validate", content=body, headers=JSON)
    assert (valid.status_code, valid.json()) == (200, {"model": "linear", "version": 1, "valid": True})
