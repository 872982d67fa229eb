"""Paths, names, hosts and origins that lead nowhere: the whole answer, and a good request right after."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support import models
from tests.support.gateway_process import GatewayProcess
from tests.support.raw_http import RawAnswer, request_bytes, send_raw
from tests.support.uploads import upload

BODY = b'{"inputs": [1.5]}'
NAME_RULE = (
    "is not a model name: use 1 to 128 of a-z, 0-9, '.', '_' and '-', "
    "beginning and ending with a letter or a digit, without '..'"
)
NO_ROUTE = "no route has this path; the documentation is at /docs"
NO_HOST = "the Host header must be a host name or address and an optional port"
NO_FOREIGN_HOST = "without access tokens the gateway answers on loopback names only, such as 127.0.0.1"
NO_PAGE = "without access tokens the gateway answers no web page but its own"


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        upload(opened, "same", models.identity())
        yield opened


def raw(client: httpx.Client, line: str, *headers: str, body: bytes = BODY) -> RawAnswer:
    hosted = headers if any(header.lower().startswith("host") for header in headers) else ("Host: localhost", *headers)
    return send_raw(str(client.base_url), request_bytes(f"{line} HTTP/1.1", *hosted, body=body))


def assert_refused(answer: RawAnswer, status: int, code: str, detail: str) -> None:
    problem = json.loads(answer.body)
    assert problem.pop("instance") == answer.headers["x-request-id"]
    assert isinstance(problem.pop("title"), str)
    assert (answer.status, problem) == (
        status,
        {"type": f"/docs/problems#{code}", "status": status, "code": code, "detail": detail},
    )


def assert_good_requests_work(client: httpx.Client) -> None:
    answer = raw(client, "POST /v1/models/same/predict", "Content-Type: application/json")
    assert (answer.status, json.loads(answer.body)["outputs"]) == (200, {"y": [1.5]})


@pytest.mark.parametrize(
    ("path", "status", "code", "detail"),
    [
        ("/v1/models/nobody/predict", 404, "model_not_found", "there is no model 'nobody'"),
        ("/v7/models/same/predict", 404, "version_not_found", "model 'same' has no version 7"),
        ("/models/same/predict", 409, "no_active_version", "no version of model 'same' is promoted yet"),
        ("/models/same@staging/predict", 404, "alias_not_found", "model 'same' has no alias 'staging'"),
        ("/v1/models/../x/predict", 404, "not_found", NO_ROUTE),
        ("//v1/models/same/predict", 404, "not_found", NO_ROUTE),
        ("/v1/models/same/predict/", 404, "not_found", NO_ROUTE),
        ("/v1/models/same/predict%3Fx", 404, "not_found", NO_ROUTE),
        ("/V1/models/same/predict", 404, "not_found", NO_ROUTE),
        ("/v1/models/%2e%2e%2fx/predict", 404, "not_found", NO_ROUTE),
        ("/v1/models/%252e/predict", 422, "invalid_name", f"'%2e' {NAME_RULE}"),
        ("/v1/models/a%00b/predict", 422, "invalid_name", f"'a\\x00b' {NAME_RULE}"),
        (f"/v1/models/{'x' * 300}/predict", 422, "invalid_name", f"'{'x' * 64}...' {NAME_RULE}"),
        *(
            (
                f"/v{number}/models/same/predict",
                404,
                "version_not_found",
                f"'{number}' is not a version: versions are 1, 2, 3 and so on",
            )
            for number in ("01", "-1", "1e3", "100000000000")
        ),
    ],
)
def test_a_path_that_leads_nowhere_says_why(
    client: httpx.Client, path: str, status: int, code: str, detail: str
) -> None:
    assert_refused(raw(client, f"POST {path}", "Content-Type: application/json"), status, code, detail)
    assert_good_requests_work(client)


def test_a_flood_of_unknown_names_is_answered_one_by_one(client: httpx.Client) -> None:
    def ask(number: int) -> tuple[int, str]:
        answer = client.post(f"/v1/models/nobody-{number % 20}/predict", json={"inputs": [1]})
        return answer.status_code, answer.json()["code"]

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(200))) == {(404, "model_not_found")}
    assert_good_requests_work(client)


@pytest.mark.parametrize(
    ("line", "detail", "allowed"),
    [
        ("GET /v1/models/same/predict", "this route takes POST", "POST"),
        ("DELETE /registry/models", "this route does not take this method", "GET"),
    ],
)
def test_another_method_is_refused_with_those_allowed(
    client: httpx.Client, line: str, detail: str, allowed: str
) -> None:
    answer = raw(client, line, body=b"")
    assert_refused(answer, 405, "method_not_allowed", detail)
    assert answer.headers["allow"] == allowed
    assert_good_requests_work(client)


@pytest.mark.parametrize("path", ["/v1/models/same/predict", "/registry/models", "/health/live"])
@pytest.mark.parametrize(
    ("headers", "status", "code", "detail"),
    [
        (["Host: x/abc?"], 400, "invalid_host", NO_HOST),
        (["Host: "], 400, "invalid_host", NO_HOST),
        (["Host: localhost", "Host: example.com"], 400, "invalid_host", "there is more than one Host header"),
        (["Host: example.com"], 403, "foreign_origin", NO_FOREIGN_HOST),
        (["Host: localhost", "Origin: http://example.com"], 403, "foreign_origin", NO_PAGE),
        (["Host: localhost", "Origin: null"], 403, "foreign_origin", NO_PAGE),
    ],
)
def test_foreign_hosts_and_origins_are_refused_everywhere(
    client: httpx.Client, path: str, headers: list[str], status: int, code: str, detail: str
) -> None:
    method, body = ("POST", BODY) if path.endswith("predict") else ("GET", b"")
    answer = raw(client, f"{method} {path}", *headers, "Content-Type: application/json", body=body)
    assert_refused(answer, status, code, detail)
    assert_good_requests_work(client)


def test_a_content_length_over_the_cap_is_refused_before_a_byte_of_the_body(client: httpx.Client) -> None:
    answer = raw(
        client,
        "POST /v1/models/same/predict",
        "Content-Type: application/json",
        "Content-Length: 99999999999",
        body=b"",
    )
    assert_refused(answer, 413, "too_large", "the body may have at most 16777216 bytes")
    assert answer.headers["connection"] == "close"
    assert_good_requests_work(client)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(["Content-Length: 17", "Content-Length: 5"], id="two lengths"),
        pytest.param(["Content-Length: 17", "Transfer-Encoding: chunked"], id="a length and chunks"),
        pytest.param(["Content-Length: -1"], id="a negative length"),
        pytest.param(["Transfer-Encoding: chunked, gzip"], id="chunks that are not the last coding"),
        pytest.param([" folded: x"], id="a space before a name"),
        pytest.param(["X-Name: a\x00b"], id="a NUL"),
    ],
)
def test_a_request_that_two_readers_could_cut_differently_ends_its_connection(
    client: httpx.Client, headers: list[str]
) -> None:
    head = request_bytes("POST /v1/models/same/predict HTTP/1.1", "Host: localhost", *headers)
    answer = send_raw(str(client.base_url), head + BODY)
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert_good_requests_work(client)
