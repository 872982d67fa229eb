"""Rows 46 to 50 of the faults: who asks, and what they may. The whole answer, and a good request right after."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import client as gateway_client
from gateway.client import ApiError, Client
from registry.credentials import Credential, draw_credential
from tests.support import models
from tests.support.connections import connections_by_worker
from tests.support.gateway_process import (
    SARDONYX,
    GatewayProcess,
    clean_environment,
    running_gateway,
    started_gateway,
    wait_until,
)
from tests.support.problems import assert_problem
from tests.support.raw_http import request_bytes, send_raw
from tests.support.tokens import bearer, make_token, registry_away, revoke, secret_of

BYTES = {"content-type": "application/octet-stream"}
REFUSAL = "send an access token that is good: Authorization: Bearer sardonyx_..."
NO_AUTH = (
    "auth: 'off' does not go with the host 192.0.2.1, which is not a loopback address: anybody who reaches it could do "
    "anything; leave SARDONYX_AUTH out, or serve on 127.0.0.1"
)
PREDICT = "/v1/models/same/predict"
BODY = {"inputs": [1.5]}
HUGE = "Content-Length: 1073741824"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A gateway that asks for tokens, with a model and a token for each role."""

    gateway: GatewayProcess
    client: httpx.Client
    predict: str
    publish: str
    admin: str

    def ask(self, method: str, path: str, token: str | None, **options: object) -> httpx.Response:
        headers = {} if token is None else bearer(token)
        return self.client.request(method, path, headers=headers | options.pop("headers", {}), **options)

    def assert_good_requests_work(self) -> None:
        answer = self.ask("POST", PREDICT, self.predict, json=BODY)
        assert (answer.status_code, answer.json().get("outputs")) == (200, {"y": [1.5]}), answer.text


def prepared(gateway: GatewayProcess, client: httpx.Client) -> Guarded:
    texts = {
        role: make_token(gateway.data_dir, role, name=f"{role}er").text for role in ("predict", "publish", "admin")
    }
    guarded = Guarded(gateway=gateway, client=client, **texts)
    content = models.identity().SerializeToString()
    path = "/registry/models/same/versions"
    assert guarded.ask("POST", path, guarded.publish, content=content, headers=BYTES).status_code == 201
    return guarded


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded") / "data"
    with running_gateway(folder, auth="on") as gateway, gateway.client() as client:
        yield prepared(gateway, client)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Guarded]:
    """A gateway that no other test has asked anything."""
    with running_gateway(tmp_path / "data", auth="on", workers="2") as gateway, gateway.client() as client:
        yield prepared(gateway, client)


# --- 46: none, garbage, expired, revoked ------------------------------------------------------------------------------


def presented(guarded: Guarded, what: str) -> str:
    """The Authorization header of a request whose token is not good."""
    folder = guarded.gateway.data_dir
    id_ = guarded.admin.split("_")[1]
    match what:
        case "expired":
            text = make_token(folder, "admin", is_expired=True).text
        case "revoked":
            made = make_token(folder, "admin")
            revoke(folder, made)
            text = made.text
        case "unknown":
            text = draw_credential().reveal()
        case "another secret":
            text = Credential(id_, draw_credential().secret).reveal()
        case _:
            text = guarded.admin[:-1]
    return f"Bearer {text}"


BAD: list[str | None] = [None, "", "Bearer", "Bearer x", "Basic YTpi", "\u00ff\u00fe", "x" * 4000]
BAD += ["expired", "revoked", "unknown", "another secret", "mistyped"]


@pytest.mark.parametrize("path", [PREDICT, "/registry/models", "/nosuch", "/docs"])
@pytest.mark.parametrize("what", BAD, ids=lambda what: repr(what)[:20])
def test_whoever_has_no_good_token_gets_one_message(guarded: Guarded, path: str, what: str | None) -> None:
    is_made = what in {"expired", "revoked", "unknown", "another secret", "mistyped"}
    value = presented(guarded, what) if is_made and what else what
    headers = {} if value is None else {b"authorization": value.encode("latin-1")}
    answer = guarded.client.request("POST" if path == PREDICT else "GET", path, headers=headers)
    assert_problem(answer, 401, code="unauthenticated", detail=REFUSAL)
    assert answer.headers["www-authenticate"] == "Bearer"
    guarded.assert_good_requests_work()


def test_two_tokens_are_none(guarded: Guarded) -> None:
    headers = [("authorization", f"Bearer {guarded.admin}"), ("authorization", f"Bearer {guarded.predict}")]
    answer = guarded.client.get("/registry/models", headers=headers)
    assert_problem(answer, 401, code="unauthenticated", detail=REFUSAL)
    guarded.assert_good_requests_work()


@pytest.mark.parametrize(
    "line",
    [
        f"POST {PREDICT}",
        "POST /registry/models/same/versions",
        "PUT /registry/blobs/sha256:" + "0" * 64,
        "POST /registry/tokens",
        "POST /nosuch",
    ],
)
def test_it_is_decided_before_a_byte_of_the_body_is_read(guarded: Guarded, line: str) -> None:
    guarded.assert_good_requests_work()  # so that the path is one that the short cut knows
    answer = send_raw(guarded.gateway.url, request_bytes(f"{line} HTTP/1.1", "Host: gateway.example", HUGE))
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    guarded.assert_good_requests_work()


def test_a_small_body_that_never_comes_is_not_waited_for(guarded: Guarded) -> None:
    guarded.assert_good_requests_work()
    lines = ["Host: localhost", "Content-Type: application/json", "Content-Length: 17"]
    assert send_raw(guarded.gateway.url, request_bytes(f"POST {PREDICT} HTTP/1.1", *lines)).status == 401


def test_a_role_too_low_is_told_before_a_byte_of_the_body_is_read(guarded: Guarded) -> None:
    token = f"Authorization: Bearer {guarded.predict}"
    line = "POST /registry/models/same/versions HTTP/1.1"
    answer = send_raw(guarded.gateway.url, request_bytes(line, "Host: gateway.example", token, HUGE))
    assert (answer.status, answer.headers["connection"]) == (403, "close")


def test_health_is_for_everybody(guarded: Guarded) -> None:
    for token in (None, "garbage", guarded.predict):
        for path in ("/health/live", "/health/ready"):
            assert guarded.ask("GET", path, token).status_code == 200


def test_any_host_and_any_origin_will_do_with_a_token(guarded: Guarded) -> None:
    headers = {"host": "models.example:8443", "origin": "https://elsewhere.example"}
    assert guarded.ask("POST", PREDICT, guarded.predict, json=BODY, headers=headers).status_code == 200
    assert guarded.ask("GET", "/registry/models", guarded.predict, headers=headers).status_code == 200
    refused = guarded.ask("GET", "/registry/models", guarded.predict, headers={"host": "x/abc?"})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_host")


# --- 47: not for this token -------------------------------------------------------------------------------------------


def test_a_caller_cannot_register(guarded: Guarded) -> None:
    content = models.linear().SerializeToString()
    answer = guarded.ask("POST", "/registry/models/new/versions", guarded.predict, content=content, headers=BYTES)
    detail = "this needs the role publish for model 'new'; the token 'predicter' has predict"
    assert_problem(answer, 403, code="forbidden", detail=detail)
    assert guarded.ask("GET", "/registry/models/new", guarded.predict).status_code == 404
    guarded.assert_good_requests_work()


def test_a_publisher_cannot_promote_and_the_attempt_is_in_the_log(guarded: Guarded) -> None:
    path = "/registry/models/same/aliases/production"
    answer = guarded.ask("PUT", path, guarded.publish, json={"version": 1})
    detail = "this needs the role admin for model 'same'; the token 'publisher' has publish"
    assert_problem(answer, 403, code="forbidden", detail=detail)
    after = guarded.ask("GET", path, guarded.publish)
    assert (after.status_code, after.json()["code"]) == (409, "no_active_version")
    (line,) = [
        line
        for line in guarded.gateway.log_lines()
        if line["event"] == "denied" and line["request_id"] == answer.headers["x-request-id"]
    ]
    del line["timestamp"]
    assert line == {
        "event": "denied",
        "level": "warning",
        "request_id": answer.headers["x-request-id"],
        "actor": "publisher",
        "token": guarded.publish.split("_")[1],
        "has": "publish",
        "needs": "admin",
        "method": "PUT",
        "path": path,
    }
    guarded.assert_good_requests_work()


def test_a_denied_attempt_is_in_the_audit_log_and_a_flood_of_them_is_not(guarded: Guarded) -> None:
    made = make_token(guarded.gateway.data_dir, "predict", name="curious")
    path = "/registry/models/same/aliases/production"
    assert guarded.ask("GET", "/registry/tokens", made.text).status_code == 403
    for _ in range(50):
        assert guarded.ask("PUT", path, made.text, json={"version": 1}).status_code == 403
    wait_until(lambda: len(denials(guarded, "curious")) == 10)
    event = denials(guarded, "curious")[1]
    assert (event["kind"], event["model"], event["version"], event["alias"]) == ("access_denied", None, None, None)
    assert event["detail"] == {
        "token": made.text.split("_")[1],
        "has": "predict",
        "needs": "admin",
        "models": None,
        "method": "PUT",
        "path": path,
        "more": 0,
    }


def denials(guarded: Guarded, actor: str) -> list[dict[str, Any]]:
    answer = guarded.ask("GET", "/registry/events?limit=1000", guarded.admin)
    return [event for event in answer.json()["items"] if (event["kind"], event["actor"]) == ("access_denied", actor)]


def test_a_pattern_limits_a_token_to_its_models(guarded: Guarded) -> None:
    token = make_token(guarded.gateway.data_dir, "publish", name="narrow", models="fraud-*").text
    content = models.linear().SerializeToString()
    made = guarded.ask("POST", "/registry/models/fraud-1/versions", token, content=content, headers=BYTES)
    assert made.status_code == 201
    assert made.json()["created_by"] == "narrow"
    detail = "this needs the role {} for model 'same'; the token 'narrow' has publish for 'fraud-*' only"
    for method, path, role in [
        ("POST", PREDICT, "predict"),
        ("POST", "/v1/models/same/validate", "predict"),
        ("POST", "/models/same@staging/predict", "predict"),
        ("GET", "/registry/models/same", "predict"),
        ("GET", "/registry/models/same/versions/1/artifact", "predict"),
        ("PATCH", "/registry/models/same", "publish"),
        ("POST", "/registry/models/same/versions", "publish"),
    ]:
        answer = guarded.ask(method, path, token, json=BODY)
        assert_problem(answer, 403, code="forbidden", detail=detail.format(role))
    # Not even whether there is such a model can be found out.
    assert guarded.ask("POST", "/models/nosuch/predict", token, json=BODY).status_code == 403
    assert [model["name"] for model in guarded.ask("GET", "/registry/models", token).json()["items"]] == ["fraud-1"]
    for query in ("limit=1&after=fraud-1", "limit=1&after=s", "q=sam"):
        assert guarded.ask("GET", f"/registry/models?{query}", token).json() == {"items": [], "next": None}
    events = guarded.ask("GET", "/registry/events", token).json()["items"]
    assert {event["model"] for event in events} == {"fraud-1"}
    guarded.assert_good_requests_work()
    wait_until(lambda: "same:1" in {name for worker in workers(guarded) for name in worker["resident"]})
    seen = guarded.ask("GET", "/registry/workers", token).json()["items"]
    assert {name.rpartition(":")[0] for worker in seen for name in worker["resident"]} <= {"fraud-1"}
    assert len(seen) == len(workers(guarded))


# --- 48: the registry does not answer ---------------------------------------------------------------------------------


def test_known_verdicts_outlast_the_registry_and_nobody_else_gets_in(guarded: Guarded) -> None:
    folder = guarded.gateway.data_dir
    made, never_seen = make_token(folder, "predict"), make_token(folder, "admin")
    assert guarded.ask("POST", PREDICT, made.text, json=BODY).status_code == 200
    revoke(folder, made)
    wait_until(lambda: guarded.ask("POST", PREDICT, made.text, json=BODY).status_code == 401)
    guarded.assert_good_requests_work()
    with registry_away(folder):
        wait_until(lambda: guarded.client.get("/health/ready").json().get("registry") == "schema_mismatch")
        guarded.assert_good_requests_work()
        assert guarded.ask("POST", PREDICT, made.text, json=BODY).status_code == 401
        for path in (PREDICT, "/registry/models"):
            answer = guarded.ask("POST" if path == PREDICT else "GET", path, never_seen.text)
            assert_problem(answer, 503, code="schema_mismatch", detail=answer.json()["detail"])
            assert "retry-after" in answer.headers
    wait_until(lambda: guarded.ask("POST", PREDICT, never_seen.text, json=BODY).status_code == 200)


# --- 49: a flood ------------------------------------------------------------------------------------------------------


def test_a_flood_of_bad_tokens_is_told_to_stop_and_hinders_nobody(alone: Guarded) -> None:
    make_known_to_all_workers(alone)
    tokens = [draw_credential().reveal() for _ in range(1000)]
    with ThreadPoolExecutor(8) as pool, alone.gateway.client() as flooding:
        answers = pool.map(lambda token: flooding.get("/registry/models", headers=bearer(token)), tokens)
        seen = {}
        for number, answer in enumerate(answers):
            seen.setdefault(answer.status_code, answer)
            if number % 50 == 0:
                alone.assert_good_requests_work()
    assert set(seen) == {401, 429}
    detail = "too many requests without a valid access token came from this address"
    assert_problem(seen[429], 429, code="too_many_attempts", detail=detail)
    assert seen[429].headers["retry-after"] == "1"
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=alone.gateway.url, transport=transport, timeout=60) as elsewhere:
        assert elsewhere.get("/registry/models").status_code == 401
    alone.assert_good_requests_work()


def test_a_flood_keeps_nobody_out_whose_worker_has_died(alone: Guarded) -> None:
    alone.assert_good_requests_work()
    wait_until(lambda: is_noted(alone))
    before = alone.gateway.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(alone.gateway.workers()) - set(before)) == len(before))
    spent = [flood_until_refused(alone.gateway) for _ in range(20)]  # each over a connection of its own
    assert spent == [429] * 20
    alone.assert_good_requests_work()


def make_known_to_all_workers(guarded: Guarded) -> None:
    """Use the token for predictions over ever more connections that stay, until each worker has some of them."""
    with ExitStack() as opened:

        def is_known_to_both() -> bool:
            client = opened.enter_context(guarded.gateway.client())
            replace(guarded, client=client).assert_good_requests_work()
            counts = connections_by_worker(guarded.gateway)
            return len(counts) == 2 and min(counts.values()) >= 2  # one is that of a client that was there before

        wait_until(is_known_to_both)


def is_noted(guarded: Guarded) -> bool:
    """Whether the registry knows that the token for predictions is in use."""
    listed = guarded.ask("GET", "/registry/tokens", guarded.admin).json()["items"]
    return any(token["last_used_at"] is not None for token in listed if token["id"] in guarded.predict)


def flood_until_refused(gateway: GatewayProcess) -> int:
    with gateway.client() as flooding:
        for _ in range(1000):
            answer = flooding.get("/registry/models", headers=bearer(draw_credential().reveal()))
            if answer.status_code != 401:
                break
        return answer.status_code


# --- 50: no tokens, and others can ask --------------------------------------------------------------------------------


def test_without_tokens_only_this_machine_is_listened_to(tmp_path: Path) -> None:
    environment = clean_environment() | {"SARDONYX_AUTH": "off", "SARDONYX_DATA_DIR": str(tmp_path / "data")}
    command = [SARDONYX, "serve", "--host", "192.0.2.1", "--port", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"Error: The settings make no sense (invalid_settings)\n  {NO_AUTH}\n",
    )


def test_where_others_can_ask_tokens_are_asked_for(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", host="0.0.0.0") as gateway, gateway.client() as client:  # noqa: S104
        assert client.get("/registry/models").status_code == 401
        token = make_token(gateway.data_dir, "admin").text
        assert client.get("/registry/models", headers=bearer(token)).status_code == 200


def test_a_gateway_without_an_admin_says_how_to_make_one(tmp_path: Path) -> None:
    with started_gateway(tmp_path / "data", auth="on") as gateway:
        wait_until(lambda: any(line["event"] == "no_admin_token" for line in gateway.log_lines()))
        (line,) = [line for line in gateway.log_lines() if line["event"] == "no_admin_token"]
    assert line["detail"] == "make one on this machine: sardonyx token create NAME --role admin"


# --- a token's life ---------------------------------------------------------------------------------------------------


def test_a_token_is_made_used_listed_and_revoked_over_http(guarded: Guarded) -> None:
    wish = {"name": "robot", "role": "predict", "models": "same", "expires": "2100-01-01"}
    made = guarded.ask("POST", "/registry/tokens", guarded.admin, json=wish)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    document = made.json()
    text = document.pop("token")
    assert document | {"id": "", "created_at": ""} == {
        "id": "",
        "name": "robot",
        "role": "predict",
        "models": "same",
        "created_at": "",
        "created_by": "adminer",
        "expires_at": "2100-01-01T00:00:00Z",
        "revoked_at": None,
        "revoked_by": None,
        "last_used_at": None,
    }
    assert guarded.ask("POST", PREDICT, text, json=BODY).status_code == 200
    wait_until(lambda: listed(guarded, document["id"])["last_used_at"] is not None)
    assert listed(guarded, document["id"]) | {"last_used_at": None} == document
    revoked = guarded.ask("DELETE", f"/registry/tokens/{document['id']}", guarded.admin)
    assert (revoked.status_code, revoked.json()["revoked_by"]) == (200, "adminer")
    assert guarded.ask("POST", PREDICT, text, json=BODY).status_code == 401, "the worker that wrote did not know"
    again = guarded.ask("DELETE", f"/registry/tokens/{document['id']}", guarded.admin)
    assert again.json() == revoked.json()
    missing = guarded.ask("DELETE", "/registry/tokens/nosuch", guarded.admin)
    assert_problem(
        missing, 404, code="token_not_found", detail="there is no token 'nosuch': 'sardonyx token list' shows their ids"
    )


def listed(guarded: Guarded, id_: str) -> dict[str, object]:
    items = guarded.ask("GET", "/registry/tokens?limit=1000", guarded.admin).json()["items"]
    (found,) = [item for item in items if item["id"] == id_]
    return found


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"name": "a"},
        {"name": "a", "role": "king"},
        {"name": "a", "role": "admin", "models": "same"},
        {"name": "a", "role": "predict", "models": "[a]"},
        {"name": "a", "role": "predict", "expires": "yesterday"},
        {"name": "a\n", "role": "predict"},
        {"name": "a", "role": "predict", "secret": "mine"},
    ],
)
def test_a_malformed_wish_for_a_token_is_refused(guarded: Guarded, wish: dict[str, str]) -> None:
    answer = guarded.ask("POST", "/registry/tokens", guarded.admin, json=wish)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"invalid_request", "invalid_name"}


def test_a_revocation_reaches_every_worker(alone: Guarded) -> None:
    folder = alone.gateway.data_dir
    made = make_token(folder, "predict")
    wait_until(lambda: len(workers(alone)) == 2)
    assert fresh_statuses(alone, made.text) == {200}
    revoke(folder, made)
    last = alone.ask("GET", "/registry/events?limit=1000", alone.admin).json()["items"][-1]
    assert (last["kind"], last["detail"]["token"]) == ("token_revoked", made.token.id)
    wait_until(lambda: [worker["applied"] >= last["sequence"] for worker in workers(alone)] == [True, True])
    assert fresh_statuses(alone, made.text) == {401}
    alone.assert_good_requests_work()


def workers(guarded: Guarded) -> list[dict[str, Any]]:
    return guarded.ask("GET", "/registry/workers", guarded.admin).json()["items"]


def fresh_statuses(guarded: Guarded, token: str) -> set[int]:
    """What connections get that the kernel gives to this worker or that."""
    statuses = set()
    for _ in range(20):
        with guarded.gateway.client(headers=bearer(token)) as fresh:
            statuses.add(fresh.post(PREDICT, json=BODY).status_code)
    return statuses


def test_the_command_and_the_client_present_the_token_of_the_environment(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"SARDONYX_URL": guarded.gateway.url, "SARDONYX_DATA_DIR": str(tmp_path / "nothing")}
    with_token = clean_environment() | where | {"SARDONYX_TOKEN": guarded.publish}
    assert run("models", environment=with_token).returncode == 0
    assert run("models", environment=clean_environment() | where).returncode == 3
    denied = run("promote", "same", "1", environment=with_token)
    assert (denied.returncode, "this needs the role admin" in denied.stderr) == (3, True)
    with Client(guarded.gateway.url, token=guarded.predict) as client:
        assert client.predict("same:1", [1.5])["y"].tolist() == [1.5]
    monkeypatch.setenv("SARDONYX_URL", guarded.gateway.url)
    monkeypatch.setenv("SARDONYX_TOKEN", guarded.predict)
    assert gateway_client.predict("same:1", [1.5])["y"].tolist() == [1.5]
    with Client(guarded.gateway.url) as client, pytest.raises(ApiError) as refused:
        client.models()
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")


def test_the_commands_make_list_and_revoke_on_the_machine_and_over_http(guarded: Guarded) -> None:
    here = guarded.gateway.environment
    there = here | {"SARDONYX_URL": guarded.gateway.url, "SARDONYX_TOKEN": guarded.admin}
    for environment in (here, there):
        made = run("token", "create", "robot", "--role", "predict", "--expires", "90d", environment=environment)
        assert (made.returncode, made.stdout.count("\n")) == (0, 1), made.stderr
        text = made.stdout.strip()
        assert text not in made.stderr
        assert guarded.ask("POST", PREDICT, text, json=BODY).status_code == 200
        shown = run("token", "list", environment=environment)
        assert (text.split("_")[1] in shown.stdout, secret_of(text) in shown.stdout) == (True, False)
        # The whole token is a natural thing to paste here; its secret does not travel.
        assert run("token", "revoke", text, environment=environment).returncode == 0
        wait_until(lambda token=text: guarded.ask("POST", PREDICT, token, json=BODY).status_code == 401)
        assert run("token", "revoke", "nosuch", environment=environment).returncode == 4


def run(*arguments: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [SARDONYX, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_token_is_never_in_the_log(guarded: Guarded) -> None:
    mark = "the-last-line"
    guarded.ask("GET", f"/registry/tokens/{guarded.admin}", guarded.admin)
    guarded.ask("DELETE", f"/registry/tokens/{guarded.publish}", guarded.publish)
    guarded.ask("GET", "/registry/models", guarded.admin, params={"q": guarded.admin})
    guarded.ask("GET", "/registry/models", guarded.admin, headers={"x-request-id": mark})
    wait_until(lambda: any(line.get("request_id") == mark for line in guarded.gateway.log_lines()))
    log = guarded.gateway.log_path.read_text()
    for text in (guarded.predict, guarded.publish, guarded.admin):
        assert secret_of(text) not in log
    assert f"/registry/tokens/sardonyx_{guarded.admin.split('_')[1]}_..." in log
