"""What webhooks need of the registry's database, beside what everybody does."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from registry.ports import Catalog, Transaction
from registry.records import Page
from registry.webhook import Delivery, Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who does what only one may do, and until when."""

    holder: str
    until: datetime
    """By the database's clock."""


class WebhookCatalog(Catalog, Protocol):
    """What can be read of webhooks, at one moment."""

    def find_webhook(self, id_: str) -> Webhook | None:
        """Return the webhook, or None."""
        ...

    def list_webhooks(self) -> Sequence[Webhook]:
        """Return all webhooks (there are few), in the order of their making."""
        ...

    def find_delivery(self, webhook: str, id_: int) -> Delivery | None:
        """Return one delivery of a webhook, or None."""
        ...

    def list_deliveries(self, webhook: str, *, limit: int, after: int | None = None) -> Page[Delivery]:
        """Return a webhook's deliveries, newest first."""
        ...

    def list_due(self, *, at: datetime, limit: int) -> Sequence[Delivery]:
        """Return what is to be sent now, what has been due for longest first.

        That is of each webhook at most two: the first in its line, if it is active, and the first that is due of what
        was asked for by hand.
        """
        ...

    def count_waiting(self, webhook: str, *, is_by_hand: bool = False) -> int:
        """Return how many deliveries stand in a webhook's line, or were asked for by hand and are not done."""
        ...

    def find_lease(self, name: str) -> Lease | None:
        """Return who had a lease last, or None."""
        ...


class WebhookTransaction(WebhookCatalog, Transaction, Protocol):
    """What can be written of webhooks."""

    def add_webhook(self, webhook: Webhook) -> None:
        """Add a webhook."""
        ...

    def replace_webhook(self, webhook: Webhook) -> None:
        """Replace everything of a webhook but its id and who made it when; does nothing if it is gone."""
        ...

    def delete_webhook(self, id_: str) -> None:
        """Forget a webhook and its deliveries."""
        ...

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
        ...

    def settle_delivery(self, delivery: Delivery) -> None:
        """Replace what has become of a delivery that was pending."""
        ...

    def end_waiting(self, webhook: str, *, reason: str, at: datetime) -> None:
        """Have every delivery in a webhook's line fail."""
        ...

    def trim_deliveries(self, webhook: str, *, keep: int) -> None:
        """Forget the oldest deliveries that are done, so that no more than ``keep`` of those are left."""
        ...

    def take_lease(self, name: str, holder: str, *, seconds: float) -> bool:
        """Have a lease from now on for so long, if nobody else has it; return whether that is so."""
        ...

    def drop_lease(self, name: str, holder: str) -> None:
        """Let others have a lease at once; does nothing if somebody else has it."""
        ...


class WebhookRegistry(Protocol):
    """The database, as those see it who have to do with webhooks."""

    def reading(self) -> AbstractContextManager[WebhookCatalog]:
        """Open a consistent view for reading; see ``registry.ports.Registry``."""
        ...

    def writing(self) -> AbstractContextManager[WebhookTransaction]:
        """Open a transaction that holds the writers' lock; see ``registry.ports.Registry``."""
        ...
