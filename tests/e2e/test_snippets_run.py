"""Snippets as their readers use them: copied and run, against a real gateway."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import ModelProto, helper

from gateway.client import Client
from tests.support import models
from tests.support.gateway_process import SARDONYX, GatewayProcess, running_gateway
from tests.support.problems import assert_problem
from tests.support.scaling import scaling_bytes
from tests.support.tokens import bearer, make_token

STRANGE = """it's "x" \\n `id` $(id) ${id} %s ; é漢 </script> #{"""


def strange() -> ModelProto:
    """Float32 of a name that is hard to quote, and ``__proto__``, both [n] -> their sum."""
    names = [STRANGE, "__proto__"]
    return models.model(
        [helper.make_node("Add", names, ["y"])], [models.value(name) for name in names], [models.value("y")]
    )


def large() -> ModelProto:
    """Float32 x [batch, 3, 40, 40] and a factor -> y: the product."""
    return models.model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        [models.value("x", shape=("batch", 3, 40, 40)), models.value("factor", shape=())],
        [models.value("y", shape=("batch", 3, 40, 40))],
    )


CALLED: dict[str, ModelProto] = {
    "plain": models.linear(),
    "strange": strange(),
    "large": large(),
    "text": models.string_twice(),
    "truth": models.identity("bool", (2, None)),
    "long-text": models.identity("string", ("n", 1025)),
    "empty": models.identity("int8", (0, 3)),
    "any-rank": models.identity("uint16", None),
}


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        for name, model in CALLED.items():
            with Client(gateway.url) as registering:
                registering.register(model.SerializeToString(), name=name)
        yield opened


def snippets(client: httpx.Client, name: str) -> dict[str, str]:
    answer = client.get(f"/registry/models/{name}/versions/1/snippets")
    assert answer.status_code == 200, answer.text
    return {item["language"]: item["code"] for item in answer.json()["items"]}


def right_answer(client: httpx.Client, name: str) -> Any:
    """What the version says to the body of its document."""
    document = client.get(f"/registry/models/{name}/versions/1/openapi.json").json()
    operation = document["paths"][f"/v1/models/{name}/predict"]["post"]
    answer = client.post(
        f"/v1/models/{name}/predict", json=operation["requestBody"]["content"]["application/json"]["example"]
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def plain_outputs(answer: Any) -> Any:
    """The outputs of an answer as nested lists."""
    return {
        name: np.array(value["data"]).reshape(value["shape"]).tolist() if isinstance(value, dict) else value
        for name, value in answer["outputs"].items()
    }


def run(command: list[str], environment: dict[str, str], code: str = "") -> str:
    done = subprocess.run(command, env=environment, input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.mark.parametrize("name", CALLED)
def test_curl_predicts(client: httpx.Client, gateway: GatewayProcess, name: str) -> None:
    needed("curl")
    printed = run(["sh", "-c", snippets(client, name)["curl"]], gateway.environment)
    assert json.loads(printed) == right_answer(client, name)


@pytest.mark.parametrize("name", CALLED)
def test_python_predicts(client: httpx.Client, gateway: GatewayProcess, name: str) -> None:
    printed = run([sys.executable, "-I", "-c", snippets(client, name)["python"]], gateway.environment)
    assert ast.literal_eval(printed) == right_answer(client, name)


@pytest.mark.parametrize("name", CALLED)
def test_the_client_predicts(client: httpx.Client, gateway: GatewayProcess, name: str) -> None:
    code = snippets(client, name)["client"].replace("print(client.predict(", "found = (client.predict(")
    printing = "import orjson\nprint(orjson.dumps(found, list, orjson.OPT_SERIALIZE_NUMPY).decode())"
    printed = run([sys.executable, "-c", f"{code}\n{printing}"], gateway.environment)
    assert json.loads(printed) == plain_outputs(right_answer(client, name))


@pytest.mark.parametrize("name", CALLED)
def test_javascript_predicts(client: httpx.Client, gateway: GatewayProcess, name: str) -> None:
    node = needed("node")
    code = snippets(client, name)["javascript"]
    printed = run([node, "--input-type=module", "-"], gateway.environment, code)
    assert json.loads(printed) == right_answer(client, name)


@pytest.mark.parametrize("name", CALLED)
def test_tritonclient_is_a_program(client: httpx.Client, name: str) -> None:
    compile(snippets(client, name)["tritonclient"], "snippet", "exec")


def test_programs_present_the_token_of_the_environment(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", auth="on") as gateway:
        environment = gateway.environment | {"SARDONYX_TOKEN": make_token(gateway.data_dir, "publish").text}
        with gateway.client(headers=bearer(environment["SARDONYX_TOKEN"])) as client:
            with Client(gateway.url, token=environment["SARDONYX_TOKEN"]) as registering:
                registering.register(models.linear().SerializeToString(), name="plain")
            codes, right = snippets(client, "plain"), right_answer(client, "plain")

        answers = [
            json.loads(run(["sh", "-c", codes["curl"]], environment)),
            ast.literal_eval(run([sys.executable, "-I", "-c", codes["python"]], environment)),
            json.loads(run([needed("node"), "--input-type=module", "-"], environment, codes["javascript"])),
        ]

    assert answers == [right, right, right]


def test_programs_find_the_gateway_where_they_are_told(client: httpx.Client) -> None:
    path = "/registry/models/plain/versions/1/snippets?base_url=https://models.example.com:8443/serving"
    answer = client.get(path).json()
    assert [item["code"].count("models.example.com:8443/serving") for item in answer["items"]] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://x/$(id)", "https://x/'", "https://x y", "https://x\n"])
def test_they_are_told_no_other_than_an_address(client: httpx.Client, url: str) -> None:
    answer = client.get("/registry/models/plain/versions/1/snippets", params={"base_url": url})
    assert (answer.status_code, answer.json()["violations"][0]["path"]) == (422, "/base_url")


def test_a_retired_version_has_none(client: httpx.Client, gateway: GatewayProcess) -> None:
    with Client(gateway.url) as registering:
        registering.register(scaling_bytes(2), name="retired")
        registering.retire("retired", 1)

    answer = client.get("/registry/models/retired/versions/1/snippets")
    assert_problem(answer, 410, code="version_retired", detail="version 1 of model 'retired' is retired")


def test_a_refusal_names_them_where_a_body_is_too_large_to_be_shown(client: httpx.Client) -> None:
    problem = client.post("/v1/models/large/predict", json={"inputs": {}}).json()
    assert (problem["example_url"], "example" in problem) == ("/registry/models/large/versions/1/snippets", False)


@pytest.mark.parametrize("where", ["over REST", "in this process"])
@pytest.mark.parametrize("reference", ["live", "live@production", "live:1"])
def test_the_command_line_prints_a_program(
    client: httpx.Client, gateway: GatewayProcess, where: str, reference: str
) -> None:
    with Client(gateway.url) as registering:
        registering.register(scaling_bytes(2), name="live")
        registering.promote("live", 1)
    asked = ["--url", gateway.url] if where == "over REST" else []

    printed = run([SARDONYX, "show", reference, "--snippet", "python", *asked], gateway.environment)

    assert printed == snippets(client, "live")["python"] + "\n"
    assert ast.literal_eval(run([sys.executable, "-I", "-c", printed], gateway.environment)) == right_answer(
        client, "live"
    )
