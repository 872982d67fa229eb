"""The wire types of webhooks: what is asked of them, and how they and their deliveries are written."""

from typing import Annotated, Any

from pydantic import Field

from gateway.web.schemas import Body, timestamp
from registry.webhook import LONGEST_URL, TELLABLE_KINDS, Delivery, DeliveryState, Webhook
from registry.webhooks import WebhookChange

LONGEST_PATTERN = 128
"""Of a pattern's signs; a list has no more patterns than that, either."""

Kinds = Annotated[list[str], Field(max_length=len(TELLABLE_KINDS), examples=[["alias_moved", "version_registered"]])]
Patterns = Annotated[str | list[str], Field(max_length=LONGEST_PATTERN, examples=["fraud-*", ["iris", "fraud-*"]])]


class WebhookBody(Body):
    """Makes a webhook."""

    url: str = Field(min_length=1, max_length=LONGEST_URL, examples=["https://example.org/sardonyx"])
    kinds: Kinds = Field(default_factory=list)
    """Of the events that it is told of; absent or empty: all."""
    models: Patterns = Field(default_factory=list)
    """A name, a pattern of names, or several; absent or empty: all events, those about no model too."""
    active: bool = True


class WebhookChangeBody(Body):
    """What is to be changed about a webhook; what is absent stays."""

    url: str | None = Field(default=None, min_length=1, max_length=LONGEST_URL)
    kinds: Kinds | None = None
    models: Patterns | None = None
    active: bool | None = None
    new_secret: bool = False
    """Draws another secret, which the answer shows; the old one signs nothing any more."""

    def as_change(self) -> WebhookChange:
        """Return what is asked for."""
        return WebhookChange(
            url=self.url,
            kinds=self.kinds,
            models=None if self.models is None else listed(self.models),
            is_active=self.active,
            needs_secret=self.new_secret,
        )


def listed(models: str | list[str]) -> list[str]:
    """Return the patterns that were sent, one or several."""
    return [models] if isinstance(models, str) else models


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook as the wire has it: nothing of its secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "kinds": list(webhook.kinds),
        "models": list(webhook.models),
        "active": webhook.is_active,
        "failing": webhook.is_failing,
        "cursor": webhook.cursor,
        "created_at": timestamp(webhook.created_at),
        "created_by": webhook.created_by,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as the wire has it."""
    is_pending = delivery.state is DeliveryState.PENDING
    return {
        "id": delivery.id,
        "webhook": delivery.webhook,
        "sequence": delivery.sequence,
        "kind": delivery.kind,
        "redelivers": delivery.redelivers,
        "asked_by": delivery.asked_by,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "reason": delivery.reason,
        "seconds": delivery.seconds,
        "created_at": timestamp(delivery.created_at),
        "attempted_at": None if delivery.attempted_at is None else timestamp(delivery.attempted_at),
        "next_at": timestamp(delivery.next_at) if is_pending else None,
    }
