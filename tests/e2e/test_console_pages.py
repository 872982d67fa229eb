"""The console of a real gateway: what each role sees, and aliases that are moved by its forms."""

import html
import re
from collections.abc import Iterator

import httpx
import pytest

from gateway.web.console.policy import ALONE
from tests.support import models
from tests.support.console import HOSTILE, MARK, Console, form_of, live, running_console
from tests.support.gateway_process import wait_until
from tests.support.tokens import make_token
from tests.support.uploads import OCTETS


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("console") / "data") as running:
        yield running


@pytest.fixture
def admin(console: Console) -> Iterator[httpx.Client]:
    with console.browser(console.admin_token) as client:
        yield client


# --- looking ----------------------------------------------------------------------------------------------------------


def test_pages_show_what_people_wrote_as_text(console: Console, admin: httpx.Client) -> None:
    console.register("hostile", "float32", "float64")
    admin.patch("/registry/models/hostile", json={"description": HOSTILE, "tags": {HOSTILE: HOSTILE}}, headers=MARK)
    form = form_of(admin.get("/console/models/hostile/plan?version=1").text)
    admin.post("/console/models/hostile/plan", data={**form, "reason": HOSTILE}, headers=MARK)
    paths = ["", "?q=%3Cscript%3Ealert(1)", "/models/hostile", "/models/hostile/versions/1", "/events", "/workers"]
    paths += [
        "/models/hostile/plan?version=2&alias=%3Cscript%3Ealert(1)",
        "/models/hostile/choose?alias=%3Cscript%3Ealert(1)",
    ]
    paths += ["/models/%3Cscript%3Ealert(1)", "/models/hostile/versions/%3Cscript%3Ealert(1)", "/%3Cscript%3Ealert(1)"]
    pages = {path: admin.get(f"/console{path}") for path in paths}
    assert {path for path, page in pages.items() if "<script>alert" in page.text} == set()
    assert {path for path, page in pages.items() if page.status_code >= 500} == set()
    assert {page.headers["content-security-policy"] for page in pages.values()} == {
        dict(ALONE)["content-security-policy"]
    }
    assert {page.headers["cache-control"] for page in pages.values()} == {"no-store"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;{{7*7}}" in pages["/models/hostile"].text


def test_the_home_page_finds_pages_and_says_what_to_type_where_there_is_nothing(
    console: Console, admin: httpx.Client
) -> None:
    console.register("findable", "float32")
    found, missed = admin.get("/console?q=findab").text, admin.get("/console?q=nosuchmodel").text
    assert ('id="model-findable"' in found, 'id="model-' in missed) == (True, False)
    assert "sardonyx models --query TEXT" in missed
    assert "sardonyx promote findable 1" in admin.get("/console/models/findable").text


def test_a_version_shows_its_signature_its_files_and_that_no_licence_is_named(
    console: Console, admin: httpx.Client
) -> None:
    console.register("shown", "float32")
    page = admin.get("/console/models/shown/versions/1").text
    digest = admin.get("/registry/models/shown/versions/1", headers=MARK).json()["files"][0]["digest"]
    said = ["float32[batch]", digest, "not named", "/console/models/shown/versions/1/openapi.json"]
    assert [text in page for text in said] == [True] * 4
    content = admin.get("/console/models/shown/versions/1/artifact/model.onnx").content
    assert content == models.identity("float32").SerializeToString()
    assert admin.get("/console/models/shown/versions/1/openapi.json").json()["openapi"] == "3.1.0"


def test_what_is_asked_is_seen_with_its_traffic_what_is_loaded_and_what_has_happened(
    console: Console, admin: httpx.Client
) -> None:
    console.register("busy", "float32")
    for body in ({"inputs": [1.5]}, {"inputs": ["x"]}):
        admin.post("/v1/models/busy/predict", json=body, headers=MARK)

    def row() -> str:
        return admin.get("/console?q=busy").text.split('id="model-busy"', 1)[1]

    wait_until(lambda: "2 answers in 5 minutes, 50 % of them refusals" in row())
    wait_until(lambda: 'id="resident-busy-1"' in admin.get("/console/workers").text)  # as workers tell now and then
    assert "version 1 registered" in admin.get("/console/events").text


def test_a_token_of_other_models_sees_none_of_these(console: Console) -> None:
    console.register("secret", "float32")
    made = make_token(console.gateway.data_dir, "publish", models="other-*")
    with console.browser(made.text) as client:
        home, events = client.get("/console").text, client.get("/console/events").text
        answers = [
            client.get(f"/console/models/secret{rest}").status_code for rest in ("", "/versions/1", "/plan?version=1")
        ]
    assert ("secret" in home, "secret" in events, answers) == (False, False, [403, 403, 403])


def test_a_token_that_sees_nothing_of_the_newest_events_is_sent_to_the_older_ones(
    console: Console, admin: httpx.Client
) -> None:
    console.register("mine", "float32")
    console.register("theirs", "float32")
    for text in map(str, range(51)):
        admin.patch("/registry/models/theirs", json={"description": text}, headers=MARK)
    made = make_token(console.gateway.data_dir, "predict", models="mine")
    with console.browser(made.text) as client:
        page = client.get("/console/events").text
    assert "None of these 50 events is one that you may see: older ones may be." in page
    assert ("Older events" in page, "Nothing has happened yet" in page) == (True, False)


def test_what_a_shadow_has_shown_and_how_a_canary_fares_stand_on_the_models_page(admin: httpx.Client) -> None:
    source = models.linear()
    for model in (source, models.changed(source, by=0.5)):
        path = "/registry/models/compared/versions"
        assert admin.post(path, content=model.SerializeToString(), headers=OCTETS | MARK).status_code == 201
    trials = {"shadow": {"version": 2, "percent": 100}, "canary": {"version": 2, "percent": 1, "max_error_rate": 0.5}}
    alias = "/registry/models/compared/aliases/production"
    admin.put(alias, json={"version": 1, **trials}, headers=MARK).raise_for_status()

    def page() -> str:
        admin.post("/models/compared/predict", json={"inputs": [[1.0, 2.0, 3.0, 4.0]]}, headers=MARK)
        return admin.get("/console/models/compared").text

    before = page()
    wait_until(lambda: "Decides otherwise" in page())
    admin.put(alias, json={"version": 1, "shadow": None, "canary": None}, headers=MARK).raise_for_status()
    after = page()
    assert "What the shadow of production has shown" in before
    assert "dropped by itself when more than 50 % of its answers fail." in before
    assert "What the last shadow of production has shown" in after
    assert "How the canary of production fares" not in after


# --- moving -----------------------------------------------------------------------------------------------------------


def test_a_viewer_sees_no_button_and_gets_403_if_he_tries(console: Console, admin: httpx.Client) -> None:
    console.register("viewed", "float32")
    form = form_of(admin.get("/console/models/viewed/plan?version=1").text)
    with console.browser(console.viewer_token) as viewer:
        pages = [viewer.get(f"/console/models/viewed{rest}").text for rest in ("", "/versions/1")]
        tried = [
            *(viewer.get(f"/console/models/viewed/{rest}") for rest in ("plan?version=1", "rollback", "choose")),
            *(viewer.get(f"/console/models/viewed/versions/1/{rest}") for rest in ("retire", "clear")),
            viewer.post("/console/models/viewed/plan", data=form, headers=MARK),
            viewer.post("/console/models/viewed/rollback", data=form, headers=MARK),
            viewer.post("/console/models/viewed/versions/1/retire", headers=MARK),
            viewer.put("/registry/models/viewed/aliases/production", json={"version": 1}, headers=MARK),
        ]
    assert [answer.status_code for answer in tried] == [403] * 9
    acting = re.compile(r'href="[^"]*/(?:plan|choose|rollback|retire|clear)\b|<button[^>]*id="(?:confirm|undo)')
    assert [acting.findall(page) for page in pages] == [[], []]


def test_an_admin_promotes_after_seeing_the_plan_and_undoes_it(console: Console, admin: httpx.Client) -> None:
    console.register("moved", "float32", "float64")
    first = form_of(admin.get("/console/models/moved/plan?version=1").text)
    admin.post("/console/models/moved/plan", data=first, headers=MARK)
    plan = admin.get("/console/models/moved/plan?version=2").text
    refused = admin.post("/console/models/moved/plan", data=form_of(plan), headers=MARK)
    second = {**form_of(refused.text), "allow_breaking": "1", "reason": "doubles"}
    promoted = admin.post("/console/models/moved/plan", data=second, headers=MARK)
    after = live(admin, "moved")
    undo = form_of(promoted.text, 'id="flash"')
    undone = admin.post("/console/models/moved/rollback", data=undo, headers=MARK)
    assert "<code>inputs/x/dtype</code>: was <code>float32</code>, becomes <code>float64</code>" in plan
    assert (refused.status_code, "breaking_signature" in refused.text) == (409, True)
    assert (promoted.status_code, promoted.headers["hx-push-url"], after["version"]) == (
        200,
        "/console/models/moved",
        2,
    )
    assert (undone.status_code, live(admin, "moved")["version"], "doubles" in undone.text) == (200, 1, True)
    moves = admin.get("/registry/models/moved/history", headers=MARK).json()["items"]
    reason = "undo of m2"
    assert undo == {"alias": "production", "to": "1", "expected_generation": "2", "reason": reason}
    assert [move["number"] for move in moves] == [1, 2, 3]
    assert [f'{move["id"]}">m{move["number"]}</a>' in undone.text for move in moves] == [True] * 3
    assert [(move["kind"], move["from"], move["to"], move["undoes"], move["actor"]) for move in moves] == [
        ("promote", None, 1, None, "adminer"),
        ("promote", 1, 2, None, "adminer"),
        ("rollback", 2, 1, moves[1]["id"], "adminer"),
    ]


def test_a_canary_and_a_shadow_come_back_as_they_were(console: Console, admin: httpx.Client) -> None:
    console.register("tried", "float32", "float64", "int64")
    base = "/console/models/tried"
    for query in ("version=1", "version=1&canary=2&canary_percent=5&max_error_percent=2&max_latency_ms=80"):
        form = {**form_of(admin.get(f"{base}/plan?{query}").text), "allow_breaking": "1"}
        assert admin.post(f"{base}/plan", data=form, headers=MARK).status_code == 200
    before = live(admin, "tried")
    form = {**form_of(admin.get(f"{base}/plan?version=3").text), "allow_breaking": "1"}
    promoted = admin.post(f"{base}/plan", data=form, headers=MARK)
    between = live(admin, "tried")
    undone = admin.post(f"{base}/plan", data=form_of(promoted.text, 'id="flash"'), headers=MARK)
    canary = {"version": 2, "percent": 5.0, "max_error_rate": 0.02, "max_latency_ms": 80.0}
    assert before == {"version": 1, "canary": canary, "shadow": None}
    assert between == {"version": 3, "canary": None, "shadow": None}
    assert (undone.status_code, live(admin, "tried")) == (200, before)


def test_where_somebody_was_quicker_nothing_moves_and_the_page_says_so(console: Console, admin: httpx.Client) -> None:
    console.register("raced", "float32", "float64")
    mine = form_of(admin.get("/console/models/raced/plan?version=1").text)
    theirs = admin.put("/registry/models/raced/aliases/production", json={"version": 2}, headers=MARK)
    late = admin.post("/console/models/raced/plan", data={**mine, "reason": "mine"}, headers=MARK)
    stale = admin.post(
        "/console/models/raced/rollback", data={"alias": "production", "expected_generation": "7"}, headers=MARK
    )
    blind = admin.post("/console/models/raced/plan", data={"version": "1"}, headers=MARK)
    assert (theirs.status_code, late.status_code, stale.status_code, blind.status_code) == (200, 409, 409, 422)
    assert ("The alias has changed meanwhile" in late.text, 'value="mine"' in late.text) == (True, True)
    assert (form_of(late.text)["expected_generation"], live(admin, "raced")["version"]) == ("1", 2)


def test_the_undo_of_a_promotion_is_stepped_over_by_the_next_rollback(console: Console, admin: httpx.Client) -> None:
    console.register("again", "float32", "float64", "int64")
    base, form = "/console/models/again", {"allow_breaking": "1"}
    for query in ("version=3", "version=1&canary=2&canary_percent=5&max_error_percent=0"):
        asked = {**form_of(admin.get(f"{base}/plan?{query}").text), **form}
        assert admin.post(f"{base}/plan", data=asked, headers=MARK).status_code == 200
    before = live(admin, "again")
    asked = {**form_of(admin.get(f"{base}/plan?version=2").text), **form}
    promoted = admin.post(f"{base}/plan", data=asked, headers=MARK)
    undone = admin.post(f"{base}/plan", data=form_of(promoted.text, 'id="flash"'), headers=MARK)
    assert (undone.status_code, live(admin, "again")) == (200, before)
    assert before["canary"] == {"version": 2, "percent": 5.0, "max_error_rate": 0.0}
    assert form_of(admin.get(f"{base}/rollback").text)["to"] == "3"


def test_the_history_leads_back_to_every_version_that_was_live(console: Console, admin: httpx.Client) -> None:
    console.register("stepped", "float32", "float64", "int64", "int32")
    for number in (4, 1, 2, 1, 3):
        body = {"version": number, "allow_breaking": True}
        admin.put("/registry/models/stepped/aliases/production", json=body, headers=MARK).raise_for_status()
    admin.post("/console/models/stepped/versions/4/retire", headers=MARK)
    page = admin.get("/console/models/stepped").text
    links = re.findall(r'href="([^"]*/rollback[^"]*to=[^"]*)"', page)
    form = form_of(admin.get(html.unescape(links[0])).text)
    rolled = admin.post("/console/models/stepped/rollback", data=form, headers=MARK)
    base = "/console/models/stepped/rollback?alias=production&amp;to="
    assert links == [f"{base}1", f"{base}2"]
    assert (rolled.status_code, live(admin, "stepped")["version"]) == (200, 1)


def test_nobody_is_offered_a_way_back_where_there_is_none(console: Console, admin: httpx.Client) -> None:
    console.register("first", "float32", "float64")
    plan = admin.get("/console/models/first/plan?version=1").text
    admin.post("/console/models/first/plan", data=form_of(plan), headers=MARK)
    pages = [admin.get("/console/models/first").text]
    second = admin.get("/console/models/first/plan?version=2").text
    admin.post("/console/models/first/plan", data={**form_of(second), "allow_breaking": "1"}, headers=MARK)
    pages.append(admin.get("/console/models/first").text)
    assert ["it can be undone" in text for text in (plan, second)] == [False, True]
    assert ["/rollback" in text for text in pages] == [False, True]


def test_what_a_page_refuses_is_logged_by_its_code(console: Console, admin: httpx.Client) -> None:
    console.register("logged", "float32", "float64")
    admin.put("/registry/models/logged/aliases/production", json={"version": 1}, headers=MARK)
    refused = [
        admin.post("/console/sign-in", data={"token": "x"}),
        admin.post("/console/models/logged/plan", data={"version": "2"}, headers=MARK),
        admin.post("/console/models/logged/versions/1/retire", headers=MARK),
    ]
    expected = [
        ("/console/sign-in", 401, "unauthenticated"),
        ("/console/models/logged/plan", 422, "invalid_request"),
        ("/console/models/logged/versions/1/retire", 409, "version_active"),
    ]

    def logged() -> list[tuple[str, int, str]]:
        ids = [answer.headers["x-request-id"] for answer in refused]
        found = {line["request_id"]: line for line in console.gateway.log_lines() if line.get("event") == "request"}
        return [(found[id_]["path"], found[id_]["status"], found[id_]["code"]) for id_ in ids if id_ in found]

    wait_until(lambda: len(logged()) == len(expected))
    assert logged() == expected


def test_a_link_allows_nothing_beforehand(console: Console, admin: httpx.Client) -> None:
    console.register("linked", "float32", "float64")
    admin.put("/registry/models/linked/aliases/production", json={"version": 1}, headers=MARK)
    page = admin.get("/console/models/linked/plan?version=2&allow_breaking=1&takes_back=1&other=x").text
    assert ('id="allow-breaking"' in page, "checked" in page) == (True, False)
    assert form_of(page) == {"version": "2", "expected_generation": "1"}


def test_what_cannot_be_read_is_a_page_with_its_violations(console: Console, admin: httpx.Client) -> None:
    console.register("misread", "float32")
    answer = admin.get("/console/models/misread/plan?version=x&canary=1")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert "<code>/version</code>" in answer.text


def test_an_admin_retires_a_version_after_a_warning(console: Console, admin: httpx.Client) -> None:
    console.register("ended", "float32", "float64")
    admin.put("/registry/models/ended/aliases/production", json={"version": 1}, headers=MARK)
    warned = admin.get("/console/models/ended/versions/2/retire").text
    in_use = admin.post("/console/models/ended/versions/1/retire", headers=MARK)
    retired = admin.post("/console/models/ended/versions/2/retire", headers=MARK)
    assert "There is no way back" in warned
    assert (in_use.status_code, "version_active" in in_use.text) == (409, True)
    assert (retired.status_code, "Version 2 is retired" in retired.text) == (200, True)
    assert admin.get("/registry/models/ended/versions/2", headers=MARK).json()["state"] == "retired"
