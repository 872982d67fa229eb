"""What a webhook wants, what is sent, what becomes of a delivery, and which URLs have the form of one."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from registry.errors import InvalidRequest, UrlNotAllowed
from registry.events import Event, EventKind
from registry.webhook import (
    GIVE_UP_AFTER,
    LONGEST_URL,
    TELLABLE_KINDS,
    Delivery,
    DeliveryState,
    Outcome,
    Webhook,
    after,
    body_of,
    check_kinds,
    check_patterns,
    check_url,
    draw_secret,
    pause_seconds,
    sign,
)
from tests.support.registries import NOON

MOVED = Event(
    sequence=7,
    kind=EventKind.ALIAS_MOVED,
    model="iris",
    version=3,
    alias="production",
    actor="ada",
    at=NOON,
    detail={"from": 2, "to": 3, "reason": "recall up \u00fc"},
)
ABOUT_NO_MODEL = replace(MOVED, kind=EventKind.TOKEN_CREATED, model=None, version=None, alias=None, detail={})
ABOUT_A_WEBHOOK = replace(ABOUT_NO_MODEL, kind=EventKind.WEBHOOK_FAILED)
DELIVERY = Delivery(
    id=5,
    webhook="abc",
    sequence=7,
    kind="alias_moved",
    redelivers=None,
    asked_by=None,
    state=DeliveryState.PENDING,
    attempts=0,
    status=None,
    reason="",
    seconds=None,
    created_at=NOON,
    first_at=None,
    attempted_at=None,
    next_at=NOON,
)


def webhook(*, kinds: tuple[str, ...] = (), models: tuple[str, ...] = ()) -> Webhook:
    return Webhook(
        id="abc",
        url="https://example.org/hook/secret-path",
        kinds=kinds,
        models=models,
        secret="whsec_not-shown",  # noqa: S106 - an example
        is_active=True,
        is_failing=False,
        cursor=0,
        created_at=NOON,
        created_by="ada",
    )


@pytest.mark.parametrize(
    ("kinds", "models", "wanted"),
    [
        ((), (), (True, True)),
        (("alias_moved",), (), (True, False)),
        (("version_registered",), (), (False, False)),
        ((), ("iris",), (True, False)),
        ((), ("fraud-*", "ir?s"), (True, False)),
        ((), ("fraud-*",), (False, False)),
        (("token_created",), ("*",), (False, False)),
    ],
)
def test_a_webhook_wants_its_kinds_of_its_models(
    kinds: tuple[str, ...], models: tuple[str, ...], wanted: tuple[bool, bool]
) -> None:
    asking = webhook(kinds=kinds, models=models)
    assert (asking.wants(MOVED), asking.wants(ABOUT_NO_MODEL), asking.wants(ABOUT_A_WEBHOOK)) == (*wanted, False)


def test_no_text_of_a_webhook_shows_its_url_or_its_secret() -> None:
    assert "secret" not in repr(webhook())


def test_the_body_is_the_event_with_its_reason_and_the_webhook() -> None:
    assert json.loads(body_of(DELIVERY, MOVED)) == {
        "sequence": 7,
        "kind": "alias_moved",
        "model": "iris",
        "version": 3,
        "alias": "production",
        "actor": "ada",
        "at": "2026-05-17T12:00:00.123456Z",
        "detail": {"from": 2, "to": 3, "reason": "recall up \u00fc"},
        "reason": "recall up \u00fc",
        "webhook": "abc",
    }


def test_every_attempt_sends_the_same_bytes() -> None:
    later = replace(DELIVERY, attempts=4, reason="timed out", attempted_at=NOON, next_at=NOON + timedelta(hours=1))
    assert body_of(later, MOVED) == body_of(DELIVERY, MOVED)


def test_a_ping_is_about_nothing() -> None:
    ping = replace(DELIVERY, kind="ping", sequence=None, asked_by="ada")
    assert json.loads(body_of(ping, None)) == {
        "sequence": None,
        "kind": "ping",
        "model": None,
        "version": None,
        "alias": None,
        "actor": "ada",
        "at": "2026-05-17T12:00:00.123456Z",
        "detail": {},
        "reason": "",
        "webhook": "abc",
    }


def test_a_signature_covers_the_moment_and_the_body() -> None:
    wanted = hmac.new(b"whsec_x", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert sign("whsec_x", 1700000000, b'{"a":1}') == wanted
    assert len({sign("whsec_x", at, body) for at in (1, 2) for body in (b"a", b"b")}) == 4


def test_secrets_have_256_random_bits() -> None:
    assert len({draw_secret() for _ in range(100)}) == 100
    assert len(draw_secret()) == len("whsec_") + 43


@pytest.mark.parametrize(
    ("outcome", "state", "pause"),
    [
        pytest.param(Outcome(seconds=0.1, status=204), DeliveryState.DELIVERED, 0, id="taken"),
        pytest.param(Outcome(seconds=0.1, status=302, reason="x"), DeliveryState.FAILED, 0, id="redirect"),
        pytest.param(Outcome(seconds=0.1, status=410, reason="x"), DeliveryState.FAILED, 0, id="refusal"),
        pytest.param(Outcome(seconds=0.1, status=500, reason="x"), DeliveryState.PENDING, 0.75, id="server's fault"),
        pytest.param(Outcome(seconds=0.1, status=429, reason="x"), DeliveryState.PENDING, 0.75, id="too many"),
        pytest.param(Outcome(seconds=0.1, reason="timed out"), DeliveryState.PENDING, 0.75, id="no answer"),
        pytest.param(
            Outcome(seconds=0.1, status=503, reason="x", retry_after_seconds=120),
            DeliveryState.PENDING,
            120,
            id="later, it says",
        ),
    ],
)
def test_what_an_attempt_makes_of_a_delivery(outcome: Outcome, state: DeliveryState, pause: float) -> None:
    now = NOON + timedelta(seconds=1)
    assert after(DELIVERY, outcome, now=now, draw=lambda: 0.5) == replace(
        DELIVERY,
        state=state,
        attempts=1,
        status=outcome.status,
        reason=outcome.reason,
        seconds=0.1,
        first_at=now,
        attempted_at=now,
        next_at=now + timedelta(seconds=pause),
    )


def test_a_delivery_is_given_up_after_a_day() -> None:
    outcome = Outcome(seconds=1, reason="timed out")
    tried = after(DELIVERY, outcome, now=NOON, draw=lambda: 0)
    again = [
        after(tried, outcome, now=NOON + GIVE_UP_AFTER + timedelta(seconds=extra), draw=lambda: 0) for extra in (-1, 0)
    ]
    assert [each.state for each in again] == [DeliveryState.PENDING, DeliveryState.FAILED]
    assert {each.first_at for each in (tried, *again)} == {NOON}


def test_a_delivery_that_has_waited_for_days_behind_others_has_a_day_of_its_own() -> None:
    later = NOON + timedelta(days=3)
    tried = after(DELIVERY, Outcome(seconds=1, status=503), now=later, draw=lambda: 0)
    assert (tried.state, tried.first_at) == (DeliveryState.PENDING, later)


def test_a_ping_is_tried_once() -> None:
    ping = replace(DELIVERY, kind="ping", sequence=None, asked_by="ada")
    assert after(ping, Outcome(seconds=1, reason="x"), now=NOON, draw=lambda: 0).state is DeliveryState.FAILED


def test_pauses_double_up_to_an_hour_with_jitter_from_half() -> None:
    assert [pause_seconds(failures, draw=lambda: 1.0) for failures in (0, 1, 2, 10, 12, 13, 10**6)] == [
        *(1, 2, 4, 1024),
        *(3600, 3600, 3600),
    ]
    assert pause_seconds(3, draw=lambda: 0.0) == 4
    assert pause_seconds(0, draw=lambda: 0.0, asked_seconds=10**6) == 3600


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org:8443/hook?x=1",
        "http://10.0.0.1/hook",
        "https://[2001:db8::1]:9/x",
    ],
)
def test_urls_that_have_the_form_of_a_receivers(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "https://"),
        *("https:///path", "https://ada:pw@example.org/", "https://@example.org/", "https://example.org/#part"),
        *("https://example.org:0/", "https://example.org:99999/", "https://example.org:x/", "https://[::1/"),
        *("https://exa mple.org/", "https://example.org/\r\nx: y", "https://ex\u00e4mple.org/", "https://a\\@b/"),
        "https://example.org/" + "x" * LONGEST_URL,
    ],
)
def test_urls_that_are_no_receivers(url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        check_url(url)


def test_kinds_are_those_of_the_feed_but_for_webhooks_own() -> None:
    assert check_kinds(["alias_moved", "version_registered", "alias_moved"]) == ("version_registered", "alias_moved")
    assert set(TELLABLE_KINDS) == {kind.value for kind in EventKind if not kind.value.startswith("webhook_")}
    for kind in ("nosuch", "webhook_failed", "ping"):
        with pytest.raises(InvalidRequest):
            check_kinds([kind])


def test_every_kind_is_explained_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    assert {kind for kind in TELLABLE_KINDS if f"`{kind}`" not in page} == set()


def test_patterns_are_those_of_tokens() -> None:
    assert check_patterns(["fraud-*", "iris", "iris"]) == ("fraud-*", "iris")
    for patterns in (["Iris"], [""], [f"m{n}" for n in range(65)]):
        with pytest.raises(InvalidRequest):
            check_patterns(patterns)
