"""What the registry says of models and versions: every member, in order, and what changing and retiring do to it."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from onnx import ModelProto, helper

from tests.support import models
from tests.support.backend import IS_PRODUCTION
from tests.support.gateway_process import GatewayProcess
from tests.support.problems import assert_problem
from tests.support.uploads import send, upload


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened


def shown(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def titled() -> ModelProto:
    model = models.optional_bias()
    helper.set_model_props(model, {"title": "Bias", "author": "Müller"})
    return model


def test_a_version_is_described_whole(gateway: GatewayProcess, client: httpx.Client) -> None:
    content = titled().SerializeToString()
    hexadecimal = hashlib.sha256(content).hexdigest()
    digest = f"sha256:{hexadecimal}"
    began = datetime.now(UTC)
    tags = ["team:vision", "url:https://example.org/?a=b"]
    answer = send(client, "described", titled(), description="adds ü", tag=tags, sha256=hexadecimal)
    assert answer.status_code == 201, answer.text
    version = answer.json()

    assert began <= datetime.fromisoformat(version.pop("created_at")) <= datetime.now(UTC)
    assert 0 < version.pop("memory_bytes") < 64 << 20
    assert 0 < version.pop("run_seconds") < version.pop("load_seconds") + 60
    report = version.pop("batch_report")
    assert list(report.pop("gains")) == ["1", "2", "4", "8", "16", "32", "64"]
    assert 1 <= report.pop("worthwhile_rows") <= 64
    assert report == {"level": "exact", "reason": "", "rows": 64, "largest_difference": 0.0}
    threads = version.pop("thread_report")
    assert threads == {"threads": 1, "reason": "its runs are short", "shapes": [], "gains": {}}
    key = f"sha256/{hexadecimal[:2]}/{hexadecimal[2:4]}/{hexadecimal}"
    store = gateway.environment.get("SARDONYX_STORE", f"{(gateway.data_dir / 'store').as_uri()}")
    assert IS_PRODUCTION or (gateway.data_dir / "store" / key).read_bytes() == content
    assert version == {
        "model": "described",
        "version": 1,
        "state": "ready",
        "digest": digest,
        "size_bytes": len(content),
        "location": f"{store}/{key}",
        "files": [{"name": "model.onnx", "digest": digest, "size_bytes": len(content)}],
        "signature": {
            "inputs": [
                {"name": "x", "dtype": "float32", "shape": ["batch"], "optional": False},
                {"name": "bias", "dtype": "float32", "shape": [1], "optional": True},
            ],
            "outputs": [{"name": "y", "dtype": "float32", "shape": ["batch"]}],
        },
        "opset": 18,
        "opset_imports": {"ai.onnx": 18},
        "producer": "tests 1.0",
        "metadata": {"title": "Bias", "author": "Müller"},
        "batching": "exact",
        "isolation": "in_process",
        "isolation_reason": "",
        "deaths": 0,
        "examples": 0,
        "description": "adds ü",
        "tags": {"team": "vision", "url": "https://example.org/?a=b"},
        "created_by": "anonymous",
    }
    assert answer.headers["location"] == "/registry/models/described/versions/1"
    assert shown(client, answer.headers["location"]) == answer.json()
    again = client.post(
        "/registry/models/described/versions", content=content, headers={"content-type": "application/onnx"}
    )
    assert (again.status_code, again.json()) == (200, answer.json())
    assert again.headers["content-location"] == answer.headers["location"]


def test_a_model_is_described_whole(client: httpx.Client) -> None:
    version = upload(client, "whole", models.linear())
    upload(client, "whole", models.linear(seed=1))
    client.put("/registry/models/whole/aliases/production", json={"version": 1})
    client.put(
        "/registry/models/whole/aliases/next", json={"version": 2, "canary": {"version": 1, "percent": 12.5}}
    ).raise_for_status()

    assert shown(client, "/registry/models/whole") == {
        "name": "whole",
        "description": "",
        "tags": {},
        "latest_version": 2,
        "aliases": {"next": 2, "production": 1},
        "canaries": {"next": {"version": 1, "percent": 12.5}},
        "created_at": version["created_at"],
        "created_by": "anonymous",
    }


def test_versions_are_listed_newest_first_in_pages(client: httpx.Client) -> None:
    documents = [upload(client, "many", models.linear(seed=seed)) for seed in range(25)]
    assert [version["version"] for version in documents] == list(range(1, 26))

    path = "/registry/models/many/versions"
    assert shown(client, path) == {"items": documents[::-1], "next": None}
    pages = [shown(client, f"{path}?limit=10")]
    while pages[-1]["next"] is not None:
        pages.append(shown(client, f"{path}?limit=10&after={pages[-1]['next']}"))
    assert [len(page["items"]) for page in pages] == [10, 10, 5]
    assert [item for page in pages for item in page["items"]] == documents[::-1]
    first, second = shown(client, f"{path}?limit=25"), shown(client, f"{path}?limit=5&after=1")
    assert (len(first["items"]), first["next"], second) == (25, None, {"items": [], "next": None})


def test_models_are_listed_by_name_in_pages_and_found_by_a_part(client: httpx.Client) -> None:
    names = [f"listed-{letter}" for letter in "abcde"]
    for name in reversed(names):
        upload(client, name, models.linear())
    client.patch("/registry/models/listed-d", json={"description": "Grapes 100%_sour"}).raise_for_status()

    def listed(**query: Any) -> tuple[list[str], str | None]:
        page = client.get("/registry/models", params=query).json()
        return [model["name"] for model in page["items"]], page["next"]

    assert listed(q="LISTED-") == (names, None)
    assert listed(q="listed-", limit=2) == (names[:2], "listed-b")
    assert listed(q="listed-", limit=2, after="listed-b") == (names[2:4], "listed-d")
    assert listed(q="listed-", limit=2, after="listed-d") == (names[4:], None)
    assert listed(q="grapes") == (["listed-d"], None)
    assert listed(q="100%_") == (["listed-d"], None)
    assert listed(q="1%0") == ([], None)
    everything = client.get("/registry/models").json()["items"]
    assert [model["name"] for model in everything] == sorted(model["name"] for model in everything)


def test_only_what_is_given_of_a_model_changes(client: httpx.Client) -> None:
    upload(client, "edited", models.linear())
    path = "/registry/models/edited"
    before = shown(client, path)
    described = client.patch(path, json={"description": "two\u00a0words"})
    tagged = client.patch(path, json={"tags": {"team": "vision"}})
    untouched = client.patch(path, json={})

    assert described.json() == before | {"description": "two\u00a0words"}
    assert tagged.json() == described.json() | {"tags": {"team": "vision"}}
    assert untouched.json() == tagged.json() == shown(client, path)


def test_only_what_is_given_of_a_version_changes_and_its_model_goes_on_predicting(client: httpx.Client) -> None:
    upload(client, "annotated", models.linear(), description="first", tag="a:b")
    path = "/registry/models/annotated/versions/1"
    before = shown(client, path)
    changes: list[dict[str, Any]] = [{"description": "second"}, {"tags": {}}, {"batching": "off"}, {"description": ""}]
    changes += [{"isolation": "isolated"}, {"isolation": "in_process"}]
    for change in changes:
        before |= change
        answer = client.patch(path, json=change)
        assert (answer.status_code, answer.json()) == (200, before)
    assert shown(client, path) == before
    predicted = client.post("/v1/models/annotated/predict", json={"inputs": [[0, 0, 0, 0]]})
    assert predicted.json() == {"model": "annotated", "version": 1, "outputs": {"y": [[0.0, 0.0, 0.0]]}}


def test_a_retired_version_keeps_its_place_and_nothing_else(client: httpx.Client) -> None:
    first, second = (upload(client, "retired", models.linear(seed=seed)) for seed in (1, 2))
    gone = "version 2 of model 'retired' is retired"
    assert client.post("/v2/models/retired/predict", json={"inputs": [[1, 2, 3, 4]]}).status_code == 200

    tombstone = client.delete("/registry/models/retired/versions/2")
    assert (tombstone.status_code, tombstone.json()) == (200, second | {"state": "retired"})
    for method, path in {
        "POST": "/v2/models/retired/predict",
        "DELETE": "/registry/models/retired/versions/2",
        "PATCH": "/registry/models/retired/versions/2",
    }.items():
        answer = client.request(method, path, json={"inputs": [[1, 2, 3, 4]]} if method == "POST" else {"tags": {}})
        assert_problem(answer, 410, code="version_retired", detail=gone)
    promoted = client.put("/registry/models/retired/aliases/production", json={"version": 2})
    assert (promoted.status_code, promoted.json()["code"]) == (409, "version_not_promotable")

    third = upload(client, "retired", models.linear(seed=2))
    assert (third["version"], third["digest"]) == (3, second["digest"])
    assert shown(client, "/registry/models/retired/versions")["items"] == [third, tombstone.json(), first]
    assert client.post("/v3/models/retired/predict", json={"inputs": [[1, 2, 3, 4]]}).status_code == 200


def test_a_number_is_not_used_again_when_the_newest_is_retired(client: httpx.Client) -> None:
    upload(client, "numbered", models.linear(seed=1))
    client.delete("/registry/models/numbered/versions/1").raise_for_status()
    assert shown(client, "/registry/models/numbered")["latest_version"] is None
    assert upload(client, "numbered", models.linear(seed=2))["version"] == 2


def test_a_version_in_use_is_not_retired(client: httpx.Client) -> None:
    for seed in (1, 2):
        upload(client, "used", models.linear(seed=seed))
    alias = "/registry/models/used/aliases/production"
    client.put(alias, json={"version": 1, "canary": {"version": 2, "percent": 10}}).raise_for_status()
    for number in (1, 2):
        answer = client.delete(f"/registry/models/used/versions/{number}")
        detail = f"version {number} of model 'used' is in use by production: move that first"
        assert_problem(answer, 409, code="version_active", detail=detail)
        assert shown(client, f"/registry/models/used/versions/{number}")["state"] == "ready"


def test_a_download_is_the_file_and_says_its_digest(client: httpx.Client) -> None:
    model = models.wide_linear(768)
    version = upload(client, "downloaded", model)
    path = "/registry/models/downloaded/versions/1/artifact"
    for answer in (client.get(path), client.get(f"{path}/model.onnx")):
        assert answer.content == model.SerializeToString()
        assert {name: answer.headers[name] for name in ("etag", "content-type", "content-disposition")} == {
            "etag": f'"{version["digest"]}"',
            "content-type": "application/octet-stream",
            "content-disposition": 'attachment; filename="model.onnx"',
        }
        assert int(answer.headers["content-length"]) == version["size_bytes"]
