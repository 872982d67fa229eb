"""Signing in to the console of a real gateway, and what the cookie is good for then."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.support.console import MARK, Console, running_console
from tests.support.gateway_process import wait_until
from tests.support.tokens import bearer, make_token, revoke, secret_of


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("console") / "data") as running:
        yield running


@pytest.fixture
def admin(console: Console) -> Iterator[httpx.Client]:
    with console.browser(console.admin_token) as client:
        yield client


def test_who_is_not_signed_in_is_sent_to_sign_in_and_comes_back(console: Console) -> None:
    with console.gateway.client() as client:
        turned_away = client.get("/console/events?before=7")
        place = turned_away.headers["location"]
        form = client.get(place).text
        fields = dict(re.findall(r'name="(next)" value="([^"]*)"', form))
        signed_in = client.post("/console/sign-in", data={**fields, "token": console.admin_token})
    assert (turned_away.status_code, place) == (303, "/console/sign-in?next=%2Fconsole%2Fevents%3Fbefore%3D7")
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/console/events?before=7")
    cookie = f"sardonyx_console={console.admin_token}; Path=/; HttpOnly; SameSite=Strict"
    assert signed_in.headers["set-cookie"] == cookie


def test_a_browser_that_asks_for_nothing_in_particular_is_sent_to_the_console(console: Console) -> None:
    with console.gateway.client(headers={"accept": "text/html,*/*"}) as client:
        answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


@pytest.mark.parametrize(
    "place",
    ["https://evil.example/", "//evil.example", "/registry", "/console\\..", "/consoles", "", "/console/sign-in"],
)
def test_nobody_is_sent_anywhere_else(console: Console, place: str) -> None:
    with console.gateway.client() as client:
        answer = client.post("/console/sign-in", data={"next": place, "token": console.admin_token})
    assert answer.headers["location"] == "/console"


def test_over_https_the_cookie_is_for_https_only(console: Console) -> None:
    with console.gateway.client(headers={"x-forwarded-proto": "https"}) as client:
        answer = client.post("/console/sign-in", data={"token": console.admin_token})
        cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
        read = client.get("/console", headers=cookie)
        foreign = client.get("/console", headers={"cookie": f"sardonyx_console={console.admin_token}"})
    assert answer.headers["set-cookie"].startswith("__Host-sardonyx_console=")
    assert answer.headers["set-cookie"].endswith("; Secure")
    assert (read.status_code, foreign.status_code) == (200, 303)


def test_programs_to_be_copied_name_the_scheme_that_the_proxy_speaks(console: Console, admin: httpx.Client) -> None:
    console.register("proxied", "float32")
    shown = admin.get("/registry/models/proxied/versions/1/snippets", headers=MARK).text
    with console.gateway.client(headers=bearer(console.admin_token) | {"x-forwarded-proto": "https"}) as client:
        proxied = client.get("/registry/models/proxied/versions/1/snippets").text
        page = client.get("/console/models/proxied/versions/1").text
    assert ("http://127" in shown, "http://127" in proxied, "http://127" in page) == (True, False, False)
    assert ("https://127" in proxied, "https://127" in page) == (True, True)


def test_a_link_on_another_site_asks_once_more_by_itself(console: Console) -> None:
    with console.gateway.client(headers={"sec-fetch-site": "cross-site"}) as client:
        answer = client.get("/console/models/none?after=3")
    assert (answer.status_code, "location" in answer.headers) == (401, False)
    assert '<meta http-equiv="refresh" content="0; url=/console/models/none?after=3">' in answer.text


def test_a_part_that_is_read_again_after_the_session_sends_the_whole_page_away(console: Console) -> None:
    with console.gateway.client(headers={"hx-request": "true"}) as client:
        answer = client.get("/console/events")
    redirect = "/console/sign-in?next=%2Fconsole%2Fevents"
    assert (answer.status_code, answer.headers["hx-redirect"], answer.content) == (401, redirect, b"")


def test_a_wrong_token_is_refused_without_saying_what_is_wrong(console: Console) -> None:
    with console.gateway.client() as client:
        answers = [
            client.post("/console/sign-in", data={"token": text}) for text in ("x", console.admin_token[:-1], "")
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert {"set-cookie" in answer.headers for answer in answers} == {False}
    assert len({re.sub(r"\s+", " ", answer.text.split("<main", 1)[1]) for answer in answers}) == 1


@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-out"])
@pytest.mark.parametrize("said", [{"origin": "http://evil.example"}, {"sec-fetch-site": "same-site"}])
def test_no_other_site_signs_anybody_in_or_out(console: Console, path: str, said: dict[str, str]) -> None:
    with console.gateway.client() as client:
        answer = client.post(path, data={"token": console.admin_token}, headers=said)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_form_that_is_too_long_or_none_is_refused(console: Console) -> None:
    with console.gateway.client() as client:
        long = client.post("/console/sign-in", data={"token": "x" * 20_000})
        other = client.post("/console/sign-in", json={"token": console.admin_token})
    assert (long.status_code, other.status_code) == (413, 415)


def test_signing_out_forgets_the_cookie_and_revoking_ends_it(console: Console) -> None:
    made = make_token(console.gateway.data_dir, "predict", name="short")
    with console.browser(made.text) as client:
        before = client.get("/console").status_code
        client.post("/console/sign-out")
        after = client.get("/console").status_code
    revoke(console.gateway.data_dir, made)
    with console.gateway.client() as client:
        wait_until(lambda: client.post("/console/sign-in", data={"token": made.text}).status_code == 401)
    assert (before, after) == (200, 303)


def test_the_token_is_in_no_page_and_in_no_log(console: Console, admin: httpx.Client) -> None:
    pages = [admin.get(path).text for path in ("/console", "/console/workers", "/console/events", "/console/sign-in")]
    secret = secret_of(console.admin_token)
    assert [secret in text for text in (*pages, console.gateway.log_path.read_text())] == [False] * 5


# --- the cookie and the REST routes -----------------------------------------------------------------------------------


def test_the_rest_routes_take_the_cookie_beside_the_consoles_header_only(console: Console, admin: httpx.Client) -> None:
    console.register("cookie", "float32")
    asked = [
        admin.get("/registry/models/cookie"),
        admin.get("/registry/models/cookie", headers=MARK),
        admin.get("/registry/models/cookie", headers=MARK | {"origin": "http://evil.example"}),
        admin.post("/v1/models/cookie/predict", json={"inputs": [1.5]}),
        admin.post("/v1/models/cookie/predict", json={"inputs": [1.5]}, headers=MARK),
        admin.post(
            "/v1/models/cookie/predict", json={"inputs": [1.5]}, headers=MARK | {"sec-fetch-site": "cross-site"}
        ),
        admin.options("/v1/models/cookie/predict", headers={"origin": "http://evil.example"}),
    ]
    assert [answer.status_code for answer in asked] == [401, 200, 401, 401, 200, 401, 401]
    assert [name for answer in asked for name in answer.headers if name.startswith("access-control")] == []


def test_wrong_tokens_in_the_form_use_up_what_an_address_may_fail(console: Console) -> None:
    with console.browser(console.admin_token) as admin, console.gateway.client() as client:
        answers = (client.post("/console/sign-in", data={"token": "x"}) for _ in range(3_000))
        last = next((answer for answer in answers if answer.status_code != 401), None)
        assert last is not None
        assert (last.status_code, "Too many requests" in last.text, "set-cookie" in last.headers) == (429, True, False)
        assert admin.get("/console").status_code == 200
