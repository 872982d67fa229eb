"""Webhooks as values: who is told which events, what a delivery is, and what becomes of it after each attempt.

Rules:
    1. The change feed is the truth. A webhook has a cursor into it: each event up to there has a delivery, or was not
       asked for. A delivery's body is made of its event whenever it is sent, so that nothing is kept twice.
    2. Deliveries of one webhook are sent in the order of their events, each when the one before it has been taken or
       given up. What somebody asks for by hand (a test, a redelivery) stands in no line, but is sent when nothing else
       is being sent to that webhook: nobody takes more than one thread of those that send.
    3. 2xx is success. 429, 5xx and whatever is no answer is tried again, with pauses that double up to an hour, for
       24 hours from the first attempt, however long others were in front. Any other answer (a redirect, a refusal) is
       final: saying the same again would not help.
    4. Nothing about webhooks is told to webhooks: a failure to tell would be something to tell.
"""

import hashlib
import hmac
import json
import re
import secrets
import string
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from registry.errors import InvalidRequest, UrlNotAllowed
from registry.events import ABOUT_A_WEBHOOK, Event, EventKind
from registry.names import quoted
from registry.roles import check_pattern

TELLABLE_KINDS: Final = tuple(kind.value for kind in EventKind if kind not in ABOUT_A_WEBHOOK)
"""The kinds of events that a webhook may ask for."""

PING: Final = "ping"
"""The kind of a test, which is no event."""

MOST_WEBHOOKS: Final = 64
MOST_PATTERNS: Final = 64
LONGEST_URL: Final = 2048
MOST_WAITING: Final = 100
"""Deliveries of one webhook that are written down before they are sent; later events wait in the feed."""

MOST_LOGGED: Final = 1000
"""Deliveries that the log of one webhook keeps: of those that are done, the newest."""

GIVE_UP_AFTER: Final = timedelta(hours=24)
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 3600.0

_GOOD = range(200, 300)
_SERVERS_FAULT = range(500, 600)
_TOO_MANY: Final = 429
_URL = re.compile(r"https?://[\x21-\x7e]+")
_ID_SIGNS = string.ascii_lowercase + string.digits
_ID_LENGTH = 12
_SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin, for those who look for leaked ones
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Somebody who is told of events."""

    id: str
    url: str = field(repr=False)
    """Its path may be as good as a password, and its host tells of a network, so it is in no log and no event."""
    kinds: tuple[str, ...]
    """Of the events that are told; empty for all."""
    models: tuple[str, ...]
    """Patterns of the names whose events are told; empty for all, also for what is about no model."""
    secret: str = field(repr=False)
    is_active: bool
    is_failing: bool
    """True from a delivery that was given up until the next one that succeeds."""
    cursor: int
    created_at: datetime
    created_by: str

    def wants(self, event: Event) -> bool:
        """True if the webhook is to be told of an event."""
        if event.kind in ABOUT_A_WEBHOOK or (self.kinds and event.kind.value not in self.kinds):
            return False
        return not self.models or (event.model is not None and _matches(event.model, self.models))


def _matches(model: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event that is to be told to one webhook, or was."""

    id: int
    webhook: str
    sequence: int | None
    """Of the event; None for a test."""
    kind: str
    redelivers: int | None
    """The delivery that somebody has asked for once more."""
    asked_by: str | None
    """Who asked for it by hand; None if it came out of the feed."""
    state: DeliveryState
    attempts: int
    status: int | None
    """Of the last answer; None if there was none."""
    reason: str
    """Why the last attempt failed; empty if it did not."""
    seconds: float | None
    """How long the last attempt took."""
    created_at: datetime
    first_at: datetime | None
    """When it was attempted first."""
    attempted_at: datetime | None
    """When it was attempted last."""
    next_at: datetime
    """When it is tried next, while it is pending."""


class Cause(StrEnum):
    """Why there was no answer to an attempt, in words that name no host and no address: for logs and events."""

    NOT_ALLOWED = "not_allowed"
    """The URL leads where webhooks may not go."""
    NOT_FOUND = "not_found"
    """Its host has no address."""
    NO_CONNECTION = "no_connection"
    TLS = "tls"
    """Its certificate is not trusted, or there is no agreement on how to encrypt."""
    NOT_HTTP = "not_http"
    NO_ANSWER = "no_answer"
    BROKEN = "broken"
    """By a mistake of the gateway's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt to send."""

    seconds: float
    status: int | None = None
    """None if there was no answer."""
    reason: str = ""
    """Why it failed, in full: it may name the URL's host and where that leads, which is for admins only."""
    cause: Cause = Cause.NO_ANSWER
    """Why there was no answer, if there was none."""
    retry_after_seconds: int | None = None
    """What the answer asks for, if it does."""

    @property
    def is_good(self) -> bool:
        """True if the event was taken."""
        return self.status in _GOOD

    @property
    def category(self) -> str:
        """Why it failed, without anything that only admins may know."""
        return self.cause.value if self.status is None else f"answered_{self.status}"

    @property
    def is_final(self) -> bool:
        """True if it makes no sense to try again."""
        return self.is_good or not (self.status is None or self.status == _TOO_MANY or self.status in _SERVERS_FAULT)


def after(delivery: Delivery, outcome: Outcome, *, now: datetime, draw: Callable[[], float]) -> Delivery:
    """Return a delivery as it is after an attempt.

    Args:
        delivery: as it was.
        outcome: of the attempt.
        now: when that was.
        draw: gives a number from 0 to 1, for the jitter.
    """
    state = DeliveryState.DELIVERED if outcome.is_good else DeliveryState.FAILED
    first_at = delivery.first_at or now
    if not outcome.is_final and now < first_at + GIVE_UP_AFTER and delivery.kind != PING:
        state = DeliveryState.PENDING
    pause = pause_seconds(delivery.attempts, draw=draw, asked_seconds=outcome.retry_after_seconds)
    return replace(
        delivery,
        state=state,
        attempts=delivery.attempts + 1,
        status=outcome.status,
        reason=outcome.reason,
        seconds=outcome.seconds,
        first_at=first_at,
        attempted_at=now,
        next_at=now + timedelta(seconds=pause) if state is DeliveryState.PENDING else now,
    )


def pause_seconds(failures: int, *, draw: Callable[[], float], asked_seconds: int | None = None) -> float:
    """Return how long to wait before the next attempt: doubled each time, at random from half of that to all of it.

    Args:
        failures: how many attempts have failed before this one.
        draw: gives a number from 0 to 1.
        asked_seconds: what the receiver has asked for; it is waited for, up to an hour.
    """
    full = LONGEST_PAUSE_SECONDS if failures > _DOUBLINGS else FIRST_PAUSE_SECONDS * 2**failures
    drawn = min(full, LONGEST_PAUSE_SECONDS) * (0.5 + 0.5 * draw())
    return max(drawn, min(asked_seconds or 0, LONGEST_PAUSE_SECONDS))


_DOUBLINGS: Final = 12
"""After which the pause is the longest one."""


def body_of(delivery: Delivery, event: Event | None) -> bytes:
    """Return what is sent: the event as ``GET /registry/events`` has it, with its reason and the webhook's id besides.

    Args:
        delivery: of which only what never changes is told, so that every attempt sends the same bytes.
        event: None for a test.
    """
    about = _ping(delivery) if event is None else event_document(event)
    reason = about["detail"].get("reason")
    document = {**about, "reason": reason if isinstance(reason, str) else "", "webhook": delivery.webhook}
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def event_document(event: Event) -> dict[str, Any]:
    """Return an event as JSON has it."""
    return {
        "sequence": event.sequence,
        "kind": event.kind.value,
        "model": event.model,
        "version": event.version,
        "alias": event.alias,
        "actor": event.actor,
        "at": _timestamp(event.at),
        "detail": dict(event.detail),
    }


def _ping(delivery: Delivery) -> dict[str, Any]:
    nothing = dict.fromkeys(("sequence", "model", "version", "alias"))
    at = _timestamp(delivery.created_at)
    return {**nothing, "kind": PING, "actor": delivery.asked_by, "at": at, "detail": {}}


def _timestamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a body that is sent at a moment (in seconds since 1970): HMAC-SHA256, in hexadecimal."""
    return hmac.new(secret.encode("ascii"), b"%d.%b" % (timestamp, body), hashlib.sha256).hexdigest()


def draw_id() -> str:
    """Return an id that no webhook has had before."""
    return "".join(secrets.choice(_ID_SIGNS) for _ in range(_ID_LENGTH))


def draw_secret() -> str:
    """Return a secret of 256 random bits."""
    return _SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def check_kinds(kinds: Collection[str]) -> tuple[str, ...]:
    """Return these kinds of events, each once, in the order of the documentation.

    Raises:
        InvalidRequest: there is no such kind, or webhooks are not told of it.
    """
    for kind in kinds:
        if kind not in TELLABLE_KINDS:
            raise InvalidRequest(f"{quoted(kind)} is no kind of event that webhooks are told of: {_listed()}")
    return tuple(kind for kind in TELLABLE_KINDS if kind in kinds)


def _listed() -> str:
    return ", ".join(TELLABLE_KINDS)


def check_patterns(models: Collection[str]) -> tuple[str, ...]:
    """Return these names and patterns of names, each once.

    Raises:
        InvalidRequest: one of them has signs that no name has, or there are too many.
    """
    if len(models) > MOST_PATTERNS:
        raise InvalidRequest(f"a webhook has at most {MOST_PATTERNS} names and patterns of models, not {len(models)}")
    for pattern in models:
        check_pattern(pattern)
    return tuple(dict.fromkeys(models))


def check_url(url: str) -> str:
    """Return a URL that has the form of a receiver's; whether its place is allowed is not looked at.

    Raises:
        UrlNotAllowed: it is too long, or not an absolute URL with a host, or holds credentials or a fragment.
    """
    if len(url) > LONGEST_URL:
        raise UrlNotAllowed(f"a webhook's URL has at most {LONGEST_URL} characters, not {len(url)}")
    if _URL.fullmatch(url) is None or "\\" in url:
        raise UrlNotAllowed("a webhook's URL is https://host/path, of printable ASCII signs without blanks")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UrlNotAllowed("the host or the port of the URL is malformed") from None
    if not host or port == 0:
        raise UrlNotAllowed("the URL names no host, or port 0")
    if parts.username is not None or parts.password is not None or "#" in url:
        raise UrlNotAllowed("a webhook's URL has neither credentials nor a fragment: receivers check the signature")
    return url
