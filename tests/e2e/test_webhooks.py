"""Webhooks of a real gateway, told to a real receiver: signed, in order, tried again, redelivered, and taken over."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import models
from tests.support.gateway_process import SARDONYX, GatewayProcess, fixed_port, running_gateway, wait_until
from tests.support.receiver import Receiver, answer, running_receiver
from tests.support.running import run
from tests.support.scrapes import scrape
from tests.support.tokens import open_registry
from tests.support.uploads import ensure_uploaded

SPELLED = "0x7f.1"
"""Loopback in a spelling that nothing else has."""

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Two workers, so that one can die."""
    folder = tmp_path_factory.mktemp("webhooks") / "data"
    with running_gateway(folder, webhook_private="on", workers="2") as running:
        yield running


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with gateway.client() as opened:
        yield opened
        for webhook in opened.get("/registry/webhooks").json()["items"]:
            opened.delete(f"/registry/webhooks/{webhook['id']}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def make(client: httpx.Client, url: str, **wishes: Any) -> dict[str, Any]:
    made = client.post("/registry/webhooks", json={"url": url, **wishes})
    assert made.status_code == 201, made.text
    document: dict[str, Any] = made.json()
    return document


def describe(client: httpx.Client, name: str, text: str) -> None:
    """Register a model if it is not there, and change its description: each is an event."""
    ensure_uploaded(client, name, models.identity())
    assert client.patch(f"/registry/models/{name}", json={"description": text}).status_code == 200


def log(client: httpx.Client, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get(f"/registry/webhooks/{webhook['id']}/deliveries").json()["items"]
    return items


def states(client: httpx.Client, webhook: dict[str, Any]) -> list[tuple[str, int, int | None]]:
    return [(each["state"], each["attempts"], each["status"]) for each in log(client, webhook)]


def test_an_event_arrives_signed_as_the_feed_has_it(client: httpx.Client, receiver: Receiver) -> None:
    webhook = make(client, receiver.url(), kinds=["model_changed"], models="told-*")
    describe(client, "untold", "not asked for")
    describe(client, "told-one", "caf\u00e9")
    received = receiver.take()
    assert received.is_signed_with(webhook["secret"])
    assert not received.is_signed_with("whsec_another")
    sequence = received.document["sequence"]
    (event,) = client.get(f"/registry/events?after={sequence - 1}&limit=1").json()["items"]
    assert received.document == {**event, "reason": "", "webhook": webhook["id"]}
    assert (event["kind"], event["model"]) == ("model_changed", "told-one")
    wait_until(lambda: states(client, webhook) == [("delivered", 1, 204)])
    (delivery,) = log(client, webhook)
    assert (delivery["sequence"], str(delivery["id"])) == (sequence, received.headers["x-sardonyx-delivery"])


def test_events_come_in_order_and_what_failed_is_tried_again(client: httpx.Client, receiver: Receiver) -> None:
    receiver.behaviours = [answer(500), answer(429)]
    webhook = make(client, receiver.url(), kinds=["model_changed"])
    for text in ("one", "two", "three"):
        describe(client, "in-order", text)
    received = [receiver.take() for _ in range(5)]
    sequences = [each.document["sequence"] for each in received]
    assert sequences == [sequences[0]] * 3 + sorted(sequences[3:])
    assert len({each.body for each in received[:3]}) == 1
    wait_until(lambda: states(client, webhook)[-1:] == [("delivered", 3, 204)])


def test_a_refusal_is_final_shown_and_can_be_redelivered(client: httpx.Client, receiver: Receiver) -> None:
    receiver.behaviours = [answer(307, location=receiver.url("/elsewhere"))]
    webhook = make(client, receiver.url(), kinds=["model_changed"])
    describe(client, "refused", "x")
    first = receiver.take()
    wait_until(lambda: states(client, webhook) == [("failed", 1, 307)])
    (failed,) = log(client, webhook)
    assert failed["reason"] == "answered 307, and redirects are not followed"
    assert client.get(f"/registry/webhooks/{webhook['id']}").json()["failing"] is True
    feed = client.get("/registry/events?limit=1000").json()["items"]
    assert {
        "webhook": webhook["id"],
        "delivery": failed["id"],
        "sequence": failed["sequence"],
        "reason": "answered_307",
    } in [event["detail"] for event in feed if event["kind"] == "webhook_failed"]

    again = client.post(f"/registry/webhooks/{webhook['id']}/deliveries/{failed['id']}/redeliver")
    assert (again.status_code, again.json()["redelivers"]) == (202, failed["id"])
    second = receiver.take()
    assert (second.path, second.body) == ("/hook", first.body)
    wait_until(lambda: client.get(f"/registry/webhooks/{webhook['id']}").json()["failing"] is False)
    assert client.post(f"/registry/webhooks/{webhook['id']}/deliveries/999999999/redeliver").status_code == 404


def test_everything_that_admins_do_by_rest(client: httpx.Client, receiver: Receiver) -> None:
    made = make(client, receiver.url(), models=["iris", "fraud-*"])
    secret = made.pop("secret")
    path = f"/registry/webhooks/{made['id']}"
    assert made == {
        "id": made["id"],
        "url": receiver.url(),
        "kinds": [],
        "models": ["iris", "fraud-*"],
        "active": True,
        "failing": False,
        "cursor": made["cursor"],
        "created_at": made["created_at"],
        "created_by": made["created_by"],
    }
    assert client.get(path).json()["id"] == made["id"]
    changed = client.patch(path, json={"active": False, "new_secret": True, "models": "*"}).json()
    assert (changed["active"], changed["models"], changed["secret"] != secret) == (False, ["*"], True)
    assert client.post(f"{path}/test").status_code == 202
    ping = receiver.take_kind("ping")
    assert ping.is_signed_with(changed["secret"])
    assert client.delete(path).status_code == 204
    gone = client.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "webhook_not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "https://169.254.169.254/latest"}, "url_not_allowed"),
        ({"url": "https://metadata.google.internal/"}, "url_not_allowed"),
        ({"url": "ftp://example.org/"}, "url_not_allowed"),
        ({"url": "http://127.0.0.1/", "kinds": ["nosuch"]}, "invalid_request"),
        ({"url": "http://127.0.0.1/", "models": "A"}, "invalid_request"),
        ({"url": "http://127.0.0.1/", "secret": "mine"}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
def test_what_is_refused(client: httpx.Client, body: dict[str, Any], code: str) -> None:
    answer = client.post("/registry/webhooks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_the_command_line_does_all_of_it(gateway: GatewayProcess, client: httpx.Client, receiver: Receiver) -> None:
    def sardonyx(*words: str) -> "subprocess.CompletedProcess[str]":
        done = run(SARDONYX, "webhook", *words, environment=gateway.environment)
        assert done.returncode == 0, done.stderr
        return done

    secret = sardonyx("create", receiver.url(), "--event", "model_changed", "--models", "shell-*").stdout.strip()
    (webhook,) = client.get("/registry/webhooks").json()["items"]
    id_ = webhook["id"]
    sardonyx("test", id_)
    assert receiver.take_kind("ping").is_signed_with(secret)
    wait_until(lambda: states(client, webhook) == [("delivered", 1, 204)])
    shown = sardonyx("show", id_).stdout
    assert (id_ in shown, "delivered" in shown, secret in shown) == (True, True, False)
    changed = sardonyx("change", id_, "--new-secret", "--event", "").stdout.strip()
    assert (changed.startswith("whsec_"), changed == secret) == (True, False)
    assert client.get(f"/registry/webhooks/{id_}").json()["kinds"] == []


def test_the_receiver_of_the_documentation_takes_what_is_genuine(client: httpx.Client, tmp_path: Path) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    program, port = tmp_path / "receiver.py", fixed_port()
    program.write_text(source, encoding="utf-8")
    webhook = make(client, f"http://127.0.0.1:{port}/", kinds=["model_changed"])
    environment = {"WEBHOOK_SECRET": webhook["secret"], "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        [sys.executable, program, str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        describe(client, "documented", "x")
        assert process.stdout is not None
        assert process.stdout.readline().split()[1:] == ["model_changed", "documented", "None"]
        wait_until(lambda: states(client, webhook)[0][0::2] == ("delivered", 204))
        client.patch(f"/registry/webhooks/{webhook['id']}", json={"new_secret": True})
        describe(client, "documented", "y")
        wait_until(lambda: states(client, webhook)[0] == ("failed", 1, 401))
    finally:
        process.kill()
        process.communicate()


def test_secrets_and_urls_are_in_no_log_and_no_event(
    gateway: GatewayProcess, client: httpx.Client, receiver: Receiver
) -> None:
    receiver.behaviours = [answer(403)]
    webhook = make(client, receiver.url("/private-path", host=SPELLED), kinds=["model_changed"])
    refused = client.post("/registry/webhooks", json={"url": "https://nobody-there.invalid/private-path"})
    assert (refused.status_code, "nobody-there" in refused.text) == (422, True)
    describe(client, "quiet", "x")
    wait_until(lambda: states(client, webhook) == [("failed", 1, 403)])
    feed = client.get("/registry/events?limit=1000").text
    shown = client.get("/registry/webhooks").text + client.get("/metrics").text
    texts = {"log": gateway.log_path.read_text(), "feed": feed, "shown": shown}
    assert {name for name, text in texts.items() if webhook["secret"] in text or "whsec_" in text} == set()
    for private, where in (("private-path", ["shown"]), (SPELLED, ["shown"]), ("nobody-there", [])):
        assert [name for name, text in texts.items() if private in text] == where

    def given_up() -> list[str]:
        lines = [line for line in gateway.log_lines() if line["event"] == "webhook_given_up"]
        return [line["reason"] for line in lines if line["webhook"] == webhook["id"]]

    wait_until(lambda: given_up() == ["answered_403"])  # it is written down first, and then logged and counted
    wait_until(lambda: scrape(client).value("sardonyx_webhook_given_up_total") >= 1)


def test_another_worker_takes_over_when_the_one_that_tells_is_killed(
    gateway: GatewayProcess, client: httpx.Client, receiver: Receiver
) -> None:
    make(client, receiver.url(), kinds=["model_changed"])
    describe(client, "taken-over", "before")
    receiver.take()
    killed = holder(gateway)
    os.kill(killed, signal.SIGKILL)
    with gateway.client() as another:
        describe(another, "taken-over", "after")
        assert receiver.take().document["model"] == "taken-over"
    assert holder(gateway) != killed


def holder(gateway: GatewayProcess) -> int:
    registry = open_registry(gateway.data_dir)
    try:
        with registry.reading() as catalog:
            lease = catalog.find_lease("webhooks")
    finally:
        registry.close()
    assert lease is not None
    return int(lease.holder.split(":")[1])
