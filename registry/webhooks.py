"""Webhooks: making, changing and ending them, and what becomes of their deliveries.

Rules:
    1. The secret leaves with the answer that made it. It is kept as it is, since it has to sign; nothing shows it
       again.
    2. A new webhook is told of what happens from then on, and so is one that is made active again.
    3. What is changed about whom a webhook listens to holds for events that come after the change. While its line is
       full and events wait behind it in the feed, which have no delivery yet, it cannot be changed.
    4. Each change is an event of the feed, which names the webhook by its id and never tells its URL or its secret.
       Nor does the event of a failure: why it failed is told by a category, and in full by the log of deliveries.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from registry.errors import DeliveryNotFound, Overloaded, TooManyWebhooks, WebhookNotFound
from registry.events import EventKind
from registry.names import quoted
from registry.ports import Clock
from registry.records import Page
from registry.webhook import (
    MOST_LOGGED,
    MOST_WAITING,
    MOST_WEBHOOKS,
    PING,
    Delivery,
    DeliveryState,
    Outcome,
    Webhook,
    after,
    check_kinds,
    check_patterns,
    check_url,
    draw_id,
    draw_secret,
)
from registry.webhook_ports import WebhookCatalog, WebhookRegistry, WebhookTransaction

_EVENTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """A webhook whose secret has just been drawn."""

    webhook: Webhook
    text: str = field(repr=False)
    """What the receiver checks signatures with; to be shown once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChange:
    """What is to be changed about a webhook; None leaves it."""

    url: str | None = None
    kinds: Collection[str] | None = None
    models: Collection[str] | None = None
    is_active: bool | None = None
    needs_secret: bool = False
    """True to draw a new secret; the old one signs nothing any more."""


class Webhooks:
    """Makes, changes, lists and ends webhooks; safe for threads.

    Args:
        registry: where they are kept.
        clock: for events.
        check_place: does nothing for a URL that may be connected to, and raises UrlNotAllowed for any other one; may
            take seconds.
    """

    def __init__(self, registry: WebhookRegistry, clock: Clock, *, check_place: Callable[[str], None]) -> None:
        self._registry = registry
        self._clock = clock
        self._check_place = check_place

    def create(
        self,
        url: str,
        *,
        actor: str,
        kinds: Collection[str] = (),
        models: Collection[str] = (),
        is_active: bool = True,
    ) -> NewSecret:
        """Make a webhook and return it with its secret.

        Args:
            url: where events are sent to.
            actor: who makes it.
            kinds: of the events that it is told of; none for all.
            models: names and patterns of names that the events are about; none for all events.
            is_active: False has it wait until it is changed.

        Raises:
            UrlNotAllowed: the URL is malformed, or leads where none may lead.
            InvalidRequest: there is no such kind, or a pattern is malformed.
            TooManyWebhooks: there are as many as there may be.
        """
        kinds, models, secret = check_kinds(kinds), check_patterns(models), draw_secret()
        self._check_place(check_url(url))
        at = self._clock.now()
        with self._registry.writing() as transaction:
            if len(transaction.list_webhooks()) >= MOST_WEBHOOKS:
                raise TooManyWebhooks(f"there are {MOST_WEBHOOKS} webhooks already: delete one that is not needed")
            webhook = Webhook(
                id=draw_id(),
                url=url,
                kinds=kinds,
                models=models,
                secret=secret,
                is_active=is_active,
                is_failing=False,
                cursor=transaction.latest_sequence(),
                created_at=at,
                created_by=actor,
            )
            transaction.add_webhook(webhook)
            _note(transaction, EventKind.WEBHOOK_CREATED, webhook, actor=actor, clock=self._clock)
        return NewSecret(webhook=webhook, text=secret)

    def change(self, id_: str, change: WebhookChange, *, actor: str) -> Webhook:
        """Change a webhook and return it; its secret may be a new one then.

        Raises:
            WebhookNotFound: there is no such webhook.
            UrlNotAllowed, InvalidRequest: as for ``create``.
            Overloaded: it is to listen to others, while more waits for it than its line holds.
        """
        wishes = _wishes(change)
        if change.url is not None:
            self._check_place(check_url(change.url))
        with self._registry.writing() as transaction:
            before = _one(transaction, id_)
            if before.is_active:
                before = take_up(transaction, before)
            changed = replace(before, **wishes)
            if changed == before:
                return before
            if before.is_active and changed.is_active and _listening(before) != _listening(changed):
                _check_taken_up(transaction, before)
            if before.is_active and not changed.is_active:
                transaction.end_waiting(id_, reason="the webhook was made inactive", at=transaction.now())
                transaction.trim_deliveries(id_, keep=MOST_LOGGED)
            if changed.is_active and not before.is_active:
                changed = replace(changed, cursor=transaction.latest_sequence(), is_failing=False)
            transaction.replace_webhook(changed)
            detail = {"changed": sorted(wishes)}
            _note(transaction, EventKind.WEBHOOK_CHANGED, changed, actor=actor, clock=self._clock, **detail)
            return changed

    def delete(self, id_: str, *, actor: str) -> None:
        """Forget a webhook and all its deliveries.

        Raises:
            WebhookNotFound: there is no such webhook.
        """
        with self._registry.writing() as transaction:
            webhook = _one(transaction, id_)
            transaction.delete_webhook(id_)
            _note(transaction, EventKind.WEBHOOK_DELETED, webhook, actor=actor, clock=self._clock)

    def find(self, id_: str) -> Webhook:
        """Return a webhook.

        Raises:
            WebhookNotFound: there is no such webhook.
        """
        with self._registry.reading() as catalog:
            return _one(catalog, id_)

    def list_all(self) -> Sequence[Webhook]:
        """Return all webhooks, in the order of their making."""
        with self._registry.reading() as catalog:
            return catalog.list_webhooks()

    def list_deliveries(self, id_: str, *, limit: int, after: int | None = None) -> Page[Delivery]:
        """Return a webhook's log, newest first.

        Raises:
            WebhookNotFound: there is no such webhook.
        """
        with self._registry.reading() as catalog:
            _one(catalog, id_)
            return catalog.list_deliveries(id_, limit=limit, after=after)

    def redeliver(self, id_: str, delivery: int, *, actor: str) -> Delivery:
        """Have something delivered once more, beside the line, and return the new delivery.

        Raises:
            WebhookNotFound, DeliveryNotFound: there is none, or the log has forgotten it.
            Overloaded: too many that were asked for before are not done.
        """
        with self._registry.writing() as transaction:
            _one(transaction, id_)
            old = transaction.find_delivery(id_, delivery)
            if old is None:
                raise DeliveryNotFound(f"webhook {quoted(id_)} has no delivery {delivery} in its log")
            _check_turn(transaction, id_)
            return transaction.add_delivery(
                id_, kind=old.kind, sequence=old.sequence, at=transaction.now(), redelivers=old.id, asked_by=actor
            )

    def test(self, id_: str, *, actor: str) -> Delivery:
        """Have a ping delivered, once and beside the line, and return the delivery.

        Raises:
            WebhookNotFound: there is no such webhook.
            Overloaded: too many that were asked for before are not done.
        """
        with self._registry.writing() as transaction:
            _one(transaction, id_)
            _check_turn(transaction, id_)
            return transaction.add_delivery(id_, kind=PING, sequence=None, at=transaction.now(), asked_by=actor)


def take_up(transaction: WebhookTransaction, webhook: Webhook) -> Webhook:
    """Write down the deliveries of what has happened since the webhook's cursor, and return it with the new one.

    No more than its line may hold: what is beyond waits in the feed.
    """
    places = MOST_WAITING - transaction.count_waiting(webhook.id)
    cursor, at = webhook.cursor, transaction.now()
    while places > 0:
        events = transaction.list_events(after=cursor, limit=_EVENTS_AT_ONCE)
        for event in events:
            if places == 0:
                break
            if webhook.wants(event):
                transaction.add_delivery(webhook.id, kind=event.kind.value, sequence=event.sequence, at=at)
                places -= 1
            cursor = event.sequence
        if len(events) < _EVENTS_AT_ONCE:
            break
    moved = replace(webhook, cursor=cursor)
    if cursor != webhook.cursor:
        transaction.replace_webhook(moved)
    return moved


def record(
    transaction: WebhookTransaction, delivery: Delivery, outcome: Outcome, *, draw: Callable[[], float], clock: Clock
) -> Delivery | None:
    """Write down what became of an attempt, and return the delivery as it is now; None if it is gone or done already.

    The first delivery that is given up after a good one is an event.
    """
    webhook = transaction.find_webhook(delivery.webhook)
    known = transaction.find_delivery(delivery.webhook, delivery.id)
    if webhook is None or known is None or known.state is not DeliveryState.PENDING:
        return None
    settled = after(known, outcome, now=transaction.now(), draw=draw)
    transaction.settle_delivery(settled)
    if settled.state is DeliveryState.PENDING:
        return settled
    transaction.trim_deliveries(webhook.id, keep=MOST_LOGGED)
    is_failing = settled.state is DeliveryState.FAILED
    if settled.kind != PING and is_failing != webhook.is_failing:
        transaction.replace_webhook(replace(webhook, is_failing=is_failing))
        if is_failing:
            facts = {"delivery": settled.id, "sequence": settled.sequence, "reason": outcome.category}
            _note(transaction, EventKind.WEBHOOK_FAILED, webhook, actor="gateway", clock=clock, **facts)
    return settled


def _wishes(change: WebhookChange) -> dict[str, Any]:
    wishes = {
        "url": change.url,
        "kinds": None if change.kinds is None else check_kinds(change.kinds),
        "models": None if change.models is None else check_patterns(change.models),
        "is_active": change.is_active,
        "secret": draw_secret() if change.needs_secret else None,
    }
    return {name: wish for name, wish in wishes.items() if wish is not None}


def _one(catalog: WebhookCatalog, id_: str) -> Webhook:
    webhook = catalog.find_webhook(id_)
    if webhook is None:
        raise WebhookNotFound(f"there is no webhook {quoted(id_)}: 'sardonyx webhook list' shows their ids")
    return webhook


def _check_turn(catalog: WebhookCatalog, id_: str) -> None:
    if catalog.count_waiting(id_, is_by_hand=True) >= MOST_WAITING:
        raise Overloaded(f"{MOST_WAITING} deliveries that were asked for by hand are not done", retry_after_seconds=30)


def _listening(webhook: Webhook) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return webhook.kinds, webhook.models


def _check_taken_up(catalog: WebhookCatalog, webhook: Webhook) -> None:
    """Do nothing if every event up to now has a delivery, or was not wanted."""
    if webhook.cursor < catalog.latest_sequence():
        raise Overloaded(
            f"{MOST_WAITING} deliveries wait for the webhook, and events behind them that are to be told as it is: "
            "change what it listens to later, or make it inactive first, which ends them",
            retry_after_seconds=30,
        )


def _note(
    transaction: WebhookTransaction, kind: EventKind, webhook: Webhook, *, actor: str, clock: Clock, **facts: Any
) -> None:
    transaction.add_event(kind, model=None, actor=actor, at=clock.now(), detail={"webhook": webhook.id, **facts})
