"""What the registry's database is asked about access tokens, and what is written about them."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, or_, select, update

from registry.errors import InvalidRequest
from registry.names import quoted
from registry.records import Page, Token
from registry.roles import Role
from registry.sql.rows import token_of
from registry.sql.tables import tokens


class TokenQueries:
    """The part of a catalog that is about tokens."""

    _connection: Connection

    def find_tokens(self, ids: Collection[str]) -> list[Token]:
        """Return the access tokens that have these public ids, whatever has become of them, in no particular order."""
        rows = self._connection.execute(select(tokens).where(tokens.c.id.in_(ids))).mappings()
        return [token_of(row) for row in rows]

    def list_tokens(self, *, limit: int, after: str | None = None) -> Page[Token]:
        """Return access tokens in the order of their making, those that are no longer good included.

        Raises:
            InvalidRequest: ``after`` is no cursor of this list.
        """
        statement = select(tokens).order_by(tokens.c.created_at, tokens.c.id).limit(limit + 1)
        if after is not None:
            made = self._connection.scalar(select(tokens.c.created_at).where(tokens.c.id == after))
            if made is None:
                raise InvalidRequest(f"{quoted(after)} is no cursor of this list: send 'next' of the page before")
            later = tokens.c.created_at > made
            statement = statement.where(or_(later, and_(tokens.c.created_at == made, tokens.c.id > after)))
        found = [token_of(row) for row in self._connection.execute(statement).mappings()]
        return Page(items=tuple(found[:limit]), next=found[limit - 1].id if len(found) > limit else None)

    def list_used_tokens(self, *, since: datetime, at: datetime, limit: int) -> list[Token]:
        """Return access tokens that are good at a moment and were used since another, those used last first."""
        used = select(tokens).where(_good(at), tokens.c.last_used_at >= since)
        rows = self._connection.execute(used.order_by(tokens.c.last_used_at.desc(), tokens.c.id).limit(limit))
        return [token_of(row) for row in rows.mappings()]

    def has_admin_token(self, *, at: datetime) -> bool:
        """Return True if there is an admin's token that is good at that moment."""
        return bool(self._connection.scalar(select(exists().where(_good(at), tokens.c.role == Role.ADMIN.value))))


class TokenStatements:
    """The part of a transaction that is about tokens."""

    _connection: Connection

    def add_token(self, token: Token) -> None:
        """Add an access token."""
        row = {column.name: getattr(token, column.name) for column in tokens.columns}
        self._connection.execute(insert(tokens).values({**row, "role": token.role.value}))

    def revoke_token(self, id_: str, *, actor: str, at: datetime) -> None:
        """Note that a token is good no longer; does nothing for one that is revoked already."""
        here = and_(tokens.c.id == id_, tokens.c.revoked_at.is_(None))
        self._connection.execute(update(tokens).where(here).values(revoked_at=at, revoked_by=actor))

    def note_use(self, ids: Collection[str], *, at: datetime) -> None:
        """Note when tokens were last used; never puts the moment back."""
        earlier = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < at)
        self._connection.execute(update(tokens).where(tokens.c.id.in_(ids), earlier).values(last_used_at=at))


def _good(at: datetime) -> ColumnElement[bool]:
    lasts = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > at)
    return and_(tokens.c.revoked_at.is_(None), lasts)
