"""Access tokens for tests: made on the gateway's own database, as the command on its machine does."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, text

from registry.credentials import parse_credential
from registry.roles import Role
from registry.sql.engine import open_engine, transaction
from registry.sql.unit_of_work import SqlRegistry
from registry.tokens import NewToken, Tokens
from tests.support.backend import IS_PRODUCTION
from tests.support.registries import HandClock

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def make_token(
    data_dir: Path, role: str, *, name: str = "tests", models: str | None = None, is_expired: bool = False
) -> NewToken:
    """Make a token and return it."""
    clock = HandClock(LONG_AGO) if is_expired else HandClock()
    with closing(open_registry(data_dir)) as registry:
        expires = "1h" if is_expired else None
        return Tokens(registry, clock).create(name, Role(role), actor="tests", models=models, expires=expires)


def revoke(data_dir: Path, made: NewToken) -> None:
    """Revoke a token."""
    with closing(open_registry(data_dir)) as registry:
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
    """Take the registry's tables away for as long as the block takes: it can tell nobody anything then."""
    names = ("tokens", "events", "models")
    engine = open_engine(_url_of(data_dir))
    try:
        _rename(engine, {name: f"{name}_away" for name in names})
        try:
            yield
        finally:
            _rename(engine, {f"{name}_away": name for name in names})
    finally:
        engine.dispose()


def _rename(engine: Engine, names: Mapping[str, str]) -> None:
    with transaction(engine, writes=True) as connection:
        for before, after in names.items():
            connection.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))


def open_registry(data_dir: Path) -> SqlRegistry:
    """Open the registry of a gateway that a test runs."""
    return SqlRegistry.open(_url_of(data_dir))


def _url_of(data_dir: Path) -> str:
    if IS_PRODUCTION:
        from tests.support.production import database_environment

        return database_environment(data_dir)["SARDONYX_DATABASE_URL"]
    return f"sqlite:///{data_dir / 'registry.sqlite3'}"
