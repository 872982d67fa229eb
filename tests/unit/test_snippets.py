"""Programs that call a version: what stands in them, and what keeps one from being written."""

from typing import Any

import pytest

from gateway.web.literals import javascript_literal, python_literal
from gateway.web.snippets import snippets_json
from registry.tensor import DTYPES, Shape, TensorSpec
from tests.support.serving_models import make_version

URL = "http://127.0.0.1:8000"


def written(*inputs: TensorSpec, base_url: str = URL, has_tokens: bool = False) -> dict[str, str]:
    found = snippets_json(make_version("iris", 3, inputs=inputs), base_url=base_url, has_tokens=has_tokens)
    return {item["language"]: item["code"] for item in found["items"]}


def spec(name: str = "x", dtype: str = "float32", shape: Shape | None = ("n", 4), **options: Any) -> TensorSpec:
    return TensorSpec(name=name, dtype=DTYPES[dtype], shape=shape, **options)


def test_curl_sends_the_body() -> None:
    assert written(spec())["curl"] == (
        "curl http://127.0.0.1:8000/v3/models/iris/predict \\\n"
        "  -H 'content-type: application/json' \\\n"
        """  -d '{"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}}'"""
    )


def test_curl_prints_a_large_tensor_by_repetition() -> None:
    large = spec(shape=("n", 3, 224, 224))
    assert written(large, spec("y", "int64", ()))["curl"] == (
        "{\n"
        """  printf %s '{"inputs": {"x": {"shape": [1, 3, 224, 224], "data": ['\n"""
        "  yes 0.5 | head -n 150528 | paste -s -d , -\n"
        """  printf %s ']}, "y": 1}}'\n"""
        "} | curl http://127.0.0.1:8000/v3/models/iris/predict \\\n"
        "  -H 'content-type: application/json' \\\n"
        "  --data-binary @-"
    )


def test_python_needs_nothing_but_its_standard_library() -> None:
    assert written(spec(), has_tokens=True)["python"] == (
        "import json\n"
        "import os\n"
        "import urllib.request\n"
        "\n"
        'body = {"inputs": {"x": [[0.5, 0.5, 0.5, 0.5]]}}\n'
        "request = urllib.request.Request(\n"
        '    "http://127.0.0.1:8000/v3/models/iris/predict",\n'
        "    data=json.dumps(body).encode(),\n"
        '    headers={"content-type": "application/json", "authorization": "Bearer " + os.environ["SARDONYX_TOKEN"]},\n'
        ")\n"
        "with urllib.request.urlopen(request) as answer:\n"
        "    print(json.load(answer))"
    )


def test_javascript_is_a_module() -> None:
    assert written(spec("__proto__", shape=("n", 300)), has_tokens=True)["javascript"] == (
        'const body = {"inputs": {["__proto__"]: [Array(300).fill(0.5)]}};\n'
        'const answer = await fetch("http://127.0.0.1:8000/v3/models/iris/predict", {\n'
        '  method: "POST",\n'
        '  headers: { "content-type": "application/json", authorization: `Bearer ${process.env.SARDONYX_TOKEN}` },\n'
        "  body: JSON.stringify(body),\n"
        "});\n"
        "console.log(JSON.stringify(await answer.json(), null, 2));"
    )


def test_tritonclient_gets_arrays() -> None:
    inputs = (spec(), spec("words", "string", (2,)), spec("half", "bfloat16", ()))
    assert written(*inputs, base_url="https://models.example.com/a")["tritonclient"] == (
        "import numpy as np\n"
        "import tritonclient.http as triton\n"
        "\n"
        "inputs = []\n"
        'inputs.append(triton.InferInput("x", [1, 4], "FP32"))\n'
        "inputs[-1].set_data_from_numpy(np.full((1, 4), 0.5, dtype=np.float32))\n"
        'inputs.append(triton.InferInput("words", [2], "BYTES"))\n'
        'inputs[-1].set_data_from_numpy(np.full((2,), "text", dtype=object))\n'
        'inputs.append(triton.InferInput("half", [], "BF16"))\n'
        "inputs[-1].set_data_from_numpy(np.full((), 0.5, dtype=np.float32))\n"
        'client = triton.InferenceServerClient("models.example.com/a", ssl=True)\n'
        "answer = client.infer(\n"
        '    "iris",\n'
        "    inputs,\n"
        '    model_version="3",\n'
        ")\n"
        'for output in answer.get_response()["outputs"]:\n'
        '    print(output["name"], answer.as_numpy(output["name"]))'
    )


def test_what_the_open_inference_protocol_has_no_type_for_is_left_out_of_tritonclient() -> None:
    version = make_version(inputs=[spec(dtype="float8_e5m2")])
    found = snippets_json(version, base_url=URL, has_tokens=False)
    assert ([item["language"] for item in found["items"]], found["left_out"]) == (
        ["curl", "python", "javascript"],
        [
            {"language": "client", "reason": "the client takes and gives arrays of numpy's own types"},
            {
                "language": "tritonclient",
                "reason": "the Open Inference Protocol has no type for x (float8_e5m2[n, 4])",
            },
        ],
    )


def test_what_no_request_can_bring_has_no_snippets() -> None:
    found = snippets_json(make_version(inputs=[spec(shape=(10**12,))]), base_url=URL, has_tokens=False)
    reason = "the fixed sizes of its inputs have more elements than one request may bring"
    assert (found["items"], {left["reason"] for left in found["left_out"]}) == ([], {reason})


@pytest.mark.parametrize(
    ("value", "python", "javascript"),
    [
        ([[0.5] * 4], "[[0.5, 0.5, 0.5, 0.5]]", "[[0.5, 0.5, 0.5, 0.5]]"),
        (
            [[[True] * 224] * 224] * 3,
            "[[[True] * 224] * 224] * 3",
            "Array(3).fill(Array(224).fill(Array(224).fill(true)))",
        ),
        ([[1] * 20], "[[1] * 20]", "[Array(20).fill(1)]"),
        (list(range(17)), str(list(range(17))), str(list(range(17)))),
        ({"a'\"\\é": "ü'"}, "{'a\\'\"\\\\é': \"ü'\"}", '{"a\'\\"\\\\é": "ü\'"}'),
        ({"shape": [0, 3], "data": []}, '{"shape": [0, 3], "data": []}', '{"shape": [0, 3], "data": []}'),
    ],
)
def test_values_are_literals(value: Any, python: str, javascript: str) -> None:
    assert (python_literal(value), javascript_literal(value)) == (python, javascript)
    assert eval(python) == value  # noqa: S307 - the text is this test's own
