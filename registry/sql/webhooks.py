"""What the registry's database is asked about webhooks, and what is written about them.

A lease is taken by one statement that compares and sets, on the database's clock: whoever changes the row has it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select, update

from registry.records import Page
from registry.sql.engine import database_time
from registry.sql.tables import leases, webhook_deliveries, webhooks
from registry.webhook import Delivery, DeliveryState, Webhook
from registry.webhook_ports import Lease

_PENDING = webhook_deliveries.c.state == DeliveryState.PENDING.value
_IN_LINE = and_(_PENDING, webhook_deliveries.c.asked_by.is_(None))
_BY_HAND = and_(_PENDING, webhook_deliveries.c.asked_by.is_not(None))


class WebhookQueries:
    """The part of a catalog that is about webhooks."""

    _connection: Connection

    def find_webhook(self, id_: str) -> Webhook | None:
        """Return the webhook, or None."""
        row = self._connection.execute(select(webhooks).where(webhooks.c.id == id_)).mappings().first()
        return None if row is None else _webhook_of(row)

    def list_webhooks(self) -> Sequence[Webhook]:
        """Return all webhooks, in the order of their making."""
        rows = self._connection.execute(select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id)).mappings()
        return [_webhook_of(row) for row in rows]

    def find_delivery(self, webhook: str, id_: int) -> Delivery | None:
        """Return one delivery of a webhook, or None."""
        table = webhook_deliveries
        statement = select(table).where(table.c.webhook == webhook, table.c.id == id_)
        row = self._connection.execute(statement).mappings().first()
        return None if row is None else _delivery_of(row)

    def list_deliveries(self, webhook: str, *, limit: int, after: int | None = None) -> Page[Delivery]:
        """Return a webhook's deliveries, newest first."""
        table = webhook_deliveries
        statement = select(table).where(table.c.webhook == webhook).order_by(table.c.id.desc()).limit(limit + 1)
        if after is not None:
            statement = statement.where(table.c.id < after)
        found = [_delivery_of(row) for row in self._connection.execute(statement).mappings()]
        return Page(items=tuple(found[:limit]), next=str(found[limit - 1].id) if len(found) > limit else None)

    def list_due(self, *, at: datetime, limit: int) -> Sequence[Delivery]:
        """Return what is to be sent now, what has been due for longest first; see ``registry.webhook_ports``."""
        table = webhook_deliveries
        is_due = and_(_PENDING, table.c.next_at <= at)
        is_active = table.c.webhook.in_(select(webhooks.c.id).where(webhooks.c.is_active))
        in_line = select(func.min(table.c.id)).where(_IN_LINE, is_active).group_by(table.c.webhook)
        by_hand = select(func.min(table.c.id)).where(_BY_HAND, is_due).group_by(table.c.webhook)
        statement = select(table).where(is_due, or_(table.c.id.in_(in_line), table.c.id.in_(by_hand)))
        rows = self._connection.execute(statement.order_by(table.c.next_at, table.c.id).limit(limit)).mappings()
        return [_delivery_of(row) for row in rows]

    def count_waiting(self, webhook: str, *, is_by_hand: bool = False) -> int:
        """Return how many deliveries stand in a webhook's line, or were asked for by hand and are not done."""
        which = _BY_HAND if is_by_hand else _IN_LINE
        statement = select(func.count()).where(webhook_deliveries.c.webhook == webhook, which)
        return self._connection.execute(statement).scalar_one()

    def find_lease(self, name: str) -> Lease | None:
        """Return who had a lease last, or None."""
        row = self._connection.execute(select(leases).where(leases.c.name == name)).mappings().first()
        return None if row is None else Lease(holder=row["holder"], until=row["until"])


class WebhookStatements:
    """The part of a transaction that is about webhooks."""

    _connection: Connection

    def add_webhook(self, webhook: Webhook) -> None:
        """Add a webhook."""
        self._connection.execute(insert(webhooks).values(_row_of(webhook)))

    def replace_webhook(self, webhook: Webhook) -> None:
        """Replace everything of a webhook but its id and who made it when; does nothing if it is gone."""
        fixed = ("id", "created_at", "created_by")
        row = {name: value for name, value in _row_of(webhook).items() if name not in fixed}
        self._connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(row))

    def delete_webhook(self, id_: str) -> None:
        """Forget a webhook and its deliveries."""
        self._connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.webhook == id_))
        self._connection.execute(delete(webhooks).where(webhooks.c.id == id_))

    def add_delivery(
        self,
        webhook: str,
        *,
        kind: str,
        sequence: int | None,
        at: datetime,
        redelivers: int | None = None,
        asked_by: str | None = None,
    ) -> Delivery:
        """Add what is to be sent, and return it."""
        row: dict[str, Any] = {
            "webhook": webhook,
            "sequence": sequence,
            "kind": kind,
            "redelivers": redelivers,
            "asked_by": asked_by,
            "attempts": 0,
            "status": None,
            "reason": "",
            "seconds": None,
            "created_at": at,
            "first_at": None,
            "attempted_at": None,
            "next_at": at,
        }
        state = DeliveryState.PENDING
        added = self._connection.execute(insert(webhook_deliveries).values({**row, "state": state.value}))
        key = added.inserted_primary_key
        if key is None:  # one row with a key that the database numbers always comes back with it
            raise AssertionError(webhook)
        return Delivery(id=int(key[0]), state=state, **row)

    def settle_delivery(self, delivery: Delivery) -> None:
        """Replace what has become of a delivery that was pending."""
        changed = ("attempts", "status", "reason", "seconds", "first_at", "attempted_at", "next_at")
        row = {name: getattr(delivery, name) for name in changed} | {"state": delivery.state.value}
        here = and_(webhook_deliveries.c.id == delivery.id, _PENDING)
        self._connection.execute(update(webhook_deliveries).where(here).values(row))

    def end_waiting(self, webhook: str, *, reason: str, at: datetime) -> None:
        """Have every delivery in a webhook's line fail."""
        row = {"state": DeliveryState.FAILED.value, "reason": reason, "next_at": at}
        here = and_(webhook_deliveries.c.webhook == webhook, _IN_LINE)
        self._connection.execute(update(webhook_deliveries).where(here).values(row))

    def trim_deliveries(self, webhook: str, *, keep: int) -> None:
        """Forget the oldest deliveries that are done, so that no more than ``keep`` of those are left."""
        table = webhook_deliveries
        done = and_(table.c.webhook == webhook, table.c.state != DeliveryState.PENDING.value)
        newest_too_many = select(table.c.id).where(done).order_by(table.c.id.desc()).offset(keep).limit(1)
        last = self._connection.scalar(newest_too_many)
        if last is not None:
            self._connection.execute(delete(table).where(done, table.c.id <= last))

    def take_lease(self, name: str, holder: str, *, seconds: float) -> bool:
        """Have a lease from now on for so long, if nobody else has it; return whether that is so."""
        now = database_time(self._connection)
        until = now + timedelta(seconds=seconds)
        mine_or_nobodys = and_(leases.c.name == name, or_(leases.c.holder == holder, leases.c.until <= now))
        taken = self._connection.execute(update(leases).where(mine_or_nobodys).values(holder=holder, until=until))
        if taken.rowcount:
            return True
        is_there = self._connection.scalar(select(leases.c.name).where(leases.c.name == name)) is not None
        if not is_there:
            self._connection.execute(insert(leases).values(name=name, holder=holder, until=until))
        return not is_there

    def drop_lease(self, name: str, holder: str) -> None:
        """Let others have a lease at once; does nothing if somebody else has it."""
        self._connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


def _webhook_of(row: RowMapping) -> Webhook:
    return Webhook(**{**row, "kinds": tuple(row["kinds"]), "models": tuple(row["models"])})


def _row_of(webhook: Webhook) -> dict[str, Any]:
    row = {column.name: getattr(webhook, column.name) for column in webhooks.columns}
    return {**row, "kinds": list(webhook.kinds), "models": list(webhook.models)}


def _delivery_of(row: RowMapping) -> Delivery:
    return Delivery(**{**row, "state": DeliveryState(row["state"])})
