"""The console without tokens: open to this machine, without JavaScript too, and to no page of the web."""

import httpx
import pytest

from tests.support import models
from tests.support.console import form_of
from tests.support.gateway_process import GatewayProcess
from tests.support.uploads import upload


@pytest.fixture
def client(gateway: GatewayProcess) -> httpx.Client:
    return gateway.client()


def test_an_empty_gateway_says_what_to_type(client: httpx.Client) -> None:
    with client:
        page = client.get("/console").text
    assert "sardonyx register model.onnx --name NAME --promote" in page
    assert ("open on this machine only" in page, "Sign out" in page, 'href="/docs"' in page) == (True, False, True)


def test_there_is_nothing_to_sign_in_to(client: httpx.Client) -> None:
    with client:
        shown = client.get("/console/sign-in?next=/console/events")
        sent = client.post("/console/sign-in", data={"token": "x", "next": "/console/events"})
    assert [(answer.status_code, answer.headers["location"]) for answer in (shown, sent)] == [
        (303, "/console/events")
    ] * 2
    assert "set-cookie" not in sent.headers


def test_a_form_works_without_a_script(client: httpx.Client) -> None:
    with client:
        upload(client, "plain", models.identity())
        form = form_of(client.get("/console/models/plain/plan?version=1").text)
        done = client.post("/console/models/plain/plan", data=form)
        live = client.get("/registry/models/plain/aliases/production").json()["version"]
    assert (done.status_code, live) == (200, 1)


def test_another_sites_page_changes_nothing(client: httpx.Client) -> None:
    with client:
        upload(client, "kept", models.identity())
        form = form_of(client.get("/console/models/kept/plan?version=1").text)
        sent = client.post("/console/models/kept/plan", data=form, headers={"origin": "http://evil.example"})
        live = client.get("/registry/models/kept").json()["aliases"]
    assert (sent.status_code, live) == (403, {})
