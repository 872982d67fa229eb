"""Golden examples: what a version has to answer, at registration, before promotions and where it is first loaded."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from registry.examples import Example, Examples
from registry.sql.unit_of_work import SqlRegistry
from tests.support import models
from tests.support.backend import embedded_only
from tests.support.gateway_process import SARDONYX, GatewayProcess, running_gateway

ROW = [[1.0, 2.0, 3.0, 4.0]]


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def answer_of(source: onnx.ModelProto, row: list[list[float]] = ROW) -> list[list[float]]:
    """What a Gemm without a bias gives, in float32."""
    weights = numpy_helper.to_array(source.graph.initializer[0])
    product: list[list[float]] = (np.array(row, np.float32) @ weights).tolist()
    return product


def register(client: httpx.Client, name: str, source: onnx.ModelProto, *examples: dict[str, Any]) -> httpx.Response:
    content = source.SerializeToString()
    digest = f"sha256:{sha256(content).hexdigest()}"
    headers = {"content-type": "application/octet-stream"}
    assert client.put(f"/registry/blobs/{digest}", content=content, headers=headers).status_code in (200, 201)
    document = {"files": {"model.onnx": digest}, "examples": list(examples)}
    return client.post(f"/registry/models/{name}/versions", json=document)


def violations(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(violation["path"], violation["code"]) for violation in answer.json()["violations"]]


def test_a_version_that_gives_what_its_examples_say_is_registered_with_them(client: httpx.Client) -> None:
    source = models.linear()
    example = {"name": "first", "inputs": {"x": ROW}, "outputs": {"y": answer_of(source)}, "tolerance": None}
    answer = register(client, "good", source, example)
    assert (answer.status_code, answer.json()["examples"]) == (201, 1)
    (kept,) = client.get("/registry/models/good/versions/1/examples").json()["items"]
    outputs = kept.pop("outputs")
    assert kept == {name: value for name, value in example.items() if name != "outputs"}
    assert np.array(outputs["y"], np.float32).tobytes() == np.array(answer_of(source), np.float32).tobytes()


def test_a_candidate_with_one_changed_weight_is_caught_and_the_output_named(client: httpx.Client) -> None:
    source = models.linear()
    example = {"inputs": {"x": ROW}, "outputs": {"y": answer_of(source)}}
    answer = register(client, "caught", models.changed(source, by=0.001), example)
    assert (answer.status_code, answer.json()["code"]) == (422, "example_mismatch")
    assert violations(answer) == [("/examples/example-1/outputs/y", "example_mismatch")]
    assert "a difference of 0.003" in answer.json()["detail"]
    assert client.get("/registry/models/caught").status_code == 404


def test_an_example_may_allow_more(client: httpx.Client) -> None:
    source = models.linear()
    example = {"inputs": ROW, "outputs": {"y": answer_of(source)}, "tolerance": {"absolute": 0.01}}
    assert register(client, "tolerant", models.changed(source, by=0.001), example).status_code == 201


def test_every_fault_of_an_example_is_named_where_it_is(client: httpx.Client) -> None:
    good = {"inputs": {"x": ROW}, "outputs": {"y": answer_of(models.linear())}}
    bad = {"inputs": {"x": [[1.0, "two", 3.0, 4.0]], "z": 1}, "outputs": {"y": [[1, 2, 3]]}}
    answer = register(client, "faulty", models.linear(), good, bad)
    assert answer.status_code == 422
    assert violations(answer) == [
        ("/examples/1/inputs/x/0/1", "invalid_dtype"),
        ("/examples/1/inputs/z", "unknown_input"),
    ]


@pytest.mark.parametrize(
    ("outputs", "path", "code"),
    [
        ({"w": [1]}, "/examples/0/outputs/0", "unknown_output"),
        ({"y": [["a", 2.0, 1.0]]}, "/examples/0/outputs/y/0/0", "invalid_dtype"),
        ({}, "/examples/0/outputs", "invalid_field"),
    ],
)
def test_outputs_are_held_against_the_signature(
    client: httpx.Client, outputs: dict[str, Any], path: str, code: str
) -> None:
    answer = register(client, "outputs", models.linear(), {"inputs": {"x": ROW}, "outputs": outputs})
    assert answer.status_code == 422
    assert violations(answer) == [(path, code)]


def test_the_same_bytes_with_examples_give_them_to_the_version_that_there_is(client: httpx.Client) -> None:
    source = models.linear(seed=5)
    assert register(client, "later", source).json()["examples"] == 0
    again = register(client, "later", source, {"inputs": {"x": ROW}, "outputs": {"y": answer_of(source)}})
    assert (again.status_code, again.json()["version"], again.json()["examples"]) == (200, 1, 1)


def test_an_example_is_recorded_with_what_the_version_answers_now(client: httpx.Client) -> None:
    source = models.linear(seed=6)
    register(client, "recorded", source)
    path = "/registry/models/recorded/versions/1/examples"
    answer = client.post(path, json={"inputs": {"x": ROW}, "tolerance": {"relative": 0.5}})
    assert answer.status_code == 200, answer.text
    (kept,) = answer.json()["items"]
    live = client.post("/v1/models/recorded/predict", json={"inputs": {"x": ROW}}).json()["outputs"]
    assert kept == {
        "name": "example-1",
        "inputs": {"x": ROW},
        "outputs": live,
        "tolerance": {"absolute": 0.0, "relative": 0.5},
    }
    assert client.post(path, json={"inputs": {"x": ROW}}).json()["items"][1]["name"] == "example-2"
    taken = client.post(path, json={"name": "example-1", "inputs": {"x": ROW}})
    assert (taken.status_code, taken.json()["code"]) == (422, "invalid_request")


def test_examples_are_replaced_only_by_what_the_version_gives(client: httpx.Client) -> None:
    source = models.linear(seed=7)
    good = {"inputs": {"x": ROW}, "outputs": {"y": answer_of(source)}}
    register(client, "replaced", source, good)
    path = "/registry/models/replaced/versions/1/examples"
    wrong = client.put(path, json={"examples": [good, {**good, "name": "wrong", "outputs": {"y": [[0, 0, 0]]}}]})
    assert (wrong.status_code, violations(wrong)) == (422, [("/examples/wrong/outputs/y", "example_mismatch")])
    assert len(client.get(path).json()["items"]) == 1
    assert client.put(path, json={"examples": []}).json() == {"items": [], "next": None}
    assert client.get("/registry/models/replaced/versions/1").json()["examples"] == 0


def test_bits_that_json_has_no_number_for_are_kept(client: httpx.Client) -> None:
    register(client, "odd", models.identity(shape=("batch",)))
    values = ["NaN", "Infinity", -0.0, 1e-45]
    path = "/registry/models/odd/versions/1/examples"
    answer = client.post(path, json={"inputs": {"x": values}, "tolerance": {}})
    assert answer.status_code == 200, answer.text
    (kept,) = answer.json()["items"]
    assert (kept["inputs"], next(iter(kept["outputs"].values()))) == ({"x": values}, values)


def test_rows_of_examples_that_influence_each_other_keep_requests_apart(client: httpx.Client) -> None:
    """Made-up rows cannot know the one number on which this model's rows mix."""
    examples = [{"inputs": {"x": [7.0, 2.0]}, "outputs": {"y": [8.0, 3.0]}, "tolerance": {}}]
    assert register(client, "mixing", models.secretly_mixing()).json()["batching"] == "exact"
    path = "/registry/models/mixing/versions/1/examples"
    assert client.put(path, json={"examples": examples}).status_code == 200
    version = client.get("/registry/models/mixing/versions/1").json()
    assert (version["batch_report"]["level"], version["batching"]) == ("exact", "off")
    other = register(client, "mixing-too", models.secretly_mixing(), *examples)
    assert (other.status_code, other.json()["batching"]) == (201, "off")


def run(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [SARDONYX, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_cli_registers_with_examples_and_records_one(gateway: GatewayProcess, tmp_path: Path) -> None:
    source = models.linear(seed=8)
    (tmp_path / "model.onnx").write_bytes(source.SerializeToString())
    (tmp_path / "examples.json").write_text(json.dumps([{"inputs": {"x": ROW}, "outputs": {"y": answer_of(source)}}]))
    (tmp_path / "more.json").write_text(json.dumps({"name": "zero", "inputs": {"x": [[0, 0, 0, 0]]}}))
    file, environment = str(tmp_path / "model.onnx"), gateway.environment
    done = run(
        "register", file, "--name", "by-cli", "--examples", str(tmp_path / "examples.json"), environment=environment
    )
    assert done.returncode == 0, done.stderr
    done = run("examples", "record", "by-cli", "1", "--file", str(tmp_path / "more.json"), environment=environment)
    assert done.returncode == 0, done.stderr
    listed = run("examples", "list", "by-cli", "1", "--json", environment=environment)
    assert [example["name"] for example in json.loads(listed.stdout)] == ["example-1", "zero"]
    assert "examples" in run("show", "by-cli:1", environment=environment).stdout


def spoil(url: str, name: str, number: int = 1) -> None:
    """Give a version an example that it does not fulfil, as a host that calculates otherwise would find it."""
    x, y = np.array(ROW, np.float32), np.zeros((1, 3), np.float32)
    with closing(SqlRegistry.open(url)) as registry, registry.writing() as transaction:
        transaction.set_examples(name, number, Examples((Example(name="zero", inputs={"x": x}, outputs={"y": y}),)))


@embedded_only
def test_a_version_that_fails_its_examples_is_not_promoted_and_not_loaded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_gateway(data) as gateway, gateway.client() as client:
        register(client, "spoilt", models.linear())
        assert client.post("/v1/models/spoilt/predict", json={"inputs": ROW}).status_code == 200
    spoil(f"sqlite:///{data}/registry.sqlite3", "spoilt")
    with running_gateway(data) as gateway, gateway.client() as client:
        refused = client.put("/registry/models/spoilt/aliases/production", json={"version": 1})
        assert (refused.status_code, refused.json()["code"]) == (409, "rehearsal_failed")
        assert violations(refused) == [("/examples/zero/outputs/y", "example_mismatch")]
        done = run("promote", "spoilt", "1", environment=gateway.environment)
        assert (done.returncode, "examples" in done.stderr) == (1, True)
        assert client.get("/registry/models/spoilt/history").json()["items"] == []
        cold = client.post("/v1/models/spoilt/predict", json={"inputs": ROW})
        assert (cold.status_code, cold.json()["code"]) == (503, "model_load_failed")


def test_a_version_that_kills_its_process_is_not_promoted(client: httpx.Client, gateway: GatewayProcess) -> None:
    """It loads, and an example of it divides the smallest integer by minus one."""
    register(client, "deadly", models.division(-1))
    path = "/registry/models/deadly/versions/1/examples"
    answer = client.put(path, json={"examples": [{"inputs": {"x": [-(2**63)]}, "outputs": {"y": [0]}}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "inspection_crashed")
    assert len(gateway.workers()) == 1


def test_half_a_character_in_a_name_is_refused(client: httpx.Client) -> None:
    register(client, "half", models.linear())
    body = b'{"examples":[{"inputs":[[1,2,3,4]],"outputs":{"\\ud800":[[1,2,3]]}}]}'
    path = "/registry/models/half/versions/1/examples"
    answer = client.put(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_an_example_may_be_larger_than_other_documents(client: httpx.Client) -> None:
    source = models.linear(features=60_000)
    register(client, "wide", source)
    row = [[round(number * 0.00001, 5) for number in range(60_000)]]
    path = "/registry/models/wide/versions/1/examples"
    first = client.post(path, json={"inputs": {"x": row}})
    assert first.status_code == 200, first.text
    several = [{**first.json()["items"][0], "name": f"copy-{number}"} for number in range(4)]
    assert len(json.dumps(several)) > 1024 * 1024
    assert client.put(path, json={"examples": several}).status_code == 200


def test_a_shadow_is_rehearsed_when_it_is_to_be_promoted(client: httpx.Client, gateway: GatewayProcess) -> None:
    register(client, "shadowed", models.linear(seed=1))
    register(client, "shadowed", models.linear(seed=2))
    alias = "/registry/models/shadowed/aliases/production"
    client.put(alias, json={"version": 1}).raise_for_status()
    client.put(alias, json={"version": 1, "shadow": {"version": 2, "percent": 100}}).raise_for_status()
    path = "/registry/models/shadowed/versions/2/examples"
    client.post(
        path, json={"inputs": {"x": ROW}, "outputs": {"y": answer_of(models.linear(seed=2))}}
    ).raise_for_status()
    if gateway.environment.get("SARDONYX_DATABASE_URL", "").startswith("postgresql"):
        url = gateway.environment["SARDONYX_DATABASE_URL"]
    else:
        url = f"sqlite:///{gateway.data_dir}/registry.sqlite3"
    spoil(url, "shadowed", 2)
    refused = client.put(alias, json={"version": 2})
    assert (refused.status_code, refused.json()["code"]) == (409, "rehearsal_failed")
