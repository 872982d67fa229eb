"""Requests of the control plane that say something wrong: whole answers, and the next good one works."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.problems import assert_problem, violation
from tests.support.raw_http import request_bytes, send_raw
from tests.support.uploads import OCTETS, send

JSON = {"content-type": "application/json"}
GOOD = models.linear(seed=7).SerializeToString()
VERSIONS = "/registry/models/good/versions"
VERSION = f"{VERSIONS}/1"
NOWHERE = "sha256:" + "0" * 64
NO_OBJECT = "Input should be a valid dictionary or object to extract fields from"
MEBIBYTE = 1 << 20


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """A client; after the test the registry still holds one good version, as it was, which predicts."""
    with gateway.client() as opened:
        before = send(opened, "good", GOOD, description="as it was")
        assert before.json()["version"] == 1
        yield opened
        after = send(opened, "good", GOOD)
        assert (after.status_code, after.json()) == (200, before.json())
        assert [model["name"] for model in opened.get("/registry/models").json()["items"]] == ["good"]
        answer = opened.post("/v1/models/good/predict", json={"inputs": [[0, 0, 0, 0]]})
        assert answer.json() == {"model": "good", "version": 1, "outputs": {"y": [[0.0, 0.0, 0.0]]}}


def assert_invalid(answer: httpx.Response, *found: tuple[str, str, str, str]) -> None:
    """Compare with a problem whose detail follows from its first violation, as the framework's checks find them."""
    path, expected, _, _ = found[0]
    detail = f"{path or 'the body'}: {expected}"
    violations = [violation(*fault) for fault in found]
    assert_problem(answer, 422, code="invalid_request", detail=detail, violations=violations)


FIELDS: dict[str, tuple[bytes, list[tuple[str, str, str, str]]]] = {
    "a list": (b"[]", [("", "Input should be an object", "[]", "invalid_field")]),
    "no files": (
        b'{"files": {}}',
        [("/files", "Dictionary should have at least 1 item after validation, not 0", "{}", "invalid_field")],
    ),
    "a digest that is a number": (
        b'{"files": {"a/b.onnx": 1}}',
        [("/files/a~1b.onnx", "Input should be a valid string", "1", "invalid_field")],
    ),
    "every fault at once": (
        b'{"file": 1, "description": null, "tags": {"team": 2}}',
        [
            ("/files", "Field required", "nothing", "invalid_field"),
            ("/description", "Input should be a valid string", "None", "invalid_field"),
            ("/tags/team", "Input should be a valid string", "2", "invalid_field"),
            ("/file", "Extra inputs are not permitted", "1", "invalid_field"),
        ],
    ),
}


@pytest.mark.parametrize("case", FIELDS)
def test_every_wrong_field_of_a_list_of_files_is_named(client: httpx.Client, case: str) -> None:
    body, found = FIELDS[case]
    assert_invalid(client.post(VERSIONS, content=body, headers=JSON), *found)


@pytest.mark.parametrize(
    ("body", "status", "code", "detail"),
    [
        (b"", 400, "invalid_json", "the body must be a JSON object with files"),
        (b'{"files": {', 400, "invalid_json", "the body must be a JSON object with files"),
        (b'{"files": {"m.onnx": "\xff"}}', 400, "invalid_json", "the body must be a JSON object with files"),
        (b" " * (16 * MEBIBYTE + 1), 413, "too_large", f"the body may have at most {16 * MEBIBYTE} bytes"),
        (
            b'{"files": {"model.onnx": "md5:0"}}',
            422,
            "invalid_request",
            "'md5:0' is not a digest: write sha256: and 64 hexadecimal digits",
        ),
    ],
    ids=["nothing", "half", "not UTF-8", "too many bytes", "another digest"],
)
def test_a_list_of_files_that_cannot_be_read_is_refused(
    client: httpx.Client, body: bytes, status: int, code: str, detail: str
) -> None:
    assert_problem(client.post(VERSIONS, content=body, headers=JSON), status, code=code, detail=detail)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"description": "x" * 4097}, ("/description", "String should have at most 4096 characters", "x" * 64)),
        ({"description": "a\nb"}, ("/description", "text without control characters", "U+000A")),
        ({"tag": ":b"}, ("/tags/", "a key", "nothing")),
        ({"tag": "k" * 129 + ":b"}, ("/tags/" + "k" * 64 + "...", "a key of at most 128 characters", "129 characters")),
        ({"tag": "k:" + "b" * 1025}, ("/tags/k", "at most 1024 characters", "1025 characters")),
        ({"tag": [f"k{number}:" for number in range(65)]}, ("/tags", "at most 64 tags", "65 tags")),
    ],
    ids=["long description", "two lines", "no key", "long key", "long value", "many tags"],
)
def test_texts_have_limits(client: httpx.Client, query: dict[str, Any], found: tuple[str, str, str]) -> None:
    answer = send(client, "good", models.linear(seed=8), **query)
    body = answer.json()
    assert [(fault["path"], fault["expected"], fault["received"]) for fault in body["violations"]] == [found]
    assert_problem(answer, 422, code="invalid_request", detail=body["detail"], violations=body["violations"])


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"tag": "team"}, "'team' is not a tag: write key:value"),
        ({"tag": ["team:a", "team:b"]}, "the tag 'team' is given twice"),
        ({"sha256": "abc"}, "'abc' is not a digest: write sha256: and 64 hexadecimal digits"),
    ],
    ids=["no colon", "twice", "half a digest"],
)
def test_a_query_that_makes_no_sense_is_refused(client: httpx.Client, query: dict[str, Any], detail: str) -> None:
    answer = send(client, "good", models.linear(seed=8), **query)
    assert_problem(answer, 422, code="invalid_request", detail=detail)


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", VERSIONS), ("PUT", f"/registry/blobs/{NOWHERE}")], ids=["version", "blob"]
)
def test_files_of_another_type_are_told_what_to_send(
    client: httpx.Client, method: str, path: str, media_type: str
) -> None:
    answer = client.request(method, path, content=GOOD, headers={"content-type": media_type})
    given = media_type.partition(";")[0]
    detail = (
        f"'{given}' is not supported here: send the file's bytes as they are, "
        "with Content-Type: application/octet-stream"
    )
    assert_problem(answer, 415, code="unsupported_media_type", detail=detail)


def test_files_are_not_inflated(client: httpx.Client) -> None:
    answer = client.post(VERSIONS, content=GOOD, headers={**OCTETS, "content-encoding": "gzip"})
    detail = "'gzip' is not supported for files: send plain bytes"
    assert_problem(answer, 415, code="unsupported_encoding", detail=detail)


@pytest.mark.usefixtures("client")
def test_a_file_that_says_it_is_larger_than_any_is_refused_unread(gateway: GatewayProcess) -> None:
    line = f"POST {VERSIONS} HTTP/1.1"
    answer = send_raw(gateway.url, request_bytes(line, "Host: localhost", f"Content-Length: {1 << 40}"))
    received = httpx.Response(answer.status, headers=answer.headers, content=answer.body)
    assert_problem(received, 413, code="too_large", detail=f"the body may have at most {(1 << 31) - 1} bytes")
    assert answer.headers["connection"] == "close"


CHANGES: dict[str, tuple[dict[str, Any], tuple[str, str, str, str]]] = {
    "a number": ({"version": 2}, ("/version", "Extra inputs are not permitted", "2", "invalid_field")),
    "bytes": ({"digest": NOWHERE}, ("/digest", "Extra inputs are not permitted", NOWHERE[:64], "invalid_field")),
    "a signature": ({"signature": {}}, ("/signature", "Extra inputs are not permitted", "{}", "invalid_field")),
    "another way of batching": (
        {"batching": "fast"},
        ("/batching", "Input should be 'exact', 'stable', 'close' or 'off'", "fast", "invalid_field"),
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_is_fixed_about_a_version_cannot_be_changed(client: httpx.Client, case: str) -> None:
    body, fault = CHANGES[case]
    assert_invalid(client.patch(VERSION, json=body), fault)


@pytest.mark.parametrize("path", ["/registry/models/good", VERSION], ids=["model", "version"])
def test_a_change_is_a_json_object(client: httpx.Client, path: str) -> None:
    def change(content: bytes, **headers: str) -> httpx.Response:
        return client.patch(path, content=content, headers=headers)

    assert_invalid(change(b"[]", **JSON), ("", NO_OBJECT, "[]", "invalid_field"))
    assert_invalid(change(b"", **JSON), ("", "Field required", "nothing", "invalid_field"))
    half = change(b"{", **JSON)
    assert_problem(half, 400, code="invalid_json", detail="the body must be a JSON object")
    form = change(b"description=a", **{"content-type": "application/x-www-form-urlencoded"})
    detail = "'application/x-www-form-urlencoded' is not supported here: send Content-Type: application/json"
    assert_problem(form, 415, code="unsupported_media_type", detail=detail)
    untyped = change(b"{}")
    detail = "the body's type is missing: send Content-Type: application/json"
    assert_problem(untyped, 415, code="unsupported_media_type", detail=detail)


@pytest.mark.parametrize("way", ["announced", "in chunks"])
def test_a_change_beyond_a_mebibyte_is_refused(client: httpx.Client, way: str) -> None:
    body = b'{"description": "' + b"x" * MEBIBYTE + b'"}'
    content = body if way == "announced" else iter([body[:MEBIBYTE], body[MEBIBYTE:]])
    answer = client.patch(VERSION, content=content, headers=JSON)
    assert_problem(answer, 413, code="too_large", detail=f"the body may have at most {MEBIBYTE} bytes")


@pytest.mark.parametrize(
    ("path", "code", "detail"),
    [
        ("/registry/models/nobody", "model_not_found", "there is no model 'nobody'"),
        ("/registry/models/nobody/versions", "model_not_found", "there is no model 'nobody'"),
        (f"{VERSIONS}/2", "version_not_found", "model 'good' has no version 2"),
        (f"{VERSIONS}/01", "version_not_found", "'01' is not a version: versions are 1, 2, 3 and so on"),
        (f"{VERSION}/artifact/weights", "file_not_found", "version 1 of 'good' has no file 'weights'"),
        (f"{VERSION}/artifact/..%2Fmodel.onnx", "not_found", "no route has this path; the documentation is at /docs"),
        (f"{VERSIONS}/2/openapi.json", "version_not_found", "model 'good' has no version 2"),
    ],
)
def test_what_is_not_there_is_said(client: httpx.Client, path: str, code: str, detail: str) -> None:
    assert_problem(client.get(path), 404, code=code, detail=detail)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"limit": "0"}, ("/limit", "Input should be greater than or equal to 1", "0", "invalid_field")),
        ({"limit": "1001"}, ("/limit", "Input should be less than or equal to 1000", "1001", "invalid_field")),
        (
            {"limit": "ten"},
            ("/limit", "Input should be a valid integer, unable to parse string as an integer", "ten", "invalid_field"),
        ),
    ],
    ids=["none", "many", "a word"],
)
@pytest.mark.parametrize("path", ["/registry/models", VERSIONS], ids=["models", "versions"])
def test_a_page_has_1_to_1000_items(
    client: httpx.Client, path: str, query: dict[str, str], found: tuple[str, str, str, str]
) -> None:
    assert_invalid(client.get(path, params=query), found)


def test_a_cursor_of_no_list_is_refused(client: httpx.Client) -> None:
    answer = client.get(VERSIONS, params={"after": "first"})
    detail = "'first' is no cursor of this list: send 'next' of the page before"
    assert_problem(answer, 422, code="invalid_request", detail=detail)
