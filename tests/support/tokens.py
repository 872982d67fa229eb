"""Access tokens for tests: made on the gateway's own database, as the command on its machine does."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from registry.credentials import parse_credential
from registry.roles import Role
from registry.sql.unit_of_work import SqlRegistry
from registry.tokens import NewToken, Tokens
from tests.support.registries import HandClock

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def make_token(
    data_dir: Path, role: str, *, name: str = "tests", models: str | None = None, is_expired: bool = False
) -> NewToken:
    """Make a token and return it."""
    clock = HandClock(LONG_AGO) if is_expired else HandClock()
    with closing(_open(data_dir)) as registry:
        expires = "1h" if is_expired else None
        return Tokens(registry, clock).create(name, Role(role), actor="tests", models=models, expires=expires)


def revoke(data_dir: Path, made: NewToken) -> None:
    """Revoke a token."""
    with closing(_open(data_dir)) as registry:
        Tokens(registry, HandClock()).revoke(made.token.id, actor="tests")


def bearer(text: str) -> dict[str, str]:
    """Return the header that presents a token."""
    return {"authorization": f"Bearer {text}"}


def secret_of(text: str) -> str:
    """Return the part of a token that must never be seen."""
    credential = parse_credential(text)
    assert credential is not None
    return credential.secret


@contextmanager
def registry_away(data_dir: Path) -> Iterator[None]:
    """Take the registry's tables away for as long as the block takes, so that it answers nobody."""
    names = ("tokens", "events", "models")
    with closing(sqlite3.connect(data_dir / "registry.sqlite3", isolation_level=None)) as other:
        for name in names:
            other.execute(f"ALTER TABLE {name} RENAME TO {name}_away")
        try:
            yield
        finally:
            for name in names:
                other.execute(f"ALTER TABLE {name}_away RENAME TO {name}")


def _open(data_dir: Path) -> SqlRegistry:
    return SqlRegistry.open(f"sqlite:///{data_dir / 'registry.sqlite3'}")
