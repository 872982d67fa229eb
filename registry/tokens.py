"""Access tokens: making them, listing them, taking them back.

Rules:
    1. The secret leaves with the answer that made it; afterwards nobody can show it again.
    2. A revoked token stays in the list for ever, and stays revoked. Revoking it again changes nothing.
    3. Both are events of the feed: every worker learns of a revocation there.
    4. Any token may be revoked, the last admin's too: whoever is on the machine can always make another.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from registry.credentials import draw_credential
from registry.errors import InvalidName, InvalidRequest, TokenNotFound
from registry.events import EventKind
from registry.names import quoted
from registry.ports import Clock, Registry
from registry.records import Page, Token
from registry.roles import Caller, Role, check_pattern

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._@-]{0,62}[A-Za-z0-9])?")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([dh])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that has just been made."""

    token: Token
    text: str
    """What its owner presents; to be shown once and kept nowhere."""

    def __repr__(self) -> str:
        return f"NewToken({self.token!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """An attempt at what a token does not allow."""

    caller: Caller
    needed: Role
    method: str
    path: str
    """Without secrets, and not long."""
    more_count: int
    """Attempts of the same token before this one that are no events."""


class Tokens:
    """Makes, lists and revokes access tokens; safe for threads."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    def create(
        self, name: str, role: Role, *, actor: str, models: str | None = None, expires: str | None = None
    ) -> NewToken:
        """Make a token and return it with its secret.

        Args:
            name: whose it is or what it is for; history names it as the actor. Several tokens may have one name, so
                that the next can be in use before the last is revoked.
            role: what it may do.
            actor: who makes it.
            models: the pattern of the models' names that it is good for (``fraud-*``); None for all.
            expires: a span such as ``90d`` or ``12h``, a date, or a moment with its time zone; None for never.

        Raises:
            InvalidName, InvalidRequest: one of these is malformed, or an admin's token was to have a pattern.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidName(
                f"{quoted(name)} is not a token's name: use 1 to 64 of letters, digits, blanks, '.', '_', '@' and '-', "
                "beginning and ending with a letter or a digit"
            )
        if models is not None:
            if role is Role.ADMIN:
                raise InvalidRequest("an admin's token is good for all models: leave out the pattern")
            check_pattern(models)
        at = self._clock.now()
        credential = draw_credential()
        token = Token(
            id=credential.id,
            name=name,
            role=role,
            models=models,
            secret_sha256=credential.secret_sha256,
            created_at=at,
            created_by=actor,
            expires_at=None if expires is None else parse_expiry(expires, at),
        )
        with self._registry.writing() as transaction:
            transaction.add_token(token)
            transaction.add_event(EventKind.TOKEN_CREATED, model=None, actor=actor, at=at, detail=_detail(token))
        return NewToken(token=token, text=credential.reveal())

    def revoke(self, id_: str, *, actor: str) -> Token:
        """Take a token back and return it; it stays as it is if it is revoked already.

        Raises:
            TokenNotFound: there is no such token.
        """
        with self._registry.writing() as transaction:
            before = _one(transaction.find_tokens([id_]), id_)
            if before.revoked_at is not None:
                return before
            at = self._clock.now()
            transaction.revoke_token(id_, actor=actor, at=at)
            transaction.add_event(EventKind.TOKEN_REVOKED, model=None, actor=actor, at=at, detail=_detail(before))
            return _one(transaction.find_tokens([id_]), id_)

    def record_denial(self, denial: Denial) -> None:
        """Add an attempt to the audit log; whoever calls this sees to it that the log is not flooded.

        Raises:
            RegistryUnavailable, RegistryBusy.
        """
        caller = denial.caller
        detail = {
            "token": caller.token,
            "has": caller.role.value,
            "needs": denial.needed.value,
            "models": caller.models,
            "method": denial.method,
            "path": denial.path,
            "more": denial.more_count,
        }
        with self._registry.writing() as transaction:
            transaction.add_event(
                EventKind.ACCESS_DENIED, model=None, actor=caller.name, at=self._clock.now(), detail=detail
            )

    def list_page(self, *, limit: int, after: str | None = None) -> Page[Token]:
        """Return tokens in the order of their making, those that are no longer good included.

        Raises:
            InvalidRequest: ``after`` is no cursor of this list.
        """
        with self._registry.reading() as catalog:
            return catalog.list_tokens(limit=limit, after=after)


def parse_expiry(text: str, now: datetime) -> datetime:
    """Parse when a token ends: ``90d`` or ``12h`` from now, a date (its beginning in UTC), or a moment with its zone.

    Raises:
        InvalidRequest: it is none of these, or has passed.
    """
    span = _SPAN.fullmatch(text)
    if span is not None:
        count = int(span[1])
        return now + (timedelta(days=count) if span[2] == "d" else timedelta(hours=count))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and _DATE.fullmatch(text):
        moment = moment.replace(tzinfo=UTC)
    if moment is None or moment.utcoffset() is None:
        raise InvalidRequest(f"{quoted(text)} is no end of a token: write 90d, 12h, 2027-01-31 or 2027-01-31T18:00:00Z")
    if moment <= now:
        raise InvalidRequest(f"{quoted(text)} has passed already: a token ends later than now")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(f"{quoted(text)} is past the end of all calendars") from None


def _one(found: Sequence[Token], id_: str) -> Token:
    if not found:
        raise TokenNotFound(f"there is no token {quoted(id_)}: 'sardonyx token list' shows their ids")
    return found[0]


def _detail(token: Token) -> dict[str, str | None]:
    expires = None if token.expires_at is None else token.expires_at.isoformat().replace("+00:00", "Z")
    return {
        "token": token.id,
        "name": token.name,
        "role": token.role.value,
        "models": token.models,
        "expires_at": expires,
    }
