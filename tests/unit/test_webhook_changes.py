"""Making, changing and ending webhooks; what is taken up from the feed; what becomes of attempts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from registry.errors import (
    DeliveryNotFound,
    InvalidRequest,
    Overloaded,
    TooManyWebhooks,
    UrlNotAllowed,
    WebhookNotFound,
)
from registry.events import EventKind
from registry.sql.unit_of_work import SqlRegistry
from registry.webhook import (
    GIVE_UP_AFTER,
    MOST_LOGGED,
    MOST_WAITING,
    MOST_WEBHOOKS,
    Cause,
    Delivery,
    DeliveryState,
    Outcome,
    Webhook,
)
from registry.webhooks import WebhookChange, Webhooks, record, take_up
from tests.support.registries import NOON, HandClock, fresh_registry

URL = "https://example.org/hook/private-path"
GOOD = Outcome(seconds=0.1, status=204)
REFUSED = Outcome(seconds=0.1, status=410, reason="answered 410")
CLOCK = HandClock()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqlRegistry]:
    with fresh_registry(tmp_path) as opened:
        yield opened


def refuse_loopback(url: str) -> None:
    if "127.0.0.1" in url:
        raise UrlNotAllowed("no")


@pytest.fixture
def webhooks(registry: SqlRegistry) -> Webhooks:
    return Webhooks(registry, CLOCK, check_place=refuse_loopback)


def happen(
    registry: SqlRegistry, kind: EventKind = EventKind.ALIAS_MOVED, *, model: str | None = "iris", times: int = 1
) -> None:
    with registry.writing() as transaction:
        if model is not None:
            transaction.ensure_model(model, actor="ada", at=NOON)
        for _ in range(times):
            transaction.add_event(kind, model=model, actor="ada", at=NOON, detail={})


def taken_up(registry: SqlRegistry, id_: str) -> list[tuple[int | None, str]]:
    with registry.writing() as transaction:
        webhook = transaction.find_webhook(id_)
        assert webhook is not None
        take_up(transaction, webhook)
        found = transaction.list_deliveries(id_, limit=1000).items
    return [(delivery.sequence, delivery.kind) for delivery in reversed(found)]


def attempt(registry: SqlRegistry, delivery: Delivery, outcome: Outcome) -> Delivery | None:
    with registry.writing() as transaction:
        return record(transaction, delivery, outcome, draw=lambda: 0.0, clock=CLOCK)


def events(registry: SqlRegistry) -> list[tuple[str, Any]]:
    with registry.reading() as catalog:
        found = catalog.list_events(after=0, limit=1000)
    return [(event.kind.value, event.detail) for event in found if event.kind.value.startswith("webhook")]


def test_a_new_webhook_is_told_of_what_happens_from_then_on(registry: SqlRegistry, webhooks: Webhooks) -> None:
    happen(registry)
    made = webhooks.create(URL, actor="ada")
    assert webhooks.find(made.webhook.id) == made.webhook
    assert made.text == made.webhook.secret
    happen(registry, EventKind.VERSION_REGISTERED)
    happen(registry, EventKind.TOKEN_REVOKED, model=None)
    assert taken_up(registry, made.webhook.id) == [(3, "version_registered"), (4, "token_revoked")]


def test_events_are_taken_up_once_and_only_those_that_are_wanted(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], models=["iris"], actor="ada").webhook.id
    happen(registry)
    happen(registry, model="fraud")
    happen(registry, EventKind.VERSION_REGISTERED)
    assert [taken_up(registry, id_) for _ in range(2)] == [[(2, "alias_moved")]] * 2
    assert webhooks.find(id_).cursor == 4


def test_a_line_that_is_full_leaves_the_rest_in_the_feed(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id
    happen(registry, times=MOST_WAITING + 5)
    assert len(taken_up(registry, id_)) == MOST_WAITING
    (first, *_) = reversed(webhooks.list_deliveries(id_, limit=1000).items)
    attempt(registry, first, GOOD)
    assert len(taken_up(registry, id_)) == MOST_WAITING + 1
    assert webhooks.find(id_).cursor == MOST_WAITING + 2


def test_changes_hold_for_what_happens_afterwards(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id
    happen(registry)
    happen(registry, EventKind.VERSION_REGISTERED)
    webhooks.change(id_, WebhookChange(kinds=["version_registered"]), actor="ada")
    happen(registry)
    happen(registry, EventKind.VERSION_REGISTERED)
    assert taken_up(registry, id_) == [(2, "alias_moved"), (6, "version_registered")]


def test_what_a_webhook_listens_to_cannot_change_while_more_waits_than_its_line_holds(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id
    happen(registry, times=MOST_WAITING)
    happen(registry, EventKind.VERSION_REGISTERED)
    for change in (WebhookChange(kinds=["version_registered"]), WebhookChange(models=["fraud"])):
        with pytest.raises(Overloaded):
            webhooks.change(id_, change, actor="ada")
    webhooks.change(id_, WebhookChange(url=URL + "/b"), actor="ada")
    webhooks.change(id_, WebhookChange(is_active=False, kinds=["version_registered"]), actor="ada")
    webhooks.change(id_, WebhookChange(is_active=True), actor="ada")
    assert {kind for _, kind in taken_up(registry, id_)} == {"alias_moved"}


def test_what_is_ended_is_trimmed_from_the_log_as_all_that_is_done(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id
    with registry.writing() as transaction:
        for _ in range(MOST_LOGGED + 5):
            transaction.add_delivery(id_, kind="alias_moved", sequence=None, at=NOON)
    webhooks.change(id_, WebhookChange(is_active=False), actor="ada")
    assert len(webhooks.list_deliveries(id_, limit=2 * MOST_LOGGED).items) == MOST_LOGGED


def test_who_is_made_inactive_is_told_nothing_until_made_active_again(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id
    happen(registry)
    webhooks.change(id_, WebhookChange(is_active=False), actor="ada")
    happen(registry)
    webhooks.change(id_, WebhookChange(is_active=True), actor="ada")
    happen(registry)
    assert [sequence for sequence, _ in taken_up(registry, id_)] == [2, 6]
    newest, oldest = webhooks.list_deliveries(id_, limit=10).items
    assert (newest.state, oldest.state, oldest.reason) == (
        DeliveryState.PENDING,
        DeliveryState.FAILED,
        "the webhook was made inactive",
    )


def test_everything_may_change_and_what_is_not_given_stays(webhooks: Webhooks) -> None:
    before = webhooks.create(URL, kinds=["alias_moved"], models=["iris"], actor="ada").webhook
    assert webhooks.change(before.id, WebhookChange(), actor="ada") == replace(before, cursor=1)
    changed = webhooks.change(
        before.id, WebhookChange(url="https://example.org/b", kinds=[], models=["f-*"], needs_secret=True), actor="eve"
    )
    assert changed.secret not in ("", before.secret)
    assert changed == replace(
        before, url="https://example.org/b", kinds=(), models=("f-*",), secret=changed.secret, cursor=changed.cursor
    )
    assert webhooks.find(before.id) == changed


def test_each_change_is_an_event_that_tells_neither_url_nor_secret(registry: SqlRegistry, webhooks: Webhooks) -> None:
    made = webhooks.create(URL, actor="ada")
    id_ = made.webhook.id
    webhooks.change(id_, WebhookChange(url=URL + "/b", needs_secret=True), actor="eve")
    webhooks.change(id_, WebhookChange(), actor="eve")
    webhooks.delete(id_, actor="eve")
    assert events(registry) == [
        ("webhook_created", {"webhook": id_}),
        ("webhook_changed", {"webhook": id_, "changed": ["secret", "url"]}),
        ("webhook_deleted", {"webhook": id_}),
    ]


def test_the_first_failure_after_a_success_is_an_event(registry: SqlRegistry, webhooks: Webhooks) -> None:
    webhook = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook
    happen(registry, times=4)
    taken_up(registry, webhook.id)
    deliveries = list(reversed(webhooks.list_deliveries(webhook.id, limit=10).items))
    is_failing = []
    for delivery, outcome in zip(deliveries, (REFUSED, REFUSED, GOOD, REFUSED), strict=True):
        attempt(registry, delivery, outcome)
        is_failing.append(webhooks.find(webhook.id).is_failing)
    assert is_failing == [True, True, False, True]
    assert events(registry)[1:] == [
        (
            "webhook_failed",
            {"webhook": webhook.id, "delivery": each.id, "sequence": each.sequence, "reason": "answered_410"},
        )
        for each in (deliveries[0], deliveries[3])
    ]


def test_the_event_of_a_failure_tells_nothing_of_where_the_webhook_leads(
    registry: SqlRegistry, webhooks: Webhooks
) -> None:
    webhook = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook
    happen(registry)
    taken_up(registry, webhook.id)
    (delivery,) = webhooks.list_deliveries(webhook.id, limit=10).items
    with registry.writing() as transaction:
        long_ago = transaction.now() - GIVE_UP_AFTER
        transaction.settle_delivery(replace(delivery, attempts=9, first_at=long_ago))
    reason = "'example.org' leads to 10.0.0.1, where webhooks may not go"
    given_up = attempt(registry, delivery, Outcome(seconds=0.1, reason=reason, cause=Cause.NOT_ALLOWED))
    assert given_up is not None
    assert (given_up.state, given_up.reason) == (DeliveryState.FAILED, reason)
    facts = {"webhook": webhook.id, "delivery": delivery.id, "sequence": delivery.sequence, "reason": "not_allowed"}
    assert events(registry)[1:] == [("webhook_failed", facts)]


def test_an_outcome_that_comes_too_late_changes_nothing(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id
    happen(registry)
    taken_up(registry, id_)
    (delivery,) = webhooks.list_deliveries(id_, limit=10).items
    settled = attempt(registry, delivery, GOOD)
    assert attempt(registry, delivery, REFUSED) is None
    assert webhooks.list_deliveries(id_, limit=10).items == (settled,)
    webhooks.delete(id_, actor="ada")
    assert attempt(registry, delivery, GOOD) is None


def test_a_redelivery_is_another_delivery_of_the_same(registry: SqlRegistry, webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook.id
    happen(registry)
    taken_up(registry, id_)
    (old,) = webhooks.list_deliveries(id_, limit=10).items
    attempt(registry, old, REFUSED)
    again = webhooks.redeliver(id_, old.id, actor="eve")
    assert again == replace(
        old, id=again.id, redelivers=old.id, asked_by="eve", created_at=again.created_at, next_at=again.next_at
    )


def test_no_more_is_asked_for_by_hand_than_can_be_done(webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, actor="ada").webhook.id
    for _ in range(MOST_WAITING):
        webhooks.test(id_, actor="ada")
    with pytest.raises(Overloaded):
        webhooks.test(id_, actor="ada")


def test_there_are_so_many_webhooks_and_no_more(webhooks: Webhooks) -> None:
    made = [webhooks.create(URL, actor="ada").webhook for _ in range(MOST_WEBHOOKS)]
    with pytest.raises(TooManyWebhooks):
        webhooks.create(URL, actor="ada")
    webhooks.delete(made[0].id, actor="ada")
    webhooks.create(URL, actor="ada")


def test_what_is_not_there_is_not_found(webhooks: Webhooks) -> None:
    id_ = webhooks.create(URL, actor="ada").webhook.id
    with pytest.raises(DeliveryNotFound):
        webhooks.redeliver(id_, 7, actor="ada")
    for ask in (
        lambda: webhooks.find("nosuch"),
        lambda: webhooks.change("nosuch", WebhookChange(is_active=False), actor="ada"),
        lambda: webhooks.delete("nosuch", actor="ada"),
        lambda: webhooks.test("nosuch", actor="ada"),
        lambda: webhooks.list_deliveries("nosuch", limit=1),
    ):
        with pytest.raises(WebhookNotFound):
            ask()


def test_what_cannot_be_is_refused_before_anything_is_written(registry: SqlRegistry, webhooks: Webhooks) -> None:
    refused: list[tuple[type[Exception], dict[str, Any]]] = [
        (UrlNotAllowed, {"url": "ftp://example.org"}),
        (UrlNotAllowed, {"url": "https://127.0.0.1/"}),
        (InvalidRequest, {"url": URL, "kinds": ["nosuch"]}),
        (InvalidRequest, {"url": URL, "models": ["A B"]}),
    ]
    for error, asked in refused:
        with pytest.raises(error):
            webhooks.create(**asked, actor="ada")
    assert (webhooks.list_all(), events(registry)) == ([], [])


def test_the_log_shows_when_a_delivery_is_tried_next(registry: SqlRegistry, webhooks: Webhooks) -> None:
    webhook: Webhook = webhooks.create(URL, kinds=["alias_moved"], actor="ada").webhook
    happen(registry)
    taken_up(registry, webhook.id)
    (delivery,) = webhooks.list_deliveries(webhook.id, limit=10).items
    tried = attempt(registry, delivery, Outcome(seconds=3, reason="timed out"))
    assert tried is not None
    assert tried.attempted_at is not None
    assert (tried.state, tried.next_at - tried.attempted_at) == (DeliveryState.PENDING, timedelta(seconds=0.5))
