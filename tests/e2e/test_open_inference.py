"""The Open Inference Protocol over REST, as somebody without a client library speaks it: every route, every refusal."""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import ModelProto, helper

from tests.support import models
from tests.support.gateway_process import GatewayProcess, running_gateway, wait_until
from tests.support.open_inference import Array, arrays_of, body_of, in_bytes, in_json
from tests.support.settled import wait_until_settled
from tests.support.uploads import upload, upload_and_promote
from tests.support.wire import same_bits

LENGTH = "inference-header-content-length"


def neg_and_square() -> ModelProto:
    nodes = [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Mul", ["x", "x"], ["square"])]
    return models.model(nodes, [models.value("x")], [models.value("minus"), models.value("square")])


SERVED: dict[str, ModelProto] = {
    "two": neg_and_square(),
    "pair": models.two_inputs_one_symbol(),
    "scaled": models.scalar_scale(),
    "whole": models.identity("int64"),
    "half": models.identity("float16"),
    "texts": models.identity("string"),
    "matrix": models.identity("float32", ("a", "b")),
    "optional": models.optional_bias(),
    "idle": models.identity(),
}


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        for name, model in SERVED.items():
            upload_and_promote(opened, name, model)
        upload(opened, "unpromoted", models.identity())
        wait_until_settled(gateway, *SERVED)  # what is loaded anew meanwhile would come after it has been unloaded
        yield opened


def infer(client: httpx.Client, path: str, document: Mapping[str, Any], *binary: Array) -> httpx.Response:
    body, head = body_of(document, *binary)
    headers = {LENGTH: str(head)} if binary else {"content-type": "application/json"}
    return client.post(f"/v2/models/{path}/infer", content=body, headers=headers)


def outputs_of(answer: httpx.Response) -> dict[str, Array]:
    assert answer.status_code == 200, answer.text
    head = answer.headers.get(LENGTH)
    return arrays_of(answer.content, None if head is None else int(head))


X = np.array([2.0, -0.0, np.inf], np.float32)

# --- inference --------------------------------------------------------------------------------------------------------


def test_an_answer_in_json_names_model_version_id_and_every_output(client: httpx.Client) -> None:
    answer = infer(client, "two", {"id": "a", "inputs": [in_json("x", X)]})
    assert (answer.headers["content-type"], answer.headers["x-model-version"]) == ("application/json", "1")
    assert answer.json() == {
        "model_name": "two",
        "model_version": "1",
        "id": "a",
        "outputs": [
            {"name": "minus", "datatype": "FP32", "shape": [3], "data": [-2.0, 0.0, "-Infinity"]},
            {"name": "square", "datatype": "FP32", "shape": [3], "data": [4.0, 0.0, "Infinity"]},
        ],
    }


@pytest.mark.parametrize("path", ["two", "two/versions/1", "two/versions/production"])
def test_a_version_is_a_number_or_an_alias_or_what_is_promoted(client: httpx.Client, path: str) -> None:
    assert infer(client, path, {"inputs": [in_json("x", X)]}).json()["model_version"] == "1"


def test_bytes_in_and_out_keep_the_payload_of_nan(client: httpx.Client) -> None:
    array = np.array([0x7E55, 0xFE01, 0x0001, 0x8000], np.uint16).view(np.float16)
    document = {"inputs": [in_bytes("x", array)], "parameters": {"binary_data_output": True}}
    answer = infer(client, "half", document, array)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert outputs_of(answer)["y"].tobytes() == array.tobytes()


def test_bytes_and_json_may_mix_both_ways(client: httpx.Client) -> None:
    a, b = np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)
    answer = infer(client, "pair", {"inputs": [in_json("a", a), in_bytes("b", b)]}, b)
    assert outputs_of(answer)["sum"].tolist() == [4.0, 6.0]
    document = {
        "inputs": [in_json("x", X)],
        "outputs": [{"name": "square", "parameters": {"binary_data": True}}, {"name": "minus"}],
    }
    mixed = infer(client, "two", document)
    assert [
        ("data" in output, output["name"])
        for output in json.loads(mixed.content[: int(mixed.headers[LENGTH])])["outputs"]
    ] == [(False, "square"), (True, "minus")]
    assert outputs_of(mixed)["square"].tolist() == [4.0, 0.0, float("inf")]


def test_an_output_says_for_itself_whether_it_is_bytes(client: httpx.Client) -> None:
    document = {
        "inputs": [in_json("x", X)],
        "outputs": [{"name": "minus", "parameters": {"binary_data": False}}],
        "parameters": {"binary_data_output": True},
    }
    assert infer(client, "two", document).json()["outputs"][0]["data"] == [-2.0, 0.0, "-Infinity"]


def test_a_raw_request_is_the_only_input_and_its_answer_is_bytes(client: httpx.Client) -> None:
    answer = client.post("/v2/models/whole/infer", content=np.arange(3).tobytes(), headers={LENGTH: "0"})
    assert same_bits([outputs_of(answer)["y"]], [np.arange(3)])


@pytest.mark.parametrize(
    ("model", "tensor", "expected"),
    [
        pytest.param("whole", [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)], id="64-bit integers"),
        pytest.param("whole", [], [], id="no rows"),
        pytest.param("half", [0.1, "NaN", 65504], [0.099975586, "NaN", 65504.0], id="half floats"),
        pytest.param("texts", ["a", "ü€"], ["a", "ü€"], id="texts"),
    ],
)
def test_elements_are_taken_exactly(client: httpx.Client, model: str, tensor: list[Any], expected: list[Any]) -> None:
    datatype = {"whole": "INT64", "half": "FP16", "texts": "BYTES"}[model]
    (name,) = (spec["name"] for spec in client.get(f"/v2/models/{model}").json()["inputs"])
    document = {"inputs": [{"name": name, "datatype": datatype, "shape": [len(tensor)], "data": tensor}]}
    answer = infer(client, model, document)
    assert answer.json()["outputs"][0]["data"] == expected


def test_words_for_floats_may_stand_without_quotation_marks(client: httpx.Client) -> None:
    body = b'{"inputs":[{"name":"x","datatype":"FP16","shape":[3],"data":[NaN,-Infinity,1.5]}]}'
    assert client.post("/v2/models/half/infer", content=body).json()["outputs"][0]["data"] == ["NaN", "-Infinity", 1.5]


@pytest.mark.parametrize(
    ("model", "body", "says"),
    [
        pytest.param(
            "whole",
            b'{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[NaN]}]}',
            "invalid_dtype: /inputs/0/data/0: expected an element of int64, received 'NaN'",
            id="a whole number",
        ),
        pytest.param(
            "half",
            b'{"id":NaN,"inputs":[{"name":"x","datatype":"FP16","shape":[1],"data":[1]}]}',
            "invalid_field: /id: expected text of at most 128 characters, received",
            id="an id",
        ),
    ],
)
def test_words_for_floats_stand_for_nothing_else(client: httpx.Client, model: str, body: bytes, says: str) -> None:
    answer = client.post(f"/v2/models/{model}/infer", content=body)
    assert (answer.status_code, answer.json()["error"][: len(says)]) == (422, says)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]], ids=["flat", "nested"])
def test_data_is_flat_or_nested(client: httpx.Client, data: list[Any]) -> None:
    document = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": data}]}
    assert infer(client, "matrix", document).json()["outputs"][0]["data"] == [1.0, 2.0, 3.0, 4.0]


def test_fields_and_parameters_of_other_servers_are_passed_over(client: httpx.Client) -> None:
    document = {
        "model_name": "two",
        "id": None,
        "parameters": {"priority": 1, "timeout": 1000, "content_type": "np"},
        "inputs": [{**in_json("x", X), "parameters": {"content_type": "np"}}],
        "outputs": None,
    }
    assert infer(client, "two", document).status_code == 200


def test_gzip_is_inflated_before_the_json_is_measured(client: httpx.Client) -> None:
    body, head = body_of({"inputs": [in_bytes("x", X)]}, X)
    headers = {LENGTH: str(head), "content-encoding": "gzip"}
    answer = client.post("/v2/models/two/infer", content=gzip.compress(body), headers=headers)
    assert outputs_of(answer)["minus"].tolist() == [-2.0, 0.0, -np.inf]


# --- refusals ---------------------------------------------------------------------------------------------------------

GOOD = {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param([], "/: expected an object, received a list of 0", id="no object"),
        pytest.param({}, "/inputs: expected a list of tensors, received nothing", id="no inputs"),
        pytest.param({"inputs": [7]}, "/inputs/0: expected an object with name, shape", id="no tensor"),
        pytest.param({"inputs": []}, "/inputs/x: expected float32[batch], received nothing", id="an input missing"),
        pytest.param({"inputs": [without("name")]}, "/inputs/0/name: expected the name of an input", id="no name"),
        pytest.param({"inputs": [without("shape")]}, "/inputs/0/shape: expected a list of sizes", id="no shape"),
        pytest.param({"inputs": [without("datatype")]}, "/inputs/0/datatype: expected FP32", id="no datatype"),
        pytest.param({"inputs": [without("data")]}, "/inputs/0/data: expected a list of elements", id="no data"),
        pytest.param({"inputs": [GOOD, GOOD]}, "/inputs/1/name: expected each input once", id="an input twice"),
        pytest.param({"inputs": [{**GOOD, "name": "y"}]}, "/inputs/0: expected one of x, received y", id="unknown"),
        pytest.param(
            {"inputs": [{**GOOD, "datatype": "FP64"}]}, "/inputs/0/datatype: expected FP32, received FP64", id="FP64"
        ),
        pytest.param({"inputs": [{**GOOD, "shape": [3]}]}, "/inputs/0/data: expected 3 elements", id="too few"),
        pytest.param({"inputs": [{**GOOD, "shape": [-1]}]}, "/inputs/0/shape/0: expected a size", id="a free size"),
        pytest.param(
            {"inputs": [{**GOOD, "shape": [1, 2]}]}, "/inputs/0: expected float32[batch], received", id="rank"
        ),
        pytest.param({"inputs": [{**GOOD, "data": [1, "2"]}]}, "/inputs/0/data/1: expected an element", id="text"),
        pytest.param({"inputs": [{**GOOD, "data": [1, 1e39]}]}, "(out_of_range)", id="overflow"),
        pytest.param({"inputs": [{**GOOD, "data": [[1], 2]}]}, "/inputs/0/data/1: expected", id="ragged"),
        pytest.param({"inputs": [GOOD], "id": 7}, "/id: expected text", id="id"),
        pytest.param({"inputs": [GOOD], "outputs": []}, "/outputs: expected a list of outputs", id="no outputs"),
        pytest.param({"inputs": [GOOD], "outputs": [7]}, "/outputs/0: expected an object", id="no output"),
        pytest.param({"inputs": [GOOD], "outputs": [{}]}, "/outputs/0/name: expected the name", id="nameless output"),
        pytest.param({"inputs": [GOOD], "outputs": [{"name": "z"}]}, "(unknown_output)", id="unknown output"),
        pytest.param(
            {"inputs": [GOOD], "outputs": [{"name": "minus"}] * 2}, "expected each output once", id="an output twice"
        ),
        pytest.param({"inputs": [GOOD], "parameters": []}, "/parameters: expected an object", id="parameters"),
        pytest.param(
            {"inputs": [GOOD], "parameters": {"binary_data_output": 1}}, "expected true or false", id="no flag"
        ),
        pytest.param(
            {"inputs": [GOOD], "outputs": [{"name": "minus", "parameters": {"classification": 3}}]},
            "expected no classification",
            id="classification",
        ),
        pytest.param(
            {"inputs": [{**GOOD, "parameters": {"shared_memory_region": "r"}}]},
            "expected no shared_memory_region",
            id="shared memory",
        ),
        pytest.param(
            {"inputs": [{**GOOD, "parameters": {"binary_data_size": 8}}]},
            "expected either data or binary_data_size, received both",
            id="both",
        ),
        pytest.param(
            {"inputs": [{**without("data"), "parameters": {"binary_data_size": 8}}]},
            "expected 8 bytes after the JSON, as the inputs' binary_data_size say, received 0 bytes",
            id="no bytes",
        ),
        pytest.param(
            {"inputs": [{**without("data"), "parameters": {"binary_data_size": "8"}}]},
            "expected a number of bytes",
            id="a size that is text",
        ),
    ],
)
def test_a_refusal_says_where_what_was_expected_and_what_came(client: httpx.Client, document: Any, said: str) -> None:
    answer = infer(client, "two", document)
    assert (answer.status_code, list(answer.json())) == (422, ["error"])
    assert said in answer.json()["error"]


def test_all_faults_are_named_at_once(client: httpx.Client) -> None:
    document = {"inputs": [{**GOOD, "name": "a", "datatype": "INT8"}, {**GOOD, "name": "b", "shape": [3]}], "id": 7}
    text = infer(client, "pair", document).json()["error"]
    found = [fault in text for fault in ("/id:", "/inputs/0/datatype: expected FP32", "/inputs/1/data: expected 3")]
    assert found == [True, True, True]


def test_bytes_that_are_too_few_for_the_shape_are_refused(client: httpx.Client) -> None:
    document = {"inputs": [{**in_bytes("x", X), "shape": [4]}]}
    text = infer(client, "two", document, X).json()["error"]
    assert "/inputs/0: expected 16 bytes for float32[4], received 12 bytes (invalid_shape)" in text


@pytest.mark.parametrize(
    ("headers", "content", "status", "said"),
    [
        pytest.param({LENGTH: "x"}, b"{}", 422, "is the number of bytes of the JSON, not 'x'", id="no number"),
        pytest.param({LENGTH: "9"}, b"{}", 422, "says 9 bytes of JSON, but the body has 2 bytes", id="short body"),
        pytest.param({LENGTH: "0"}, b"abc", 422, "/inputs/0: expected 0 bytes for float32[0]", id="raw and odd"),
        pytest.param({"content-type": "text/csv"}, b"1,2", 415, "unsupported_media_type", id="CSV"),
        pytest.param({"content-type": "application/json"}, b"{", 400, "invalid_json", id="no JSON"),
    ],
)
def test_what_cannot_be_read_at_all_is_refused(
    client: httpx.Client, headers: dict[str, str], content: bytes, status: int, said: str
) -> None:
    answer = client.post("/v2/models/two/infer", content=content, headers=headers)
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize("model", ["pair", "matrix"])
def test_a_raw_request_needs_one_input_with_one_free_size(client: httpx.Client, model: str) -> None:
    answer = client.post(f"/v2/models/{model}/infer", content=X.tobytes(), headers={LENGTH: "0"})
    assert (answer.status_code, "raw request" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nosuch", 404, "model_not_found"),
        ("two/versions/7", 404, "version_not_found"),
        ("two/versions/nosuch", 404, "alias_not_found"),
        ("unpromoted", 409, "no_active_version"),
    ],
)
def test_what_is_not_there_is_told_in_the_protocols_shape(
    client: httpx.Client, path: str, status: int, code: str
) -> None:
    answers = [
        infer(client, path, {"inputs": [GOOD]}),
        *(client.get(f"/v2/models/{path}{what}") for what in ("", "/ready", "/config")),
    ]
    found = {(answer.status_code, answer.json()["error"].partition(":")[0]) for answer in answers}
    assert found == {(status, code)}


# --- what else there is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), [("live", {"live": True}), ("ready", {"ready": True})])
def test_health_is_public_and_says_so_in_a_field(client: httpx.Client, path: str, body: dict[str, bool]) -> None:
    answer = client.get(f"/v2/health/{path}")
    assert (answer.status_code, answer.json()) == (200, body)


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_tells_its_extensions(client: httpx.Client, path: str) -> None:
    metadata = client.get(path).json()
    assert (metadata["name"], metadata["extensions"]) == (
        "sardonyx",
        ["binary_tensor_data", "model_repository", "model_configuration", "statistics"],
    )


def test_all_models_are_listed(client: httpx.Client) -> None:
    assert client.get("/v2/models").json() == {"models": sorted([*SERVED, "unpromoted"])}


@pytest.mark.parametrize("path", ["scaled", "scaled/versions/1", "scaled/versions/production"])
def test_metadata_has_the_protocols_words(client: httpx.Client, path: str) -> None:
    assert client.get(f"/v2/models/{path}").json() == {
        "name": "scaled",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1]},
            {"name": "factor", "datatype": "FP32", "shape": []},
        ],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }


@pytest.mark.parametrize("path", ["scaled/ready", "scaled/versions/1/ready", "scaled/versions/production/ready"])
def test_a_model_that_is_not_loaded_is_ready(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/v2/models/{path}")
    assert (answer.status_code, answer.json()) == (200, {"name": "scaled", "ready": True})


@pytest.mark.parametrize("path", ["matrix/config", "matrix/versions/1/config"])
def test_the_configuration_is_tritons(client: httpx.Client, path: str) -> None:
    config = client.get(f"/v2/models/{path}").json()
    assert (config["name"], config["backend"], config["max_batch_size"]) == ("matrix", "onnxruntime", 0)
    assert [(item["name"], item["data_type"], item["dims"]) for item in config["input"] + config["output"]] == [
        ("x", "TYPE_FP32", [-1, -1]),
        ("y", "TYPE_FP32", [-1, -1]),
    ]


@pytest.mark.parametrize("path", ["models/stats", "models/optional/stats", "models/optional/versions/1/stats"])
def test_statistics_count_what_was_answered_and_what_was_refused(client: httpx.Client, path: str) -> None:
    def counted() -> tuple[int, int]:
        (found,) = (one for one in client.get(f"/v2/{path}").json()["model_stats"] if one["name"] == "optional")
        stats = found["inference_stats"]
        return stats["success"]["count"], stats["fail"]["count"]

    infer(client, "optional", {"inputs": [GOOD]})
    good, failed = counted()
    infer(client, "optional", {"inputs": [GOOD]})
    infer(client, "optional", {"inputs": []})
    assert counted() == (good + 1, failed + 1)


def test_a_version_that_nobody_has_asked_has_statistics_of_zeros(client: httpx.Client) -> None:
    (found,) = client.get("/v2/models/idle/stats").json()["model_stats"]
    assert (found["version"], found["inference_count"], found["inference_stats"]["success"]) == (
        "1",
        0,
        {"count": 0, "ns": 0},
    )


# --- the repository ---------------------------------------------------------------------------------------------------


def index(client: httpx.Client, **asked: object) -> dict[str, tuple[str, str, str]]:
    answer = client.post("/v2/repository/index", content=json.dumps(asked) if asked else b"")
    return {item["name"]: (item["version"], item["state"], item["reason"]) for item in answer.json()}


def test_the_index_has_what_can_be_asked_for(client: httpx.Client) -> None:
    found = index(client)
    assert (found["two"], found["unpromoted"]) == (
        ("1", "READY", ""),
        ("1", "READY", "nothing is promoted: name the version"),
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 400, "invalid_json"), (b"[]", 422, "invalid_request"), (b'{"ready": 1}', 422, "invalid_request")],
)
def test_a_body_of_the_index_that_makes_no_sense_is_refused(
    client: httpx.Client, body: bytes, status: int, code: str
) -> None:
    answer = client.post("/v2/repository/index", content=body)
    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (status, code)


@pytest.mark.parametrize("parameters", [{"config": "{}"}, {"file:1/model.onnx": "AAAA"}], ids=["config", "file"])
def test_loading_something_else_than_what_is_registered_is_refused(
    client: httpx.Client, parameters: dict[str, str]
) -> None:
    answer = client.post("/v2/repository/models/two/load", content=json.dumps({"parameters": parameters}))
    assert (answer.status_code, "is not supported" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize(("model", "status"), [("nosuch", 404), ("unpromoted", 409)])
def test_what_is_not_promoted_cannot_be_loaded(client: httpx.Client, model: str, status: int) -> None:
    assert client.post(f"/v2/repository/models/{model}/load").status_code == status


def test_an_unknown_model_cannot_be_unloaded(client: httpx.Client) -> None:
    assert client.post("/v2/repository/models/nosuch/unload").status_code == 404


def ready(client: httpx.Client, model: str) -> int:
    return client.get(f"/v2/models/{model}/ready").status_code


def test_an_unloaded_model_is_not_ready_until_it_is_loaded(client: httpx.Client) -> None:
    answers = [client.post(f"/v2/repository/models/idle/{verb}", content=b"{}") for verb in ("load", "unload")]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {}), (200, {})]
    assert (ready(client, "idle"), index(client)["idle"]) == (409, ("1", "UNAVAILABLE", "unloaded"))
    assert "idle" not in index(client, ready=True)
    client.post("/v2/repository/models/idle/load").raise_for_status()
    assert (ready(client, "idle"), index(client)["idle"]) == (200, ("1", "READY", ""))


def test_an_unloaded_model_is_loaded_by_its_next_request(client: httpx.Client) -> None:
    client.post("/v2/repository/models/idle/unload").raise_for_status()
    assert infer(client, "idle", {"inputs": [GOOD]}).status_code == 200
    assert ready(client, "idle") == 200


def test_the_audit_log_says_who_has_loaded_and_unloaded(client: httpx.Client) -> None:
    client.post("/v2/repository/models/scaled/load").raise_for_status()
    client.post("/v2/repository/models/scaled/unload").raise_for_status()
    events = client.get("/registry/events", params={"limit": 1000}).json()["items"]
    found = [(event["kind"], event["version"]) for event in events if event["model"] == "scaled"]
    assert found[-2:] == [("model_loaded", 1), ("model_unloaded", None)]


def resident(client: httpx.Client) -> list[list[str]]:
    return [worker["resident"] for worker in client.get("/registry/workers").json()["items"]]


def test_every_worker_drops_what_is_unloaded_and_keeps_what_is_pinned(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway, gateway.client() as client:
        for name in ("gone", "kept"):
            upload_and_promote(client, name, models.identity())
        wait_until_settled(gateway, "gone", "kept")
    variables = {"workers": "2", "pin": "kept", "preload": "gone"}
    with running_gateway(tmp_path / "data", **variables) as gateway, gateway.client() as client:
        wait_until(lambda: [sorted(names) for names in resident(client)] == [["gone:1", "kept:1"]] * 2)
        client.post("/v2/repository/models/gone/unload").raise_for_status()
        refused = client.post("/v2/repository/models/kept/unload")
        assert (refused.status_code, refused.json()["error"].partition(":")[0]) == (409, "model_pinned")
        wait_until(lambda: resident(client) == [["kept:1"]] * 2)
        assert ready(client, "gone") == 409
