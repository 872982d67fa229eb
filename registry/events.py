"""The kinds of rows in the change feed, which is also the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What has happened."""

    MODEL_CHANGED = "model_changed"
    MODEL_LOADED = "model_loaded"
    MODEL_UNLOADED = "model_unloaded"
    VERSION_REGISTERED = "version_registered"
    VERSION_CHANGED = "version_changed"
    VERSION_RETIRED = "version_retired"
    VERSION_CRASHED = "version_crashed"
    VERSION_ISOLATED = "version_isolated"
    VERSION_QUARANTINED = "version_quarantined"
    VERSION_CLEARED = "version_cleared"
    ALIAS_MOVED = "alias_moved"
    TOKEN_CREATED = "token_created"  # noqa: S105 - the name of what happened
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - as above
    ACCESS_DENIED = "access_denied"
    WEBHOOK_CREATED = "webhook_created"
    WEBHOOK_CHANGED = "webhook_changed"
    WEBHOOK_DELETED = "webhook_deleted"
    WEBHOOK_FAILED = "webhook_failed"

    @classmethod
    def _missing_(cls, value: object) -> "EventKind":
        """Return a kind that a later release has written: to be shown, and to be passed over."""
        kind = str.__new__(cls, value)
        kind._name_ = str(value).upper()
        kind._value_ = str(value)
        return kind


ABOUT_A_TOKEN = frozenset({EventKind.TOKEN_CREATED, EventKind.TOKEN_REVOKED})
"""The kinds that change whose token is good."""

ABOUT_A_WEBHOOK = frozenset(
    {EventKind.WEBHOOK_CREATED, EventKind.WEBHOOK_CHANGED, EventKind.WEBHOOK_DELETED, EventKind.WEBHOOK_FAILED}
)
"""The kinds that no webhook is told of: a failure to tell would be something to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the feed; ``sequence`` grows in the order of commits."""

    sequence: int
    kind: EventKind
    model: str | None
    """None for what is about no model: an access token, an attempt that was denied."""
    version: int | None
    alias: str | None
    actor: str
    at: datetime
    detail: Mapping[str, Any]
    """What the kind adds: the changed fields, or an alias's from, to and kind of move, a token's id and name,
    what was denied, how a process died, why a version runs where it runs, a webhook's id and what of it changed."""
