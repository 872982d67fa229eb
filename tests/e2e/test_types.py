"""Values of every kind through a gateway, each answer compared whole with the runtime's own."""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, TypeProto, ValueInfoProto, helper

from registry.tensor import DTYPES
from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.uploads import upload_all


def typed(name: str, kind: TypeProto) -> ValueInfoProto:
    return helper.make_value_info(name, kind)


TENSOR = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
SEQUENCE = helper.make_sequence_type_proto(TENSOR)


def casts(dtype: str, there: str, back: str) -> ModelProto:
    """From numbers of one type to ``dtype``, an output, and from ``dtype``, another input, to numbers."""
    code = DTYPES[dtype].onnx_code
    return models.model(
        [
            helper.make_node("Cast", ["numbers"], ["cast"], to=code),
            helper.make_node("Cast", ["given"], ["read"], to=DTYPES[back].onnx_code),
        ],
        [models.value("numbers", there, (None,)), models.value("given", dtype, (None,))],
        [models.value("cast", dtype, (None,)), models.value("read", back, (None,))],
        opsets={"": 25},
    )


def zipmap(keys: str) -> ModelProto:
    """What scikit-learn's converter makes of a classifier unless it is told not to."""
    labels: dict[str, Any] = (
        {"classlabels_int64s": [3, -5]} if keys == "int64" else {"classlabels_strings": ["cat", "\u00fcber"]}
    )
    row = helper.make_map_type_proto(DTYPES[keys].onnx_code, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    return models.model(
        [helper.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", **labels)],
        [models.value("x", "float32", (None, 2))],
        [typed("probabilities", helper.make_sequence_type_proto(row))],
        opsets={"ai.onnx.ml": 3},
    )


def vectorized() -> ModelProto:
    bag = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    return models.model(
        [helper.make_node("DictVectorizer", ["bag"], ["v"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])],
        [typed("bag", bag)],
        [models.value("v", "float32", (1, 2))],
        opsets={"ai.onnx.ml": 3},
    )


def same(kind: TypeProto) -> ModelProto:
    return models.model([helper.make_node("Identity", ["x"], ["y"])], [typed("x", kind)], [typed("y", kind)])


SERVED: dict[str, ModelProto] = {
    "brain": casts("bfloat16", "float32", "float32"),
    "eighths": casts("float8_e4m3fn", "float32", "float32"),
    "quarters": casts("float8_e5m2", "float32", "float32"),
    "nibbles": casts("int4", "int8", "int8"),
    "crumbs": casts("uint2", "uint8", "uint8"),
    "by-number": zipmap("int64"),
    "by-word": zipmap("string"),
    "bags": vectorized(),
    "series": same(SEQUENCE),
    "perhaps": same(helper.make_optional_type_proto(TENSOR)),
    "perhaps-series": same(helper.make_optional_type_proto(SEQUENCE)),
}


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        upload_all(opened, SERVED)
        yield opened


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        pytest.param(
            "brain",
            {"numbers": [1.00390625, 3.4e38, "NaN"], "given": [0.1, "-Infinity", -0.0]},
            {"cast": [1.0, "Infinity", "NaN"], "read": [0.100097656, "-Infinity", -0.0]},
            id="bfloat16",
        ),
        pytest.param(
            "eighths",
            {"numbers": [17, 0.001, 448], "given": [17, 448, "NaN"]},
            {"cast": [16.0, 0.001953125, 448.0], "read": [16.0, 448.0, "NaN"]},
            id="float8_e4m3fn",
        ),
        pytest.param(
            "quarters",
            {"numbers": [9, 57344], "given": [9, "Infinity"]},
            {"cast": [8.0, 57344.0], "read": [8.0, "Infinity"]},
            id="float8_e5m2",
        ),
        pytest.param(
            "nibbles",
            {"numbers": [-8, 7, 1], "given": [-8, 7, -1, 0, 3]},
            {"cast": [-8, 7, 1], "read": [-8, 7, -1, 0, 3]},
            id="int4",
        ),
        pytest.param(
            "crumbs", {"numbers": [3, 0], "given": [3, 1, 2]}, {"cast": [3, 0], "read": [3, 1, 2]}, id="uint2"
        ),
        pytest.param(
            "by-number",
            {"x": [[0.1, 0.9], [1e-45, "NaN"]]},
            {"probabilities": [{"3": 0.1, "-5": 0.9}, {"3": 1e-45, "-5": "NaN"}]},
            id="maps by numbers",
        ),
        pytest.param(
            "by-word", {"x": [[1, 0]]}, {"probabilities": [{"cat": 1.0, "\u00fcber": 0.0}]}, id="maps by words"
        ),
        pytest.param("bags", {"bag": {"b": 0.1, "unseen": 1}}, {"v": [[0.0, 0.1]]}, id="a map goes in"),
        pytest.param("series", {"x": [[1.5], [[2]]]}, {"y": [[1.5], [[2.0]]]}, id="a sequence"),
        pytest.param(
            "series",
            {"x": [{"shape": [0, 2], "data": []}, 7]},
            {"y": [{"shape": [0, 2], "data": []}, 7.0]},
            id="a sequence of what is hard to see",
        ),
        pytest.param("series", {"x": []}, {"y": []}, id="an empty sequence"),
        pytest.param("perhaps", {"x": [1, 2]}, {"y": [1.0, 2.0]}, id="an optional that is there"),
        pytest.param("perhaps", {"x": None}, {"y": None}, id="an optional that is not there"),
        pytest.param("perhaps", {}, {"y": None}, id="an optional that was left out"),
        pytest.param("perhaps-series", {"x": [[1], [2]]}, {"y": [[1.0], [2.0]]}, id="an optional sequence"),
    ],
)
def test_values_of_every_kind_are_served(client: httpx.Client, name: str, inputs: Any, outputs: Any) -> None:
    answer = client.post(f"/v1/models/{name}/predict", json={"inputs": inputs})
    assert answer.json() == {"model": name, "version": 1, "outputs": outputs}


@pytest.mark.parametrize(
    ("name", "inputs", "code", "path", "expected", "received"),
    [
        ("brain", {"numbers": [1], "given": [3.4e38]}, "out_of_range", "/inputs/given/0", None, "3.4e+38"),
        ("eighths", {"numbers": [1], "given": [465]}, "out_of_range", "/inputs/given/0", None, "465"),
        ("eighths", {"numbers": [1], "given": ["Infinity"]}, "invalid_dtype", "/inputs/given/0", None, "'Infinity'"),
        ("nibbles", {"numbers": [1], "given": [8]}, "out_of_range", "/inputs/given/0", "int4 from -8 to 7", "8"),
        ("nibbles", {"numbers": [1], "given": [1.5]}, "invalid_dtype", "/inputs/given/0", None, "1.5"),
        ("bags", {"bag": [1]}, "invalid_dtype", "/inputs/bag", "map[string](float32[])", "a list of 1"),
        ("bags", {"bag": {"a": [1]}}, "invalid_shape", "/inputs/bag/a", None, "float32[1]"),
        ("series", {"x": {"a": 1}}, "invalid_dtype", "/inputs/x", "sequence(float32[...])", "an object"),
        ("series", {"x": [[1], ["a"]]}, "invalid_dtype", "/inputs/x/1/0", None, "'a'"),
        ("series", {"x": [[1, [2]]]}, "invalid_shape", "/inputs/x/0/1", None, "a list of 1"),
        ("series", {"x": None}, "invalid_dtype", "/inputs/x", None, "null"),
    ],
)
def test_what_does_not_fit_is_named(
    client: httpx.Client, name: str, inputs: Any, code: str, path: str, expected: str | None, received: str
) -> None:
    answer = client.post(f"/v1/models/{name}/predict", json={"inputs": inputs})
    problem = answer.json()
    (violation,) = problem["violations"]
    assert (answer.status_code, problem["code"], violation["code"]) == (422, code, code)
    assert (violation["path"], violation["received"]) == (path, received)
    assert expected is None or violation["expected"] == expected


def test_a_signature_says_what_a_tensor_is_wrapped_in(client: httpx.Client) -> None:
    signature = client.get("/registry/models/by-number/versions/1").json()["signature"]
    assert signature["outputs"] == [
        {"name": "probabilities", "dtype": "float32", "shape": [], "containers": ["sequence", "map[int64]"]}
    ]


@pytest.mark.parametrize("name", SERVED)
def test_the_example_of_a_document_is_taken(client: httpx.Client, name: str) -> None:
    document = client.get(f"/registry/models/{name}/versions/1/openapi.json").json()
    body = document["paths"][f"/v1/models/{name}/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert client.post(f"/v1/models/{name}/predict", json=body["example"]).status_code == 200


def test_golden_examples_hold_values_of_every_kind(client: httpx.Client) -> None:
    body = {"inputs": {"x": [[0.25, 0.75]]}}
    recorded = client.post("/registry/models/by-number/versions/1/examples", json=body)
    assert recorded.status_code in (200, 201), recorded.text
    assert recorded.json()["items"][0]["outputs"] == {"probabilities": [{"3": 0.25, "-5": 0.75}]}


def test_rows_that_are_maps_are_predictions(client: httpx.Client) -> None:
    client.put("/registry/models/by-word/aliases/production", json={"version": 1})
    answer = client.post("/v1/models/by-word:predict", json={"instances": [[1, 0], [0, 1]]})
    assert answer.json() == {"predictions": [{"cat": 1.0, "\u00fcber": 0.0}, {"cat": 0.0, "\u00fcber": 1.0}]}


def test_answers_of_many_pieces_are_as_those_of_few(client: httpx.Client) -> None:
    rows = [[row / 1000, 0.5] for row in range(1000)]
    answer = client.post("/v1/models/by-number/predict", json={"inputs": {"x": rows}, "id": "many"})
    read = [[row["3"], row["-5"]] for row in answer.json()["outputs"]["probabilities"]]
    assert (np.array(read, np.float32) == np.array(rows, np.float32)).all()
    assert answer.json()["id"] == "many"
