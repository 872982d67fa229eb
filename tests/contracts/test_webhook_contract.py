"""What every database keeps of webhooks, of their deliveries, and of who has a lease."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from registry.records import Page
from registry.webhook import Delivery, DeliveryState, Webhook
from registry.webhook_ports import WebhookRegistry
from tests.support.registries import DATABASES, NOON, fresh_registry

LATER = NOON + timedelta(minutes=1)
A = Webhook(
    id="a",
    url="https://example.org/a",
    kinds=("alias_moved",),
    models=("iris", "fraud-*"),
    secret="whsec_a",  # noqa: S106 - an example
    is_active=True,
    is_failing=False,
    cursor=3,
    created_at=LATER,
    created_by="ada",
)
B = replace(A, id="b", kinds=(), models=(), created_at=NOON)


@pytest.fixture(params=list(DATABASES))
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WebhookRegistry]:
    with fresh_registry(tmp_path, DATABASES[request.param]) as opened:
        with opened.writing() as transaction:
            transaction.add_webhook(A)
            transaction.add_webhook(B)
        yield opened


def add(registry: WebhookRegistry, webhook: str, *, asked_by: str | None = None) -> Delivery:
    with registry.writing() as transaction:
        return transaction.add_delivery(webhook, kind="alias_moved", sequence=4, at=NOON, asked_by=asked_by)


def settle(registry: WebhookRegistry, delivery: Delivery) -> None:
    with registry.writing() as transaction:
        transaction.settle_delivery(delivery)


def due(registry: WebhookRegistry) -> list[int]:
    with registry.reading() as catalog:
        return [delivery.id for delivery in catalog.list_due(at=NOON, limit=10)]


def test_webhooks_come_back_whole_in_the_order_of_their_making(registry: WebhookRegistry) -> None:
    with registry.reading() as catalog:
        assert catalog.list_webhooks() == [B, A]
        assert (catalog.find_webhook("a"), catalog.find_webhook("nosuch")) == (A, None)


def test_a_webhook_is_replaced_but_for_who_made_it(registry: WebhookRegistry) -> None:
    changed = replace(B, url="https://example.org/c", secret="whsec_c", is_active=False, is_failing=True, cursor=9)  # noqa: S106
    with registry.writing() as transaction:
        transaction.replace_webhook(replace(changed, created_by="eve"))
        transaction.replace_webhook(replace(changed, id="nosuch"))
    with registry.reading() as catalog:
        assert catalog.list_webhooks() == [changed, A]


def test_a_webhook_goes_with_its_deliveries_and_no_number_is_given_twice(registry: WebhookRegistry) -> None:
    add(registry, "a")
    last = add(registry, "a")
    with registry.writing() as transaction:
        transaction.delete_webhook("a")
    with registry.reading() as catalog:
        assert (catalog.list_webhooks(), catalog.find_delivery("a", last.id)) == ([B], None)
    assert add(registry, "b").id > last.id


def test_a_delivery_comes_back_as_it_was_settled_once(registry: WebhookRegistry) -> None:
    delivery = add(registry, "a")
    failed = replace(
        delivery,
        state=DeliveryState.FAILED,
        attempts=3,
        status=410,
        reason="answered 410",
        seconds=0.25,
        first_at=NOON,
        attempted_at=LATER,
        next_at=LATER,
    )
    settle(registry, failed)
    settle(registry, replace(delivery, state=DeliveryState.DELIVERED))
    with registry.reading() as catalog:
        assert catalog.find_delivery("a", delivery.id) == failed
        assert catalog.find_delivery("b", delivery.id) is None


def test_the_log_is_read_from_the_newest(registry: WebhookRegistry) -> None:
    first, second, third = (add(registry, "a") for _ in range(3))
    add(registry, "b")
    with registry.reading() as catalog:
        assert catalog.list_deliveries("a", limit=2) == Page(items=(third, second), next=str(second.id))
        assert catalog.list_deliveries("a", limit=2, after=second.id) == Page(items=(first,), next=None)


def test_the_first_of_each_line_is_due_and_what_was_asked_for_by_hand(registry: WebhookRegistry) -> None:
    a, _behind, b, by_hand = (
        add(registry, "a"),
        add(registry, "a"),
        add(registry, "b"),
        add(registry, "a", asked_by="x"),
    )
    assert due(registry) == [a.id, b.id, by_hand.id]
    settle(registry, replace(a, attempts=1, next_at=LATER))
    assert due(registry) == [b.id, by_hand.id], "whoever stands behind one that waits, waits as well"


def test_what_is_due_for_longest_comes_first_and_of_what_was_asked_for_one_of_each_webhook(
    registry: WebhookRegistry,
) -> None:
    of_a = [add(registry, "a", asked_by="x") for _ in range(3)]
    of_b = [add(registry, "b", asked_by="x") for _ in range(2)]
    in_line = add(registry, "b")
    assert due(registry) == [of_a[0].id, of_b[0].id, in_line.id]
    settle(registry, replace(of_a[0], attempts=1, next_at=LATER))
    settle(registry, replace(of_b[0], attempts=1, next_at=NOON - timedelta(minutes=1)))
    assert due(registry) == [of_b[0].id, of_a[1].id, in_line.id]


def test_what_is_done_lets_the_next_one_be_due(registry: WebhookRegistry) -> None:
    first, second = add(registry, "a"), add(registry, "a")
    settle(registry, replace(first, state=DeliveryState.DELIVERED))
    assert due(registry) == [second.id]


def test_an_inactive_webhook_has_nothing_due_but_what_is_asked_for(registry: WebhookRegistry) -> None:
    add(registry, "a")
    by_hand = add(registry, "a", asked_by="ada")
    with registry.writing() as transaction:
        transaction.replace_webhook(replace(A, is_active=False))
    assert due(registry) == [by_hand.id]


def test_a_line_is_counted_and_ended_without_what_was_asked_for(registry: WebhookRegistry) -> None:
    waiting, done, by_hand, other = (
        add(registry, "a"),
        add(registry, "a"),
        add(registry, "a", asked_by="x"),
        add(registry, "b"),
    )
    settle(registry, replace(done, state=DeliveryState.DELIVERED))
    with registry.writing() as transaction:
        assert (transaction.count_waiting("a"), transaction.count_waiting("a", is_by_hand=True)) == (1, 1)
        transaction.end_waiting("a", reason="ended", at=LATER)
        assert (transaction.count_waiting("a"), transaction.count_waiting("b")) == (0, 1)
        ended = transaction.find_delivery("a", waiting.id)
    assert ended == replace(waiting, state=DeliveryState.FAILED, reason="ended", next_at=LATER)
    assert due(registry) == [by_hand.id, other.id]


def test_the_log_forgets_the_oldest_that_are_done(registry: WebhookRegistry) -> None:
    pending = add(registry, "a")
    done = [add(registry, "a") for _ in range(4)]
    for delivery in done:
        settle(registry, replace(delivery, state=DeliveryState.DELIVERED))
    with registry.writing() as transaction:
        transaction.trim_deliveries("a", keep=2)
        transaction.trim_deliveries("b", keep=2)
        left = transaction.list_deliveries("a", limit=10).items
    assert [delivery.id for delivery in left] == [done[3].id, done[2].id, pending.id]


def take(registry: WebhookRegistry, holder: str, *, seconds: float = 60.0) -> bool:
    with registry.writing() as transaction:
        return transaction.take_lease("webhooks", holder, seconds=seconds)


def test_a_lease_is_its_holders_until_it_ends(registry: WebhookRegistry) -> None:
    assert [take(registry, "one"), take(registry, "two"), take(registry, "one", seconds=0)] == [True, False, True]
    assert [take(registry, "two"), take(registry, "one")] == [True, False]
    with registry.reading() as catalog:
        lease, now = catalog.find_lease("webhooks"), catalog.now()
        assert catalog.find_lease("nosuch") is None
    assert lease is not None
    assert (lease.holder, timedelta(seconds=30) < lease.until - now <= timedelta(seconds=60)) == ("two", True)


def test_a_lease_that_is_dropped_is_anybodys(registry: WebhookRegistry) -> None:
    take(registry, "one")
    for holder, is_free in (("two", False), ("one", True)):
        with registry.writing() as transaction:
            transaction.drop_lease("webhooks", holder)
        with registry.reading() as catalog:
            assert (catalog.find_lease("webhooks") is None) is is_free


def test_of_many_who_take_a_lease_at_once_one_has_it(registry: WebhookRegistry) -> None:
    together = Barrier(6)

    def try_to_take(number: int) -> bool:
        together.wait(timeout=10)
        return take(registry, str(number))

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(try_to_take, range(6))) == [False] * 5 + [True]
